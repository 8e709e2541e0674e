//! A network of the test's own, with hosts whose cables can be pulled.
//!
//! ```text
//! the test's thread, all that it starts          a host: device or server
//! 10.99.N.1 (veth) ═══════════ nftables ═══════════ 10.99.N.2 (veth)
//! ```
//!
//! Neither the network nor its hosts have names: they are the namespaces of processes and of a thread, and go
//! with these, interfaces and rules included, however the test ends.

use std::{
    fs::File,
    future::Future,
    panic::resume_unwind,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::{eventually::eventually, process::Process};

/// Runs a test in a network that nobody else is in, where nothing but the loopback interface is.
pub fn in_own_network<F: Future<Output = ()>>(test: impl FnOnce(Network) -> F + Send + 'static) {
    let body = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let network = Network::enter().await;
            test(network).await;
        });
    };
    // A thread of its own, because it does not come back from there. Threads and processes that it starts are
    // there as well.
    if let Err(panic) = thread::spawn(body).join() {
        resume_unwind(panic);
    }
}

/// The network that the test is in.
#[derive(Debug)]
pub struct Network {
    hosts: AtomicU8,
    folder: Arc<TempDir>,
}

/// A host in a test's network, with an address of its own.
#[derive(Debug, Clone)]
pub struct Host {
    number: u8,
    address: String,
    /// Holds the host's namespace while anybody knows the host.
    holder: Arc<Process>,
}

/// The direction of what is lost on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the test's side to the host.
    ToHost,
    /// From the host.
    FromHost,
}

impl Network {
    async fn enter() -> Self {
        let folder = Arc::new(TempDir::with_prefix("harmony-network-").unwrap());
        let holder = hold_namespace("network", &folder).await;
        let namespace = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
        move_into_link_name_space(rustix::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))
            .expect("root may enter another network");
        run("ip", "link set lo up");
        run("nft", "add table inet faults");
        for chain in ["input", "output"] {
            run("nft", &format!("add chain inet faults {chain} {{ type filter hook {chain} priority 0 ; }}"));
        }
        Self { hosts: AtomicU8::new(0), folder }
    }

    /// A host on a cable of its own.
    pub async fn host(&self) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed);
        let holder = hold_namespace(&format!("host-{number}"), &self.folder).await;
        let (here, address) = (format!("10.99.{number}.1/24"), format!("10.99.{number}.2"));
        let pid = holder.id();
        run("ip", &format!("link add cable{number} type veth peer name uplink netns {pid}"));
        run("ip", &format!("address add {here} dev cable{number}"));
        run("ip", &format!("link set cable{number} up"));
        let inside = |command: &str| run("nsenter", &format!("--net=/proc/{pid}/ns/net -- {command}"));
        inside("ip link set lo up");
        inside(&format!("ip address add {address}/24 dev uplink"));
        inside("ip link set uplink up");
        inside(&format!("ip route add default via 10.99.{number}.1"));
        Host { number, address, holder: Arc::new(holder) }
    }

    /// From now on, all that goes this way on the host's cable is lost without a word.
    pub fn lose(&self, host: &Host, way: Way) {
        self.lose_matching(host, way, "");
    }

    /// The same of the connections to these ports, on whichever end of the cable they are.
    pub fn lose_of_ports(&self, host: &Host, way: Way, ports: &[u16]) {
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        for end in ["dport", "sport"] {
            self.lose_matching(host, way, &format!("tcp {end} {{ {ports} }}"));
        }
    }

    fn lose_matching(&self, host: &Host, way: Way, what: &str) {
        let (chain, interface) = match way {
            Way::ToHost => ("output", "oifname"),
            Way::FromHost => ("input", "iifname"),
        };
        let cable = format!("cable{}", host.number);
        run("nft", &format!("add rule inet faults {chain} {interface} {cable} {what} drop"));
    }

    /// Nothing is lost any more.
    pub fn heal(&self) {
        run("nft", "flush table inet faults");
    }
}

impl Host {
    /// Its address in the test's network.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address by which it reaches what listens on the test's side.
    pub fn gateway(&self) -> String {
        format!("10.99.{}.1", self.number)
    }

    /// Its network namespace, as a file.
    pub fn namespace(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// What a command begins with that is run on this host.
    pub(crate) fn launcher(&self) -> Vec<String> {
        ["nsenter".to_owned(), format!("--net={}", self.namespace().display()), "--".to_owned()].into()
    }
}

/// A process that does nothing but to be in a network that nobody else is in.
async fn hold_namespace(name: &str, folder: &TempDir) -> Process {
    let command =
        ["unshare", "--net", "--", "sh", "-c", "echo ready; exec sleep infinity"].map(str::to_owned);
    let log = folder.path().join(name);
    let holder = Process::start(name, &command, &[], &log).expect("util-linux is installed");
    eventually("there is another network", async || match holder.log_tail().as_str() {
        "ready\n" => Ok(()),
        said => Err(said.to_owned()),
    })
    .await;
    holder
}

fn run(program: &str, arguments: &str) {
    let output = Command::new(program)
        .args(arguments.split_ascii_whitespace())
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run; install iproute2 and nftables: {error}"));
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
