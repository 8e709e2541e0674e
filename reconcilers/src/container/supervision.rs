//! Asking the probes of containers that run. A task for each; what it learnt stays here until a pass asks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_model::{ContainerSpec, Network, Probes, ResourceName, TransportProtocol};
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    engine::{Engine, LOOK, WORK},
    failures,
    observation::Running,
};
use crate::workload::{
    Wakes,
    health::Health,
    probing::{Known, Probed, find_health},
};

/// All containers whose probes are asked.
#[derive(Debug)]
pub(super) struct Supervision {
    engine: Arc<Engine>,
    wakes: Arc<Wakes>,
    supervised: Mutex<BTreeMap<ResourceName, Supervised>>,
}

#[derive(Debug)]
struct Supervised {
    run: String,
    spec: Arc<ContainerSpec>,
    address: Option<IpAddr>,
    health: Arc<Mutex<Health>>,
    task: JoinHandle<()>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Supervision {
    pub(super) fn new(engine: Arc<Engine>, wakes: Arc<Wakes>) -> Self {
        Self { engine, wakes, supervised: Mutex::default() }
    }

    /// Has the probes of that run asked from the first call on. Returns how it is by now.
    pub(super) fn supervise(
        &self,
        name: &ResourceName,
        id: &str,
        running: &Running,
        spec: &Arc<ContainerSpec>,
        before: Known,
    ) -> Health {
        let run = super::observation::run_of(id, &running.started_at);
        let mut supervised = lock(&self.supervised);
        let known = supervised.get(name).filter(|known| {
            known.run == run
                && known.address == running.address
                && known.spec == *spec
                && !known.task.is_finished()
        });
        if let Some(known) = known {
            return lock(&known.health).clone();
        }
        let first = before.health();
        let health = Arc::new(Mutex::new(first.clone()));
        let probed = ProbedContainer {
            engine: Arc::clone(&self.engine),
            id: id.to_owned(),
            spec: Arc::clone(spec),
            address: running.address,
            up_for: running.up_for,
            seen: Instant::now(),
            known: before,
            unfinished: Mutex::default(),
        };
        let report = {
            let (health, wakes, name) = (Arc::clone(&health), Arc::clone(&self.wakes), name.clone());
            move |found: Health| {
                let before = std::mem::replace(&mut *lock(&health), found.clone());
                if before != found {
                    wakes.wake(&name);
                }
            }
        };
        let task = tokio::spawn(async move {
            find_health(&probed, &report).await;
            // What was given up stays so until a pass has it stopped.
            std::future::pending::<()>().await;
        });
        let (spec, address) = (Arc::clone(spec), running.address);
        supervised.insert(name.clone(), Supervised { run, spec, address, health, task });
        first
    }

    /// Asks nothing of all but these any more.
    pub(super) fn keep(&self, running: &BTreeSet<ResourceName>) {
        lock(&self.supervised).retain(|name, _| running.contains(name));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A container whose probes are asked.
#[derive(Debug)]
struct ProbedContainer {
    engine: Arc<Engine>,
    id: String,
    spec: Arc<ContainerSpec>,
    address: Option<IpAddr>,
    /// For how long it had been up when it was seen.
    up_for: Duration,
    seen: Instant,
    known: Known,
    /// The command of a probe that was given up, which the runtime has no means to end.
    unfinished: Mutex<Option<String>>,
}

impl Probed for ProbedContainer {
    fn probes(&self) -> &Probes {
        &self.spec.probes
    }

    fn up_for(&self) -> Duration {
        self.up_for + self.seen.elapsed()
    }

    fn known(&self) -> Known {
        self.known
    }

    fn address_of(&self, port: u16) -> Result<SocketAddr, String> {
        address_of(&self.spec, self.address, port)
    }

    async fn exec(&self, command: &[String]) -> Result<(), String> {
        let before = lock(&self.unfinished).clone();
        if let Some(before) = before {
            if self.exit_code(&before).await?.is_none() {
                return Err("the command of the try before still runs".to_owned());
            }
            *lock(&self.unfinished) = None;
        }
        let name = command.first().cloned().unwrap_or_default();
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let id = self.id.clone();
        let created =
            self.engine.ask(LOOK, |client| async move { client.create_exec(&id, options).await }).await;
        let exec = created.map_err(|refusal| refusal.into_failure("run it").message)?.id;
        *lock(&self.unfinished) = Some(exec.clone());
        let started = {
            let exec = exec.clone();
            let ask = |client: bollard::Docker| async move {
                client.start_exec(&exec, None::<StartExecOptions>).await
            };
            self.engine.ask(WORK, ask).await
        };
        match started {
            // What it prints is nobody's business; its end is that of this stream.
            Ok(StartExecResults::Attached { mut output, .. }) => {
                while let Some(Ok(_)) = output.next().await {}
            }
            Ok(StartExecResults::Detached) => {}
            Err(refusal) => {
                *lock(&self.unfinished) = None;
                return Err(format!("{name}: {}", refusal.into_failure("run it").message));
            }
        }
        match self.exit_code(&exec).await? {
            Some(code) => {
                *lock(&self.unfinished) = None;
                if code == 0 { Ok(()) } else { Err(failures::quoted(&format!("{name}: exit code {code}"))) }
            }
            None => Err(format!("{name} closed its output and still runs")),
        }
    }
}

impl ProbedContainer {
    /// What a command ended with; `None` while it runs.
    async fn exit_code(&self, exec: &str) -> Result<Option<i64>, String> {
        let exec = exec.to_owned();
        match self.engine.ask(LOOK, |client| async move { client.inspect_exec(&exec).await }).await {
            Ok(found) if found.running == Some(true) => Ok(None),
            Ok(found) => Ok(Some(found.exit_code.unwrap_or(-1))),
            // The runtime has forgotten it: it is over.
            Err(refusal) if refusal.is_not_found() => Ok(Some(-1)),
            Err(refusal) => Err(refusal.into_failure("say how it ended").message),
        }
    }
}

/// Where a port of a container is reached from the device: where it is published, or else at the container's own
/// address.
fn address_of(spec: &ContainerSpec, address: Option<IpAddr>, port: u16) -> Result<SocketAddr, String> {
    if spec.network == Network::Host {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    let published =
        spec.ports.iter().find(|it| it.container == port && it.protocol == TransportProtocol::Tcp);
    match (published, address) {
        (Some(published), _) => {
            let ip = match published.host_ip {
                Some(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                Some(ip) if !ip.is_unspecified() => ip,
                _ => IpAddr::from(Ipv4Addr::LOCALHOST),
            };
            Ok((ip, published.host).into())
        }
        (None, Some(address)) => Ok((address, port).into()),
        (None, None) => Err(format!(
            "port {port} is not reached from the device: publish it, or let the probe run a command in the container"
        )),
    }
}

#[cfg(test)]
mod tests {
    use agent_model::PortMapping;

    use super::*;

    #[test]
    fn a_port_is_asked_where_it_is_published_or_else_at_the_containers_address() {
        let port = |host, container, protocol, host_ip: Option<&str>| PortMapping {
            host,
            container,
            protocol,
            host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        };
        let (tcp, udp) = (TransportProtocol::Tcp, TransportProtocol::Udp);
        let mut spec = ContainerSpec::new("box:1".parse().unwrap());
        spec.ports = vec![
            port(8080, 80, tcp, None),
            port(53, 53, udp, None),
            port(8081, 81, tcp, Some("127.0.0.9")),
            port(8082, 82, tcp, Some("::")),
        ];
        let own = Some("10.88.0.7".parse().unwrap());
        for (asked, address, expected) in [
            (80, own, Some("127.0.0.1:8080")),
            (81, own, Some("127.0.0.9:8081")),
            (82, None, Some("[::1]:8082")),
            (53, own, Some("10.88.0.7:53")),
            (99, own, Some("10.88.0.7:99")),
            (99, None, None),
        ] {
            let found = address_of(&spec, address, asked).ok().map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{asked}");
        }
        spec.network = Network::Host;
        assert_eq!(address_of(&spec, own, 99), Ok("127.0.0.1:99".parse().unwrap()));
    }
}
