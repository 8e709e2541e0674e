//! The cable between an agent and its server, to be pulled out, and to be tampered with.
//!
//! Bytes are delayed and held, never lost: TCP would send them again, so to the two ends a broken path looks
//! like silence. Whole messages can be lost: so it looks when a server, or a part of it behind the one that a
//! client talks to, forgets them.

mod interception;
mod latency;
mod pipe;
mod protocol;

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use self::{
    interception::{Desk, Direction},
    latency::Stalls,
    pipe::Pipe,
    protocol::Language,
};

pub use self::interception::{Fate, Interception, Messages};

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They pass.
    Pass,
    /// They are under way for this time. As many can be as on a long cable.
    Delay(Duration),
    /// They are under way for 600 ms on average, and now and then none arrive for some seconds; in what
    /// manner the seed says, counted from when the flow was set or the connection made.
    Satellite {
        /// Equal seeds make equal ways.
        seed: u64,
    },
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

impl Cable {
    fn flow(self, direction: Direction) -> Flow {
        match (self, direction) {
            (Self::Plugged { to_server, .. }, Direction::ToServer) => to_server,
            (Self::Plugged { to_client, .. }, Direction::ToClient) => to_client,
            (Self::Cut, _) => Flow::Hold,
        }
    }
}

/// Listens on a port of its own and passes on to the server. Gone when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    cable: watch::Sender<Cable>,
    desk: Desk,
    stalls: Stalls,
    task: AbortHandle,
}

impl Proxy {
    /// A proxy for the clients of the server on that port, plugged in.
    pub async fn start(server: u16) -> Self {
        Self::start_between(server, Language::Client).await
    }

    /// The same for those who speak anything else. There is no telling their messages apart.
    pub async fn start_for_routes(server: u16) -> Self {
        Self::start_between(server, Language::Unknown).await
    }

    async fn start_between(server: u16, language: Language) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cable, watched) =
            watch::channel(Cable::Plugged { to_server: Flow::Pass, to_client: Flow::Pass });
        let (desk, stalls) = (Desk::default(), Stalls::default());
        let joint =
            Joint { server, language, cable: watched.clone(), desk: desk.clone(), stalls: stalls.clone() };
        let joint = Arc::new(joint);
        let task = tokio::spawn(listen(listener, port, watched, joint)).abort_handle();
        Self { port, cable, desk, stalls, task }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
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

    /// Everything goes over a satellite, there and back.
    pub fn satellite(&self, seed: u64) {
        self.set(Flow::Satellite { seed }, Flow::Satellite { seed });
    }

    /// How often the satellite has stalled when there was something for it to carry, there and back.
    pub fn stalls(&self) -> usize {
        self.stalls.count()
    }

    /// Chooses how bytes fare in each direction.
    pub fn set(&self, to_server: Flow, to_client: Flow) {
        self.cable.send_replace(Cable::Plugged { to_server, to_client });
    }

    /// From now on such messages have that fate. Of several interceptions that a message meets the first
    /// one counts.
    pub fn intercept(&self, messages: Messages, fate: Fate) -> Interception {
        self.intercept_by(messages, move || fate)
    }

    /// The next `count` such messages have that fate; those after them pass.
    pub fn intercept_next(&self, count: usize, messages: Messages, fate: Fate) -> Interception {
        let mut left = count;
        self.intercept_by(messages, move || match left.checked_sub(1) {
            Some(less) => {
                left = less;
                fate
            }
            None => Fate::Pass,
        })
    }

    /// From now on each such message has the fate that `decide` has for it.
    pub fn intercept_by(
        &self,
        messages: Messages,
        decide: impl FnMut() -> Fate + Send + 'static,
    ) -> Interception {
        self.desk.intercept(messages, decide)
    }

    /// From now on `sees` gets what each such message says, when it comes in and whatever becomes of it then.
    pub fn witness(&self, messages: Messages, sees: impl FnMut(&[u8]) + Send + 'static) {
        self.desk.witness(messages, sees);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What joins the two ends.
#[derive(Debug)]
struct Joint {
    server: u16,
    language: Language,
    cable: watch::Receiver<Cable>,
    desk: Desk,
    stalls: Stalls,
}

/// Accepts connections while the cable is plugged in. The connections live in the set, so that
/// they end with this task and when the cable is cut.
async fn listen(listener: TcpListener, port: u16, mut cable: watch::Receiver<Cable>, joint: Arc<Joint>) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut number = 0;
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
        // All are cancel-safe by their documentation.
        tokio::select! {
            changed = cable.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {},
            client = accepted => if let Ok((client, _)) = client {
                connections.spawn(pass_on(client, joint.clone(), number));
                number += 1;
            },
        }
    }
}

/// Joins a client with the server until one of them closes.
async fn pass_on(client: TcpStream, joint: Arc<Joint>, number: u64) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", joint.server)).await else { return };
    for end in [&client, &server] {
        end.set_nodelay(true).expect("a socket of ours can be set up");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let pipe = |direction| Pipe {
        direction,
        cable: joint.cable.clone(),
        desk: joint.desk.clone(),
        language: joint.language,
        number,
        stalls: joint.stalls.clone(),
    };
    // Whichever ends first ends both.
    tokio::select! {
        () = pipe(Direction::ToServer).run(from_client, to_server) => {},
        () = pipe(Direction::ToClient).run(from_server, to_client) => {},
    }
}
