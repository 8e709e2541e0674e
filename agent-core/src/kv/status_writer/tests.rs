//! The task on an entry of the tests' own, with time that stands still until all wait.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Mutex, MutexGuard},
};

use agent_model::status::Phase;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{
    kv::{
        acked_publish::AckError,
        direct_get::{Entry, ReadError},
    },
    status::pace::tests::converged,
};

/// What happens to the next write.
enum Fate {
    RequestLost,
    AnswerLost,
    NoAnswerEver,
    Refused,
}

struct Write {
    at: Instant,
    expected: u64,
    bytes: Bytes,
}

impl Write {
    fn status(&self) -> AgentStatus {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

struct Server {
    last: Entry,
    sequence: u64,
    reads: usize,
    writes: Vec<Write>,
    fates: VecDeque<Fate>,
    reads_fail: bool,
}

impl Server {
    fn put(&mut self, value: impl Into<Bytes>) {
        self.sequence += 1;
        self.last = Entry::Present { revision: self.sequence, value: value.into() };
    }

    fn put_status(&mut self, epoch: u64, phase: Phase) {
        let mut status = converged(1);
        status.phase = phase;
        status.writer = Writer { instance: "another".to_owned(), epoch, op: 1 };
        self.put(serde_json::to_vec(&status).unwrap());
    }

    fn stored(&self) -> AgentStatus {
        let Entry::Present { value, .. } = &self.last else {
            panic!("nothing is stored");
        };
        serde_json::from_slice(value).unwrap()
    }
}

#[derive(Clone)]
struct FakeEntry(Arc<Mutex<Server>>);

impl FakeEntry {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap()
    }
}

impl own_entry::OwnEntry for FakeEntry {
    async fn read(&self) -> Result<Entry, ReadError> {
        let mut server = self.server();
        server.reads += 1;
        if server.reads_fail {
            Err(ReadError::TimedOut { subject: "entry".to_owned() })
        } else {
            Ok(server.last.clone())
        }
    }

    async fn write(&self, expected: u64, bytes: Bytes) -> Result<u64, AckError> {
        let fate = {
            let mut server = self.server();
            server.writes.push(Write { at: Instant::now(), expected, bytes: bytes.clone() });
            server.fates.pop_front()
        };
        let unknown = || AckError::Unknown { source: "lost".into() };
        let refused = |code| AckError::Refused { code, description: String::new() };
        match fate {
            Some(Fate::RequestLost) => return Err(unknown()),
            Some(Fate::Refused) => return Err(refused(10054)),
            Some(Fate::NoAnswerEver) => pending().await,
            Some(Fate::AnswerLost) | None => {}
        }
        let mut server = self.server();
        if server.last.revision() != expected {
            return Err(refused(10071));
        }
        server.put(bytes);
        if fate.is_some() { Err(unknown()) } else { Ok(server.sequence) }
    }
}

struct Bench {
    entry: FakeEntry,
    link: watch::Sender<Link>,
    reports: watch::Sender<Option<Arc<AgentStatus>>>,
    writer: StatusWriter,
}

impl Bench {
    /// A writer without a link yet.
    fn new(prepare: impl FnOnce(&mut Server)) -> Self {
        let mut server = Server {
            last: Entry::Absent,
            sequence: 0,
            reads: 0,
            writes: Vec::new(),
            fates: VecDeque::new(),
            reads_fail: false,
        };
        prepare(&mut server);
        let entry = FakeEntry(Arc::new(Mutex::new(server)));
        let (link, link_receiver) = watch::channel(Link::default());
        let (reports, report_receiver) = watch::channel(None);
        let settings = StatusWriterSettings {
            agent: "edge-0042".parse().unwrap(),
            instance: "me".to_owned(),
            earlier_epoch: 0,
            resync_interval: Duration::from_secs(3600),
        };
        let writer = StatusWriter::spawn_on(entry.clone(), link_receiver, settings, report_receiver);
        Self { entry, link, reports, writer }
    }

    /// A writer whose report of `converged(1)` stands as entry 1.
    async fn standing() -> Self {
        let bench = Self::new(|_| {});
        bench.connect();
        bench.report(|_| {});
        bench.pass(1).await;
        assert_eq!(bench.counts().1, 1);
        bench
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.entry.server()
    }

    /// Reads and writes so far.
    fn counts(&self) -> (usize, usize) {
        let server = self.server();
        (server.reads, server.writes.len())
    }

    fn connect(&self) {
        self.link.send_modify(|link| *link = Link { connected: true, connects: link.connects + 1 });
    }

    fn disconnect(&self) {
        self.link.send_modify(|link| link.connected = false);
    }

    /// Reports what was reported last, with that change.
    fn report(&self, change: impl FnOnce(&mut AgentStatus)) {
        let last = self.reports.borrow().clone();
        let mut status = last.map_or_else(|| converged(1), |last| AgentStatus::clone(&last));
        change(&mut status);
        self.reports.send_replace(Some(Arc::new(status)));
    }

    async fn pass(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_claims_the_next_epoch_and_keeps_what_the_last_process_said() {
    let bench = Bench::new(|server| server.put_status(11, Phase::Degraded));
    assert_eq!(*bench.writer.prior().borrow(), None);
    bench.connect();
    bench.pass(1).await;
    let stored = bench.server().stored();
    assert_eq!(stored.phase, Phase::Degraded);
    assert_eq!(stored.writer, Writer { instance: "me".to_owned(), epoch: 12, op: 1 });
    assert!(bench.writer.prior().borrow().is_some());
    let standing = bench.writer.standing().borrow().clone();
    assert_eq!(standing, WriterStanding { epoch: 12, revision: Some(2), superseded_by: None });
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_keep_the_claim_waits_for_the_first_report() {
    let nothing: [fn(&mut Server); 3] = [
        |_| {},
        |server| server.put("garbage"),
        |server| {
            server.sequence = 8;
            server.last = Entry::Deleted { revision: 8 };
        },
    ];
    for prepare in nothing {
        let bench = Bench::new(prepare);
        bench.connect();
        bench.pass(10).await;
        assert_eq!(*bench.writer.prior().borrow(), Some(PriorStatus { highest: None }));
        assert_eq!(bench.counts().1, 0);
        let found = bench.server().last.revision();
        bench.report(|_| {});
        bench.pass(1).await;
        assert_eq!(bench.counts().1, 1);
        assert_eq!(bench.server().writes[0].expected, found);
        assert_eq!(bench.server().stored().writer.epoch, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_state_are_written_at_once_but_never_more_than_four_in_a_second() {
    let bench = Bench::standing().await;
    for op in 0..100 {
        bench.report(|status| status.resources[0].changes = op);
        sleep(Duration::from_millis(50)).await;
    }
    bench.pass(1).await;
    let server = bench.server();
    assert_eq!(server.stored().resources[0].changes, 99);
    let at: Vec<Instant> = server.writes.iter().map(|write| write.at).collect();
    assert!(at.windows(5).all(|writes| writes[4] - writes[0] >= Duration::from_secs(1)));
    assert!((18..=25).contains(&at.len()), "{} writes in five seconds", at.len());
    assert!(
        server.writes.windows(2).all(|pair| pair[0].status().writer.op + 1 == pair[1].status().writer.op)
    );
}

#[tokio::test(start_paused = true)]
async fn progress_is_collected_for_half_a_minute_and_the_same_again_is_not_written() {
    let bench = Bench::standing().await;
    for _ in 0..5 {
        bench.report(|status| status.resources[0].attempts += 1);
        bench.pass(5).await;
    }
    bench.report(|_| {});
    assert_eq!(bench.counts().1, 1);
    bench.pass(10).await;
    assert_eq!(bench.counts().1, 2);
    assert_eq!(bench.server().stored().resources[0].attempts, 5);
    bench.report(|_| {});
    bench.pass(600).await;
    assert_eq!(bench.counts().1, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_or_written_without_a_link_and_only_the_newest_with_it() {
    let bench = Bench::standing().await;
    bench.disconnect();
    let reads = bench.counts().0;
    for phase in [Phase::Converging, Phase::Degraded] {
        bench.report(|status| status.phase = phase);
        bench.pass(7200).await;
    }
    assert_eq!(bench.counts(), (reads, 1));
    bench.connect();
    bench.pass(1).await;
    assert_eq!(bench.counts(), (reads + 1, 2));
    assert_eq!(bench.server().stored().phase, Phase::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_rebuilt_bucket_is_filled_again_at_the_next_link_and_at_the_resync() {
    let bench = Bench::standing().await;
    bench.server().last = Entry::Absent;
    bench.server().sequence = 0;
    bench.connect();
    bench.pass(10).await;
    assert_eq!(bench.counts().1, 2);
    assert_eq!(bench.server().writes[1].expected, 0);

    bench.server().last = Entry::Absent;
    bench.pass(4600).await;
    assert_eq!(bench.counts().1, 3);
    assert_eq!(bench.server().stored().phase, Phase::Converged);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_a_read_and_a_lost_request_to_the_same_bytes_again() {
    let bench = Bench::standing().await;
    bench.server().fates.extend([Fate::AnswerLost]);
    bench.report(|status| status.phase = Phase::Degraded);
    bench.pass(10).await;
    assert_eq!(bench.counts().1, 2);

    bench.server().fates.extend([Fate::RequestLost, Fate::AnswerLost]);
    bench.report(|status| status.phase = Phase::Converging);
    bench.pass(10).await;
    let server = bench.server();
    assert_eq!(server.writes.len(), 4);
    assert_eq!(server.writes[2].bytes, server.writes[3].bytes);
    assert_eq!(server.writes[2].expected, server.writes[3].expected);
    assert_eq!(server.stored().phase, Phase::Converging);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_link_took_with_it_is_settled_over_the_next_one() {
    let bench = Bench::standing().await;
    bench.server().fates.extend([Fate::NoAnswerEver]);
    bench.report(|status| status.phase = Phase::Degraded);
    bench.pass(60).await;
    assert_eq!(bench.counts().1, 2);
    bench.disconnect();
    bench.pass(60).await;
    bench.connect();
    bench.pass(1).await;
    assert_eq!(bench.counts().1, 3);
    assert_eq!(bench.server().stored().phase, Phase::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_refused_status_is_tried_again_ever_more_slowly_and_a_newer_one_takes_its_place() {
    let bench = Bench::standing().await;
    bench.server().fates.extend((0..1000).map(|_| Fate::Refused));
    bench.report(|status| status.phase = Phase::Degraded);
    bench.pass(3600).await;
    let refused = bench.counts().1 - 1;
    assert!((10..80).contains(&refused), "{refused} writes in an hour");
    bench.server().fates.clear();
    bench.report(|status| status.phase = Phase::Converging);
    bench.pass(301).await;
    assert_eq!(bench.counts().1, refused + 2);
    assert_eq!(bench.server().stored().phase, Phase::Converging);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_for_hours_costs_as_little_as_one_that_refuses() {
    let bench = Bench::standing().await;
    let (reads_before, writes_before) = bench.counts();
    bench.server().fates.extend((0..1000).map(|_| Fate::RequestLost));
    bench.report(|status| status.phase = Phase::Degraded);
    bench.pass(3600).await;
    let (reads, writes) = bench.counts();
    let (reads, writes) = (reads - reads_before, writes - writes_before);
    assert!((10..80).contains(&reads) && writes <= reads + 1, "{reads} reads, {writes} writes in an hour");
    bench.server().fates.clear();
    bench.pass(301).await;
    assert_eq!(bench.server().stored().phase, Phase::Degraded);
}

#[tokio::test(start_paused = true)]
async fn reads_that_fail_for_hours_are_few() {
    let bench = Bench::new(|server| server.reads_fail = true);
    bench.connect();
    bench.pass(3600).await;
    let reads = bench.counts().0;
    assert!((60..240).contains(&reads), "{reads} reads in an hour");
    assert_eq!(*bench.writer.prior().borrow(), None);
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_took_over_is_never_fought() {
    let bench = Bench::standing().await;
    bench.server().put_status(2, Phase::Degraded);
    bench.report(|status| status.phase = Phase::Converging);
    bench.pass(10).await;
    let standing = bench.writer.standing().borrow().clone();
    assert!(standing.superseded_by.is_some());
    assert_eq!(standing.superseded_by.unwrap().instance, "another");
    let writes = bench.counts().1;
    for phase in [Phase::Converged, Phase::Degraded] {
        bench.report(|status| status.phase = phase);
        bench.connect();
        bench.pass(7200).await;
    }
    assert_eq!(bench.counts().1, writes);
    bench.writer.stop(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn garbage_under_the_key_is_written_over() {
    let bench = Bench::standing().await;
    bench.server().put("garbage");
    bench.connect();
    bench.pass(1).await;
    assert_eq!(bench.server().stored().writer, Writer { instance: "me".to_owned(), epoch: 1, op: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_stop_writes_what_was_only_progress_and_waits_no_longer_than_told() {
    let bench = Bench::standing().await;
    bench.report(|status| status.resources[0].attempts = 7);
    let begun = Instant::now();
    bench.writer.stop(Duration::from_secs(20)).await;
    assert_eq!(bench.entry.server().stored().resources[0].attempts, 7);
    assert!(begun.elapsed() < Duration::from_secs(20));

    let bench = Bench::standing().await;
    bench.disconnect();
    bench.report(|status| status.phase = Phase::Degraded);
    let begun = Instant::now();
    bench.writer.stop(Duration::from_secs(20)).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(bench.entry.server().writes.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_reporter_what_stands_is_kept_standing() {
    let Bench { entry, link, reports, writer } = Bench::standing().await;
    drop(reports);
    entry.server().last = Entry::Absent;
    sleep(Duration::from_secs(4600)).await;
    assert_eq!(entry.server().stored().phase, Phase::Converged);
    drop(link);
    writer.stop(Duration::from_secs(1)).await;
}
