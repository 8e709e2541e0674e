//! The protocol against a model of a server that loses, delays, doubles and forgets.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What a writer has to say; the newest is the highest.
type Document = u32;

/// A publish that may reach the server at any time, also after its writer is gone.
#[derive(Debug, Clone)]
struct Publish {
    expected: u64,
    writer: Writer,
    document: Document,
}

/// One key of a bucket whose revisions other keys use up as well.
#[derive(Debug)]
struct Store {
    log: Vec<(Found, Document)>,
    last_sequence: u64,
    /// What a read could ever have found, for replicas that lag.
    past: Vec<Found>,
}

impl Store {
    fn new() -> Self {
        Self { log: Vec::new(), last_sequence: 0, past: Vec::new() }
    }

    fn last(&self) -> Found {
        let last = self.log.last().map(|(found, _)| found.clone());
        last.unwrap_or(Found { revision: 0, author: Author::Nobody })
    }

    fn lagging(&self, by: usize) -> Found {
        let index = self.past.len().checked_sub(by);
        index.and_then(|index| self.past.get(index).cloned()).unwrap_or_else(|| self.last())
    }

    fn append(&mut self, author: Author, document: Document) -> u64 {
        self.past.push(self.last());
        self.last_sequence += 1;
        self.log.push((Found { revision: self.last_sequence, author }, document));
        self.last_sequence
    }

    fn publish(&mut self, publish: &Publish) -> Option<u64> {
        let wins = self.last().revision == publish.expected;
        wins.then(|| self.append(Author::Writer(publish.writer.clone()), publish.document))
    }

    /// Goes back in time, numbers included.
    fn lose(&mut self, entries: usize) {
        self.past.push(self.last());
        self.log.truncate(self.log.len().saturating_sub(entries));
        self.last_sequence = self.last().revision;
    }
}

#[derive(Debug)]
struct Process {
    protocol: Protocol<(Writer, Document)>,
    newest: Option<Document>,
    reads: usize,
    writes: usize,
}

/// What happens to one request and its answer.
#[derive(Debug, Clone)]
enum Fate {
    Fine,
    RequestLost,
    AnswerLost,
    /// It is given up, and arrives later.
    Delayed,
    /// It arrives now, and again later.
    Doubled,
    Refused,
    /// A read is answered by a replica that is so many entries behind.
    Lagging(usize),
}

#[derive(Debug, Clone)]
enum Event {
    Report(usize),
    Move(usize, Fate),
    Reconnect(usize),
    Restart(usize),
    /// A delayed publish arrives.
    Arrive(usize),
    OtherTraffic,
    Garbage,
    Delete,
    Lose(usize),
}

struct World {
    store: Store,
    processes: Vec<Process>,
    delayed: Vec<Publish>,
    documents: Document,
    starts: usize,
    start_reads_lag: bool,
    /// Each write that was ever sent, by instance and op.
    sent: BTreeMap<(String, u64), Publish>,
}

impl World {
    fn new(processes: usize, start_reads_lag: bool) -> Self {
        let mut world = Self {
            store: Store::new(),
            processes: Vec::new(),
            delayed: Vec::new(),
            documents: 0,
            starts: 0,
            start_reads_lag,
            sent: BTreeMap::new(),
        };
        for _ in 0..processes {
            let process = world.start();
            world.processes.push(process);
        }
        world
    }

    fn start(&mut self) -> Process {
        self.starts += 1;
        // Spread over the alphabet, so that neither the older nor the younger always ranks higher.
        let instance = format!("{:02}", self.starts * 37 % 100);
        Process { protocol: Protocol::new(instance, 0), newest: None, reads: 0, writes: 0 }
    }

    fn report(&mut self, index: usize) {
        self.documents += 1;
        self.processes[index].newest = Some(self.documents);
    }

    fn arrive(&mut self, index: usize) {
        if !self.delayed.is_empty() {
            let publish = self.delayed.swap_remove(index % self.delayed.len());
            self.store.publish(&publish);
        }
    }

    fn happen(&mut self, event: Event) {
        let count = self.processes.len();
        match event {
            Event::Report(index) => self.report(index % count),
            Event::Move(index, fate) => {
                self.make_move(index % count, &fate);
            }
            Event::Reconnect(index) => self.processes[index % count].protocol.reconnected(),
            Event::Restart(index) => {
                let process = self.start();
                self.processes[index % count] = process;
            }
            Event::Arrive(index) => self.arrive(index),
            Event::OtherTraffic => self.store.last_sequence += 1,
            Event::Garbage => {
                self.store.append(Author::Stranger, 0);
            }
            Event::Delete => {
                self.store.append(Author::Nobody, 0);
            }
            Event::Lose(entries) => self.store.lose(entries),
        }
    }

    /// The next move of a process; false when it has nothing to do.
    fn make_move(&mut self, index: usize, fate: &Fate) -> bool {
        let process = &mut self.processes[index];
        match process.protocol.next() {
            Move::Superseded => false,
            Move::Free => {
                let standing = process.protocol.standing().map(|(_, document)| *document);
                match process.newest {
                    Some(newest) if standing != Some(newest) => {
                        process.protocol.begin((process.protocol.next_writer(), newest));
                        true
                    }
                    _ => false,
                }
            }
            Move::Read => {
                process.reads += 1;
                let may_lag = self.start_reads_lag || process.protocol.has_claimed();
                let fact = match fate {
                    Fate::RequestLost | Fate::AnswerLost | Fate::Refused => Fact::ReadFailed,
                    Fate::Lagging(by) if may_lag => Fact::Found(self.store.lagging(*by)),
                    Fate::Fine | Fate::Delayed | Fate::Doubled | Fate::Lagging(_) => {
                        Fact::Found(self.store.last())
                    }
                };
                process.protocol.note(fact);
                true
            }
            Move::Send { expected, document: (writer, document) } => {
                process.writes += 1;
                let publish = Publish { expected, writer: writer.clone(), document: *document };
                let key = (publish.writer.instance.clone(), publish.writer.op);
                let first = self.sent.entry(key).or_insert_with(|| publish.clone());
                assert_eq!((&first.writer, first.document), (&publish.writer, publish.document));
                assert_eq!(first.expected, publish.expected, "one write was sent against two revisions");
                let fact = match fate {
                    Fate::RequestLost => Fact::NotAcked,
                    Fate::Delayed => {
                        self.delayed.push(publish);
                        Fact::NotAcked
                    }
                    Fate::AnswerLost => {
                        self.store.publish(&publish);
                        Fact::NotAcked
                    }
                    Fate::Refused => Fact::Refused,
                    Fate::Fine | Fate::Doubled | Fate::Lagging(_) => {
                        if matches!(fate, Fate::Doubled) {
                            self.delayed.push(publish.clone());
                        }
                        self.store
                            .publish(&publish)
                            .map_or(Fact::NotAcked, |revision| Fact::Acked { revision })
                    }
                };
                process.protocol.note(fact);
                true
            }
        }
    }

    /// The faults stop: what is delayed arrives, each process has something new to say and finds
    /// its link anew, and all move in turns until none has anything to do. Asserts that this
    /// takes few requests, however long the faults lasted.
    fn calm(&mut self) {
        while !self.delayed.is_empty() {
            self.arrive(0);
        }
        for process in &mut self.processes {
            (process.reads, process.writes) = (0, 0);
        }
        // Twice: the second time, the last one to write is compared by all others.
        for _ in 0..2 {
            for index in 0..self.processes.len() {
                self.report(index);
                self.processes[index].protocol.reconnected();
            }
            let mut busy = true;
            while busy {
                busy = false;
                for index in 0..self.processes.len() {
                    busy |= self.make_move(index, &Fate::Fine);
                    let process = &self.processes[index];
                    assert!(process.reads <= 12 && process.writes <= 8, "no end of requests: {process:?}");
                }
            }
        }
        for process in &mut self.processes {
            process.protocol.reconnected();
        }
        let last = self.store.last();
        for index in 0..self.processes.len() {
            while self.make_move(index, &Fate::Fine) {}
        }
        assert_eq!(self.store.last(), last, "a check by itself led to a write");
    }

    fn rightful(&self) -> Vec<&Process> {
        self.processes.iter().filter(|process| process.protocol.superseded_by().is_none()).collect()
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Fine),
        1 => Just(Fate::RequestLost),
        2 => Just(Fate::AnswerLost),
        2 => Just(Fate::Delayed),
        1 => Just(Fate::Doubled),
        1 => Just(Fate::Refused),
        2 => (1..4_usize).prop_map(Fate::Lagging),
    ]
}

/// What can happen to requests and to other keys.
fn ordinary() -> impl Strategy<Value = Event> {
    prop_oneof![
        16 => (any::<usize>(), fate()).prop_map(|(index, fate)| Event::Move(index, fate)),
        5 => any::<usize>().prop_map(Event::Report),
        2 => any::<usize>().prop_map(Event::Reconnect),
        2 => any::<usize>().prop_map(Event::Arrive),
        1 => Just(Event::OtherTraffic),
    ]
}

/// What erases the epochs that the entry held.
fn erasure() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Garbage),
        2 => Just(Event::Delete),
        2 => (1..6_usize).prop_map(Event::Lose),
        1 => Just(Event::Lose(usize::MAX)),
    ]
}

fn restart() -> impl Strategy<Value = Event> {
    any::<usize>().prop_map(Event::Restart)
}

fn assert_stands(world: &World) -> Result<(), TestCaseError> {
    let rightful = world.rightful();
    prop_assert_eq!(rightful.len(), 1, "{:?}", &world.processes);
    let standing = rightful[0].protocol.standing().map(|(_, document)| *document);
    prop_assert_eq!(standing, rightful[0].newest);
    let entry = world.store.log.last().map(|(found, document)| (&found.author, *document));
    let author = Author::Writer(rightful[0].protocol.standing().unwrap().0.clone());
    prop_assert_eq!(entry, Some((&author, rightful[0].newest.unwrap())));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn of_clones_exactly_one_goes_on_and_its_newest_report_stands_whatever_the_store_forgets(
        clones in 2..4_usize,
        events in proptest::collection::vec(prop_oneof![7 => ordinary(), 1 => erasure()], 0..120),
    ) {
        let mut world = World::new(clones, true);
        events.into_iter().for_each(|event| world.happen(event));
        world.calm();
        assert_stands(&world)?;
    }

    // Only while the epochs are there to be read: tests.rs shows what happens otherwise.
    #[test]
    fn the_process_that_was_started_last_is_never_superseded_by_what_its_predecessors_left_behind(
        events in proptest::collection::vec(prop_oneof![12 => ordinary(), 1 => restart()], 0..120),
    ) {
        let mut world = World::new(1, false);
        events.into_iter().for_each(|event| world.happen(event));
        world.calm();
        assert_stands(&world)?;
    }

    #[test]
    fn a_superseded_process_was_outranked_by_a_write_of_another_and_at_most_one_goes_on(
        events in proptest::collection::vec(
            prop_oneof![12 => ordinary(), 1 => erasure(), 1 => restart()], 0..120,
        ),
    ) {
        let mut world = World::new(3, true);
        events.into_iter().for_each(|event| world.happen(event));
        world.calm();
        for process in &world.processes {
            if let Some(by) = process.protocol.superseded_by() {
                let own = process.protocol.next_writer();
                prop_assert!(by.epoch >= own.epoch && by.instance != own.instance);
                prop_assert!(world.sent.contains_key(&(by.instance.clone(), by.op)));
            }
        }
        prop_assert!(world.rightful().len() <= 1);
    }
}
