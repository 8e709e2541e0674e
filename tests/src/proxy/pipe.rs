//! One direction of a connection: what comes in at one end comes out at the other, unless something
//! befalls it.
//!
//! ```text
//! read ─▶ messages ─▶ fate ─▶ queue by time of arrival ─▶ held? ─▶ write
//! ```
//!
//! The queue is what makes a delay a length of the way, as of a long cable, instead of a pause between two
//! reads: while one message is under way the next can be sent.

use std::{collections::BTreeMap, pin::pin};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Cable, Flow,
    interception::{Desk, Direction, Fate},
    latency::{Satellite, Stalls},
    protocol::{Language, Message},
};

/// Parcels that wait to be put into the queue.
const PARCELS: usize = 64;
/// Bytes under way, beyond which none are taken in: a satellite at some 10 MB/s.
const UNDER_WAY: usize = 8 * 1024 * 1024;

/// Where parcels are handed in.
pub(super) type Inlet = mpsc::Sender<Parcel>;

/// Bytes on their way, whole messages only.
#[derive(Debug)]
pub(super) struct Parcel {
    arrives: Instant,
    bytes: Bytes,
}

impl Parcel {
    /// Bytes that arrive at once.
    pub(super) fn now(bytes: Bytes) -> Self {
        Self { arrives: Instant::now(), bytes }
    }
}

/// One direction of one connection.
pub(super) struct Pipe {
    pub(super) direction: Direction,
    pub(super) cable: watch::Receiver<Cable>,
    pub(super) desk: Desk,
    pub(super) language: Language,
    /// Tells this connection from others in what is drawn at random.
    pub(super) number: u64,
    /// What its satellite's stalls are counted by.
    pub(super) stalls: Stalls,
}

impl Pipe {
    /// Moves bytes until one of the ends closes.
    pub(super) async fn run(self, from: OwnedReadHalf, to: OwnedWriteHalf) {
        let (inlet, outlet) = mpsc::channel(PARCELS);
        let cable = self.cable.clone();
        let direction = self.direction;
        let mut delivery = pin!(deliver(to, outlet, cable, direction));
        tokio::select! {
            // Nothing more comes: what is under way still arrives.
            () = self.take_in(from, inlet) => delivery.await,
            () = &mut delivery => {},
        }
    }

    async fn take_in(mut self, mut from: OwnedReadHalf, inlet: Inlet) {
        let mut received = BytesMut::with_capacity(64 * 1024);
        let mut way = Way { satellite: None, last: None, stalls: self.stalls.clone() };
        loop {
            let Ok(1..) = from.read_buf(&mut received).await else { return };
            let flow = self.cable.borrow_and_update().flow(self.direction);
            let arrives = way.arrival(flow, self.seed(), Instant::now());
            loop {
                let message = match self.language.take(&mut received) {
                    Ok(Some(message)) => message,
                    Ok(None) => break,
                    Err(error) => {
                        eprintln!("the proxy closes a connection that does not speak NATS: {error:?}");
                        return;
                    }
                };
                if self.send(message, arrives, &inlet).await.is_err() {
                    return;
                }
            }
            // What is held keeps the other end from sending more, once all buffers are full.
            if self.cable.wait_for(|cable| cable.flow(self.direction) != Flow::Hold).await.is_err() {
                return;
            }
        }
    }

    async fn send(
        &self,
        message: Message,
        arrives: Instant,
        inlet: &Inlet,
    ) -> Result<(), mpsc::error::SendError<Parcel>> {
        let fate = match &message.letter {
            Some(letter) => self.desk.judge(self.direction, letter, &message, inlet),
            None => Fate::Pass,
        };
        let (times, arrives) = match fate {
            Fate::Pass => (1, arrives),
            Fate::Double => (2, arrives),
            Fate::Delay(time) => (1, arrives + time),
            Fate::Lose | Fate::Keep => (0, arrives),
        };
        for _ in 0..times {
            inlet.send(Parcel { arrives, bytes: message.bytes.clone() }).await?;
        }
        Ok(())
    }

    /// Each direction of each connection has a number of its own.
    fn seed(&self) -> u64 {
        2 * self.number + u64::from(self.direction == Direction::ToClient)
    }
}

/// How long the way is just now.
#[derive(Debug)]
struct Way {
    satellite: Option<(u64, Satellite)>,
    last: Option<Instant>,
    stalls: Stalls,
}

impl Way {
    /// When what is sent now arrives: never before what was sent earlier.
    fn arrival(&mut self, flow: Flow, offset: u64, now: Instant) -> Instant {
        let arrival = match flow {
            Flow::Pass | Flow::Hold => now,
            Flow::Delay(time) => now + time,
            Flow::Satellite { seed } => {
                let seed = seed.wrapping_add(offset);
                let (_, satellite) = match self.satellite.take() {
                    Some((of, satellite)) if of == seed => self.satellite.insert((of, satellite)),
                    _ => self.satellite.insert((seed, Satellite::new(seed, now, self.stalls.clone()))),
                };
                satellite.arrival(now)
            }
        };
        let arrival = self.last.map_or(arrival, |last| last.max(arrival));
        self.last = Some(arrival);
        arrival
    }
}

/// What the delivery woke up for.
enum Wake {
    /// Something came to be delivered; `None`: nothing ever will.
    Parcel(Option<Parcel>),
    /// The first in the queue has arrived.
    Arrival,
}

async fn deliver(
    mut to: OwnedWriteHalf,
    mut outlet: mpsc::Receiver<Parcel>,
    mut cable: watch::Receiver<Cable>,
    direction: Direction,
) {
    let mut queue = BTreeMap::new();
    let (mut number, mut under_way, mut ended) = (0_u64, 0, false);
    while !ended || !queue.is_empty() {
        let first = queue.keys().next().map(|(arrives, _)| *arrives);
        let wake = tokio::select! {
            // Cancel-safe by its documentation.
            parcel = outlet.recv(), if under_way < UNDER_WAY && !ended => Wake::Parcel(parcel),
            // Cancel-safe: the next round computes the time anew.
            () = sleep_until(first.unwrap_or_else(Instant::now)), if first.is_some() => Wake::Arrival,
        };
        match wake {
            Wake::Parcel(Some(Parcel { arrives, bytes })) => {
                under_way += bytes.len();
                queue.insert((arrives, number), bytes);
                number += 1;
            }
            Wake::Parcel(None) => ended = true,
            Wake::Arrival => {
                let Some((_, bytes)) = queue.pop_first() else { continue };
                under_way -= bytes.len();
                if cable.wait_for(|cable| cable.flow(direction) != Flow::Hold).await.is_err()
                    || to.write_all(&bytes).await.is_err()
                {
                    return;
                }
            }
        }
    }
}
