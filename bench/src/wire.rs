//! A wire between a device and this machine: all that crosses it is counted.
//!
//! ```text
//! this machine                     │ the device's network namespace
//!   server ◀── loopback ── relay ◀─│─ veth ── agent
//! ```

use std::{
    fs,
    path::PathBuf,
    process::{self, Command},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// The machine's end; link-local, so that it is nobody else's.
pub(crate) const ADDRESS: &str = "169.254.77.1";
const DEVICE_ADDRESS: &str = "169.254.77.2";
const MAC: &str = "02:00:00:00:77:01";
const DEVICE_MAC: &str = "02:00:00:00:77:02";
/// What an Ethernet frame has in front of the packet. A metered link counts packets.
const FRAME_HEADER: u64 = 14;

/// The wire, and a relay to the server at its end. Gone when dropped.
pub(crate) struct Wire {
    name: String,
    port: u16,
    relay: JoinHandle<()>,
    /// Each change ends all connections.
    cut: watch::Sender<()>,
}

impl Wire {
    /// Lays the wire, at the end of which `server_port` of this machine's loopback interface is reached.
    /// Takes root.
    pub(crate) async fn lay(server_port: u16) -> Self {
        let name = format!("hb{}", process::id());
        ip(&format!("netns add {name}"));
        // Packets are counted as they would leave a network card: none is longer than the MTU.
        ip(&format!(
            "link add {name} address {MAC} mtu 1500 gso_max_segs 1 type veth \
             peer name wire address {DEVICE_MAC} mtu 1500 gso_max_segs 1 netns {name}"
        ));
        ip(&format!("address add {ADDRESS}/30 dev {name}"));
        ip(&format!("-n {name} address add {DEVICE_ADDRESS}/30 dev wire"));
        // Neither IPv6 nor ARP has anything to ask here.
        ip(&format!("link set {name} addrgenmode none up"));
        ip(&format!("-n {name} link set wire addrgenmode none up"));
        ip(&format!("neighbour replace {DEVICE_ADDRESS} lladdr {DEVICE_MAC} nud permanent dev {name}"));
        ip(&format!("-n {name} neighbour replace {ADDRESS} lladdr {MAC} nud permanent dev wire"));

        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, cuts) = watch::channel(());
        let relay = tokio::spawn(async move {
            loop {
                let (mut device, _) = listener.accept().await.unwrap();
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", server_port)).await.unwrap();
                    tokio::select! {
                        // How the connection ends is the device's and the server's affair.
                        _ = copy_bidirectional(&mut device, &mut server) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { name, port, relay, cut }
    }

    /// The device's network namespace.
    pub(crate) fn namespace(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Where the device reaches the server, over TLS.
    pub(crate) fn url(&self) -> String {
        format!("tls://{ADDRESS}:{}", self.port)
    }

    /// Ends all connections; new ones can be made at once.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Bytes of IP packets in both directions so far.
    pub(crate) fn bytes(&self) -> u64 {
        let count = |what: &str| -> u64 {
            let path = format!("/sys/class/net/{}/statistics/{what}", self.name);
            fs::read_to_string(path).unwrap().trim().parse().unwrap()
        };
        let headers = FRAME_HEADER * (count("rx_packets") + count("tx_packets"));
        count("rx_bytes") + count("tx_bytes") - headers
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.relay.abort();
        // With one end of the wire the other goes, and it lives on while somebody is in the namespace.
        ip(&format!("link delete {}", self.name));
        ip(&format!("netns delete {}", self.name));
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}; the bench needs root");
}
