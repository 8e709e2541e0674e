//! The cable between an agent and its server, to be pulled out.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What happens to bytes in one direction. Bytes are held, never lost: TCP would send them again,
/// so to the two ends a broken path looks like silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Pass,
    /// They pass after this time.
    Delay(Duration),
    /// They are held back until the flow changes.
    Hold,
}

/// The state of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cable {
    /// Connections are possible, and their bytes fare like this.
    Plugged { to_server: Flow, to_client: Flow },
    /// All connections are closed and new ones refused.
    Cut,
}

/// Listens on a port of its own and passes on to the server. Gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    cable: watch::Sender<Cable>,
    task: AbortHandle,
}

impl Proxy {
    /// A proxy for the server on that port, plugged in.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cable, watched) =
            watch::channel(Cable::Plugged { to_server: Flow::Pass, to_client: Flow::Pass });
        let task = tokio::spawn(listen(listener, port, server, watched)).abort_handle();
        Self { port, cable, task }
    }

    /// The URL under which a client reaches the server through this proxy.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Lets everything pass again.
    pub fn plug(&self) {
        self.set(Flow::Pass, Flow::Pass);
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        self.cable.send_replace(Cable::Cut);
    }

    /// Nothing gets through any more, and nobody is told.
    pub fn black_hole(&self) {
        self.set(Flow::Hold, Flow::Hold);
    }

    /// Chooses how bytes fare in each direction.
    pub fn set(&self, to_server: Flow, to_client: Flow) {
        self.cable.send_replace(Cable::Plugged { to_server, to_client });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections while the cable is plugged in. The connections live in the set, so that
/// they end with this task and when the cable is cut.
async fn listen(listener: TcpListener, port: u16, server: u16, mut cable: watch::Receiver<Cable>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *cable.borrow_and_update() == Cable::Cut {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(("127.0.0.1", port)).await.expect("the port is still ours"));
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        // Both are cancel-safe by their documentation.
        tokio::select! {
            changed = cable.changed() => if changed.is_err() { return },
            client = accepted => if let Ok((client, _)) = client {
                connections.spawn(pass_on(client, server, cable.clone()));
            },
        }
    }
}

/// Joins a client with the server until one of them closes.
async fn pass_on(client: TcpStream, server: u16, cable: watch::Receiver<Cable>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, cable.clone(), |cable| match cable {
        Cable::Plugged { to_server, .. } => to_server,
        Cable::Cut => Flow::Hold,
    });
    let down = pump(from_server, to_client, cable, |cable| match cable {
        Cable::Plugged { to_client, .. } => to_client,
        Cable::Cut => Flow::Hold,
    });
    // Whichever ends first ends both.
    tokio::select! {
        () = up => {},
        () = down => {},
    }
}

/// Moves bytes in one direction.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cable: watch::Receiver<Cable>,
    flow: fn(Cable) -> Flow,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(count @ 1..) = from.read(&mut buffer).await else { return };
        let now = flow(*cable.borrow());
        if let Flow::Delay(time) = now {
            tokio::time::sleep(time).await;
        }
        if cable.wait_for(|cable| flow(*cable) != Flow::Hold).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
