//! One document with a resource of each kind, which wait for one another and restart one another, on a device with a
//! real systemd and a podman of its own.
//!
//! ```text
//! layout        ShellJob      makes the folder in which each of the others tells of its starts
//! web-settings  File          waits for layout
//! web           Container     sees both folders; restarted by web-settings
//! recorder      SystemdUnit   reads the file too; restarted by web-settings and web
//! watch         Process       waits for layout; restarted by recorder
//! ```
//!
//! podman runs on the device and not beside it. So a reboot ends its containers as it ends all else there, and the
//! container sees the folders that the document's other resources make.

mod cutover;
mod keeping;
mod restarting;

use agent_model::{
    Digest,
    status::{AgentStatus, ResourceState},
};
use serde_json::{Value, json};
use tests::{
    container_runtime::BOX,
    document::{container_script, file_after, job, script},
    eventually::eventually,
    site::Site,
    systemd_container::{PROGRAMS, SERVICE, SystemdContainer},
};

use crate::{
    service::settings,
    status_words::{Counts, counts, resource},
};

/// Where each tells of its starts, in a line.
const STARTS: &str = "/srv/app/starts";
/// What the job makes at last.
const LAID_OUT: &str = "/srv/app/laid-out";
/// The declared file.
const SETTINGS: &str = "/etc/app/settings";
/// The unit's file.
const UNIT: &str = "/etc/systemd/system/recorder.service";

const LAYOUT: &str = "mkdir -p /srv/app\necho layout >>/srv/app/starts\ntouch /srv/app/laid-out\n";
/// A shell as the first process of a container has to be told that SIGTERM is meant for it.
const WEB: &str = "trap 'exit 0' TERM\necho \"web $(cat /settings/settings)\" >>/srv/app/starts\n\
                   while :; do sleep 1 & wait $!; done\n";
const WATCH: &str = "echo watch >>/srv/app/starts; exec sleep infinity";

/// All of it, with this text in the file and this description of the unit.
fn resources(settings: &str, description: &str) -> [Value; 5] {
    let mut layout = job("layout", LAYOUT);
    layout["spec"]["user"] = json!("root");
    layout["spec"]["writablePaths"] = json!(["/srv"]);
    layout["spec"]["creates"] = json!(LAID_OUT);
    let file = file_after("web-settings", &["layout"], SETTINGS, &format!("{settings}\n"));
    let mut web = container_script("web", BOX, WEB);
    web["dependsOn"] = json!(["web-settings", "layout"]);
    web["restartOn"] = json!(["web-settings"]);
    web["spec"]["network"] = json!("None");
    web["spec"]["mounts"] = json!([
        {"type": "Bind", "source": "/srv/app", "target": "/srv/app"},
        {"type": "Bind", "source": "/etc/app", "target": "/settings", "readOnly": true},
    ]);
    let recorder = json!({
        "kind": "SystemdUnit", "name": "recorder", "dependsOn": ["web-settings", "web"],
        "restartOn": ["web-settings", "web"],
        "spec": {"unit": "recorder.service", "content": unit(description), "enabled": true},
    });
    let mut watch = script("watch", WATCH);
    watch["dependsOn"] = json!(["layout"]);
    watch["restartOn"] = json!(["recorder"]);
    // Not in the order in which they come about.
    [watch, recorder, web, file, layout]
}

fn unit(description: &str) -> String {
    format!(
        "[Unit]\nDescription={description}\n[Service]\n\
         ExecStartPre=/bin/sh -c 'echo \"recorder $$(cat {SETTINGS})\" >>{STARTS}'\n\
         ExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// The device of a site, on which no document was ever in force; it may read Scores and run the job.
async fn installed(site: &Site) -> SystemdContainer {
    let device = SystemdContainer::boot().await;
    device.enable_podman().await;
    let layout = Digest::of_bytes(LAYOUT.as_bytes());
    let policy =
        format!("shellJobs = \"AllowListed\"\nscripts = [\"{layout}\"]\nformats.Score = \"Enabled\"\n");
    device.install_agent_with_scores(&settings(&site.server.url()), &policy).await;
    site.device_was_seen().await;
    device
}

/// All starts since the device was new, in their order.
async fn starts(device: &SystemdContainer) -> Vec<String> {
    device.shell(&format!("cat {STARTS}")).await.lines().map(str::to_owned).collect()
}

/// Waits until these have started since the device was new, in this order, and no others. Whoever starts has yet to tell
/// of it when it runs already.
async fn have_started(device: &SystemdContainer, expected: &[&str], when: &str) {
    eventually(when, async || {
        let starts = starts(device).await;
        if starts == expected { Ok(()) } else { Err(format!("{starts:?}, and not {expected:?}")) }
    })
    .await;
}

/// What tells that which runs from all that could run in its place.
async fn identity(device: &SystemdContainer, status: &AgentStatus, name: &str) -> String {
    let script = match name {
        "web" => {
            "podman container inspect --format '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}' web".to_owned()
        }
        "recorder" => "systemctl show --property MainPID,InvocationID,NRestarts recorder".to_owned(),
        // Field 22 of proc_pid_stat(5) is when it started.
        _ => format!("cut -d' ' -f1,22 /proc/{}/stat", resource(status, name).details["pid"]),
    };
    device.shell(&script).await
}

/// Those of all three that run.
async fn identities(device: &SystemdContainer, status: &AgentStatus) -> [String; 3] {
    [
        identity(device, status, "web").await,
        identity(device, status, "recorder").await,
        identity(device, status, "watch").await,
    ]
}

/// What a command of the agent prints on the device, which asks no server.
async fn agent(device: &SystemdContainer, arguments: &[&str]) -> String {
    let program = format!("{PROGRAMS}/{SERVICE}");
    let command: Vec<&str> = [program.as_str()].iter().chain(arguments).copied().collect();
    device.exec(&command).await.success()
}

/// Whether a resource is ready with these counts, and all others are ready too.
fn ready_and_counted(name: &str, expected: Counts) -> impl Fn(&AgentStatus) -> bool {
    move |status| {
        counts(status, name) == expected
            && status.resources.iter().all(|resource| resource.state == ResourceState::Ready)
    }
}
