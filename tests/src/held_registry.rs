//! A way to a registry on which the content of images is held back until a test lets it through.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// How a request for content begins to differ from all others: its path has this in it.
const CONTENT: &[u8] = b"/blobs/";
/// More than the head of any request of a runtime takes.
const LONGEST_HEAD: usize = 64 * 1024;

/// The way, for as long as this value lasts.
#[derive(Debug)]
pub struct HeldRegistry {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    _ways: JoinSet<()>,
}

impl HeldRegistry {
    /// A way to the registry at that address, on which everything but content is let through.
    pub async fn before(registry: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (is_open, opens) = watch::channel(false);
        let (address, waiting) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (registry, counted) = (registry.to_owned(), Arc::clone(&waiting));
        let mut ways = JoinSet::new();
        ways.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                clients.spawn(pass(client, registry.clone(), opens.clone(), Arc::clone(&counted)));
            }
        });
        Self { address, is_open, waiting, _ways: ways }
    }

    /// The name that an image of the registry has on this way.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// How many wait for content, and have not hung up.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Lets content through from now on.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

/// Passes on what a client says, and what it is answered, to the end of both.
async fn pass(
    mut client: TcpStream,
    registry: String,
    mut opens: watch::Receiver<bool>,
    waiting: Arc<AtomicUsize>,
) {
    let Ok(mut registry) = TcpStream::connect(registry).await else { return };
    loop {
        if *opens.borrow() {
            let _ = copy_bidirectional(&mut client, &mut registry).await;
            return;
        }
        // A client of HTTP 1.1 says nothing before it has its answer, so its next word is a head.
        let (mut head, mut answer) = (vec![0; LONGEST_HEAD], vec![0; LONGEST_HEAD]);
        tokio::select! {
            said = client.read(&mut head) => {
                let Ok(length @ 1..) = said else { return };
                head.truncate(length);
                if head.windows(CONTENT.len()).any(|part| part == CONTENT) {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    let opened = until_open(&mut client, &mut opens).await;
                    waiting.fetch_sub(1, Ordering::SeqCst);
                    if !opened {
                        return;
                    }
                }
                if registry.write_all(&head).await.is_err() {
                    return;
                }
            }
            said = registry.read(&mut answer) => {
                let Ok(length @ 1..) = said else { return };
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Waits until content is let through; not if the client hangs up before.
async fn until_open(client: &mut TcpStream, opens: &mut watch::Receiver<bool>) -> bool {
    let mut word = [0];
    tokio::select! {
        opened = opens.wait_for(|open| *open) => opened.is_ok(),
        _ = client.read(&mut word) => false,
    }
}
