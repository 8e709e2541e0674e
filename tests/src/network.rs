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
    net::{IpAddr, SocketAddr},
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

/// An established TCP connection, as the system at one of its ends knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpConnection {
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// Bytes sent from this end that the other one has not acknowledged.
    pub unacknowledged: u64,
}

/// How often what nobody acknowledges is sent again before its connection counts as lost.
const RESENDS: &str = "/proc/sys/net/ipv4/tcp_retries2";

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

    /// From now on, whatever the host sends from that port is answered with a reset, as a router does that has forgotten
    /// the connection. What the other end sends there is lost.
    pub fn reset(&self, host: &Host, port: u16) {
        self.rule(host, Way::FromHost, &format!("tcp sport {port} reject with tcp reset"));
        self.rule(host, Way::ToHost, &format!("tcp dport {port} tcp flags & rst == 0 drop"));
    }

    fn lose_matching(&self, host: &Host, way: Way, what: &str) {
        self.rule(host, way, &format!("{what} drop"));
    }

    fn rule(&self, host: &Host, way: Way, rule: &str) {
        let (chain, interface) = match way {
            Way::ToHost => ("output", "oifname"),
            Way::FromHost => ("input", "iifname"),
        };
        run("nft", &format!("add rule inet faults {chain} {interface} cable{} {rule}", host.number));
    }

    /// Nothing is lost any more.
    pub fn heal(&self) {
        run("nft", "flush table inet faults");
    }

    /// From now on, what is sent from the test's side and not acknowledged is sent again so often, each time after twice as
    /// long, before its connection counts as lost. The system's own 15 times take a quarter of an hour.
    pub fn resend(&self, times: u8) {
        run_with("sh", &["-c", &format!("echo {times} >{RESENDS}")]);
    }

    /// The connections with that host, as the test's side knows them.
    pub fn connections(&self, host: &Host) -> Vec<TcpConnection> {
        let address: IpAddr = host.address.parse().expect("it was made of numbers");
        let mut connections = connections(&run_with("ss", SOCKETS));
        connections.retain(|connection| connection.peer.ip() == address);
        connections
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

    /// The same as [`Network::resend`] of what is sent from this host.
    pub fn resend(&self, times: u8) {
        self.run(&["sh", "-c", &format!("echo {times} >{RESENDS}")]);
    }

    /// The connections of this host, as it knows them.
    pub fn connections(&self) -> Vec<TcpConnection> {
        connections(&self.run(&[&["ss"], SOCKETS].concat()))
    }

    fn run(&self, command: &[&str]) -> String {
        let launcher = self.launcher();
        let arguments: Vec<&str> =
            launcher[1..].iter().map(String::as_str).chain(command.iter().copied()).collect();
        run_with(&launcher[0], &arguments)
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

/// Has `ss` list what is established, without a header: bytes that wait to be read, bytes not acknowledged, this end, the
/// other one.
const SOCKETS: &[&str] = &["-Htn", "state", "established"];

fn connections(listed: &str) -> Vec<TcpConnection> {
    // Who listens for both families is told an address of the older one as one of the newer.
    let end = |text: &str| {
        let end: SocketAddr = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        SocketAddr::new(end.ip().to_canonical(), end.port())
    };
    let connection = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        TcpConnection {
            local: end(columns[2]),
            peer: end(columns[3]),
            unacknowledged: columns[1].parse().expect("a number of bytes"),
        }
    };
    listed.lines().map(connection).collect()
}

/// Runs a command to its end and returns what it printed.
fn run_with(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run; install iproute2 and nftables: {error}"));
    let (printed, complaint) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {complaint}");
    String::from_utf8(printed).expect("it prints text")
}

/// The same with arguments that have no blanks in them.
fn run(program: &str, arguments: &str) {
    run_with(program, &arguments.split_ascii_whitespace().collect::<Vec<_>>());
}
