//! The floor: the container by itself, created and started over the runtime's socket as the agent asks for it.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use bollard::{
    ClientVersion, Docker,
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, RestartPolicy, RestartPolicyNameEnum},
    query_parameters::{CreateContainerOptions, RemoveContainerOptions, StartContainerOptions},
};
use tests::{container_runtime::BOX, eventually::PATIENCE};

use super::starting::COMMAND;

/// As the agent speaks to it.
const VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
const NAME: &str = "bare";

/// How long the runtime takes for its part.
pub(super) struct Took {
    pub(super) create: Duration,
    pub(super) start: Duration,
}

pub(super) struct BareRuntime(Docker);

impl BareRuntime {
    pub(super) fn at(socket: &Path) -> Self {
        Self(Docker::connect_with_unix(socket.to_str().unwrap(), PATIENCE.as_secs(), &VERSION).unwrap())
    }

    /// Creates and starts the container. It is removed again before this returns, which does not count.
    pub(super) async fn run(&self) -> Took {
        let options =
            CreateContainerOptions { name: Some(NAME.to_owned()), ..CreateContainerOptions::default() };
        let start = Instant::now();
        self.0.create_container(Some(options), body()).await.unwrap();
        let create = start.elapsed();
        self.0.start_container(NAME, None::<StartContainerOptions>).await.unwrap();
        let all = start.elapsed();
        let removed = RemoveContainerOptions { force: true, v: true, link: false };
        self.0.remove_container(NAME, Some(removed)).await.unwrap();
        Took { create, start: all.saturating_sub(create) }
    }
}

/// What the agent asks for (`reconcilers/src/container/creation.rs`), with labels that are none of its own.
fn body() -> ContainerCreateBody {
    let text = |text: &str| text.to_owned();
    ContainerCreateBody {
        image: Some(text(BOX)),
        entrypoint: Some(COMMAND.map(text).to_vec()),
        env: Some(Vec::new()),
        exposed_ports: Some(Vec::new()),
        labels: Some(["agent", "resource", "digest"].map(|name| (format!("bare.{name}"), text(NAME))).into()),
        stop_signal: Some(text("SIGKILL")),
        stop_timeout: Some(10),
        host_config: Some(HostConfig {
            port_bindings: Some(HashMap::new()),
            mounts: Some(Vec::new()),
            devices: Some(Vec::new()),
            network_mode: Some(text("bridge")),
            readonly_rootfs: Some(false),
            cap_add: Some(Vec::new()),
            cap_drop: Some(Vec::new()),
            security_opt: Some(vec![text("no-new-privileges")]),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some(text("k8s-file")),
                config: Some(HashMap::from([(text("max-size"), text("10485760"))])),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
