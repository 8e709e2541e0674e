use std::sync::{Arc, Mutex};

use agent_model::{Timestamp, status::ResourceRef};
use tempfile::TempDir;
use tokio::time::{advance, timeout};

use super::*;
use crate::{
    audit::{Draft, Happening, Head},
    executor::StepEffect,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A stream that takes events when it is reachable.
#[derive(Clone)]
struct FakeStream {
    reachable: watch::Receiver<bool>,
    /// What was stored, and when.
    stored: Arc<Mutex<Vec<(Event, Instant)>>>,
    /// Numbers of events that are refused for good.
    refused: Vec<u64>,
    /// How often an event is not acknowledged before it is stored.
    unanswered: Arc<Mutex<u32>>,
    /// How often the server has no room for an event before it is stored.
    without_room: Arc<Mutex<u32>>,
}

impl Outlet for FakeStream {
    async fn reachable(&mut self) {
        self.reachable.wait_for(|reachable| *reachable).await.unwrap();
    }

    async fn renewed(&mut self) {
        self.reachable.changed().await.unwrap();
    }

    async fn publish(&self, event: &Event) -> Result<(), EventError> {
        let seq = event.seq;
        if self.refused.contains(&seq) {
            return Err(EventError::Refused { seq, code: 10054, description: "too large".into() });
        }
        let mut without_room = self.without_room.lock().unwrap();
        if *without_room > 0 {
            *without_room -= 1;
            return Err(EventError::Refused { seq, code: 10002, description: "no room".into() });
        }
        let mut unanswered = self.unanswered.lock().unwrap();
        if *unanswered > 0 {
            *unanswered -= 1;
            return Err(EventError::Unacknowledged { seq, source: "no answer".into() });
        }
        self.stored.lock().unwrap().push((event.clone(), Instant::now()));
        Ok(())
    }
}

/// A log, and the agent's process that tells of it.
struct Bench {
    folder: TempDir,
    log: AuditLog,
    stream: FakeStream,
    plug: watch::Sender<bool>,
    task: OwnedTask,
}

impl Bench {
    fn new() -> Self {
        let (plug, reachable) = watch::channel(true);
        let stream = FakeStream {
            reachable,
            stored: Arc::default(),
            refused: Vec::new(),
            unanswered: Arc::default(),
            without_room: Arc::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::open(&StateLayout::of(folder.path()), Head::default(), Timestamp::UNIX_EPOCH);
        Self { folder, log, stream, plug, task: OwnedTask::spawn(async {}) }
    }

    /// Starts the publisher, or the next one after the first was killed.
    fn start(&mut self) {
        let layout = StateLayout::of(self.folder.path());
        self.task = OwnedTask::spawn(Publisher::new(layout, &self.log, self.stream.clone()).run());
    }

    fn write(&self, happening: Happening) {
        self.write_draft(Draft::new(Timestamp::UNIX_EPOCH, happening));
    }

    fn write_draft(&self, draft: Draft) {
        self.log.note(draft);
        self.log.write().unwrap();
        self.log.sync().unwrap();
        self.log.announce();
    }

    fn done(&self, effect: StepEffect) {
        self.write(Happening::Done { step: "write".into(), begun: 0, duration_ms: 0, effect });
    }

    /// The numbers and types of what was stored, once there are so many.
    async fn stored(&self, count: usize) -> Vec<(u64, String)> {
        let stored = timeout(HOUR, async {
            while self.stream.stored.lock().unwrap().len() < count {
                sleep(Duration::from_millis(10)).await;
            }
        });
        stored.await.expect("so many events");
        let stored = self.stream.stored.lock().unwrap();
        stored.iter().map(|(event, _)| (event.seq, event.event_type.clone())).collect()
    }

    fn cursor(&self) -> Option<u64> {
        EventCursor::read(&StateLayout::of(self.folder.path())).map(|cursor| cursor.published)
    }
}

fn named(events: &[(u64, &str)]) -> Vec<(u64, String)> {
    events.iter().map(|(seq, name)| (*seq, (*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_of_interest_is_told_in_order_and_not_again_after_a_restart() {
    let mut bench = Bench::new();
    bench.start();
    bench.write(Happening::Accepted);
    bench.write(Happening::Begun { step: "write".into() });
    bench.done(StepEffect::Changed);
    bench.done(StepEffect::Auxiliary);
    bench.done(StepEffect::Repaired);
    let told = [(1, "Accepted"), (3, "Applied"), (5, "Drift")];
    assert_eq!(bench.stored(3).await, named(&told));
    bench.start();
    bench.done(StepEffect::Removed);
    assert_eq!(bench.stored(4).await[3..], named(&[(6, "Removed")]));
    assert_eq!(bench.cursor(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_new_link_ends_the_wait_after_failures() {
    let mut bench = Bench::new();
    *bench.stream.unanswered.lock().unwrap() = 20;
    bench.start();
    bench.write(Happening::Accepted);
    sleep(HOUR / 4).await;
    let left = *bench.stream.unanswered.lock().unwrap();
    assert!((1..=12).contains(&left), "{left} tries are left: by now they are minutes apart");
    let renewed = Instant::now();
    for _ in 0..left {
        bench.plug.send_replace(true);
        sleep(Duration::from_millis(10)).await;
    }
    bench.stored(1).await;
    assert!(renewed.elapsed() < Duration::from_secs(1), "{:?}", renewed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_server_nothing_is_lost_and_nothing_is_asked() {
    let mut bench = Bench::new();
    bench.plug.send_replace(false);
    bench.start();
    for _ in 0..150 {
        bench.done(StepEffect::Repaired);
    }
    advance(HOUR).await;
    bench.start();
    sleep(HOUR).await;
    assert_eq!((bench.stored(0).await.len(), bench.cursor()), (0, None));
    bench.plug.send_replace(true);
    let seqs: Vec<u64> = bench.stored(150).await.into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(seqs, (1..=150).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_or_finds_no_room_is_tried_again_and_what_is_too_large_is_left_out() {
    let mut bench = Bench::new();
    bench.stream.refused = vec![2];
    *bench.stream.unanswered.lock().unwrap() = 5;
    *bench.stream.without_room.lock().unwrap() = 5;
    bench.start();
    for _ in 0..3 {
        bench.done(StepEffect::Changed);
    }
    assert_eq!(bench.stored(2).await, named(&[(1, "Applied"), (3, "Applied")]));
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_in_the_same_way_is_told_once_until_it_changes_or_another_document_comes()
{
    let mut bench = Bench::new();
    bench.start();
    let about_it = |happening| {
        let resource = Some(ResourceRef { kind: "File".into(), name: "it".into() });
        Draft { resource, ..Draft::new(Timestamp::UNIX_EPOCH, happening) }
    };
    let failed = |reason: &str| {
        about_it(Happening::Failed {
            step: "write".into(),
            begun: 0,
            duration_ms: 0,
            reason: reason.into(),
            message: String::new(),
        })
    };
    let done = || {
        about_it(Happening::Done {
            step: "write".into(),
            begun: 0,
            duration_ms: 0,
            effect: StepEffect::Changed,
        })
    };
    let accepted = || Draft::new(Timestamp::UNIX_EPOCH, Happening::Accepted);
    for draft in [
        failed("A"),
        failed("A"),
        failed("B"),
        failed("B"),
        failed("A"),
        done(),
        failed("A"),
        accepted(),
        failed("A"),
        failed("A"),
    ] {
        bench.write_draft(draft);
    }
    let expected = [
        (1, "Failed"),
        (3, "Failed"),
        (5, "Failed"),
        (6, "Applied"),
        (7, "Failed"),
        (8, "Accepted"),
        (9, "Failed"),
    ];
    assert_eq!(bench.stored(7).await, named(&expected));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_device_says_so_and_no_more_until_it_is_started_anew() {
    let mut bench = Bench::new();
    bench.start();
    bench.write(Happening::DuplicateIdentity { message: "another".into() });
    bench.done(StepEffect::Repaired);
    timeout(HOUR, bench.task.ended()).await.expect("it ends");
    assert_eq!(bench.stored(1).await, named(&[(1, "DuplicateIdentity")]));
    bench.start();
    assert_eq!(bench.stored(2).await[1..], named(&[(2, "Drift")]));
}

#[tokio::test(start_paused = true)]
async fn a_fight_over_a_file_is_told_at_a_pace_that_a_metered_link_can_bear() {
    let mut bench = Bench::new();
    bench.start();
    for _ in 0..300 {
        bench.done(StepEffect::Repaired);
    }
    bench.stored(300).await;
    let stored = bench.stream.stored.lock().unwrap();
    let took = stored[299].1 - stored[0].1;
    assert!(took >= Duration::from_secs(99), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_the_log_does_not_silence_the_device() {
    let mut bench = Bench::new();
    EventCursor { published: 900 }.write(&StateLayout::of(bench.folder.path())).unwrap();
    bench.start();
    bench.done(StepEffect::Changed);
    assert_eq!(bench.stored(1).await, named(&[(1, "Applied")]));
}
