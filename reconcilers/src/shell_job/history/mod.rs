//! Which jobs ran on this device: `jobs.jsonl`, by which none runs twice.
//!
//! ```text
//! Started ──(synced)──▶ the shim is started ──▶ Ended          a line is appended, never changed
//!    └──▶ NotStarted: nothing ran
//! Lost ──▶ Unknown for each job that is declared then ──▶ Fenced
//! ```
//!
//! A start counts from the moment that its line is synced, before anything runs. So whenever the power is cut, a job
//! that may have begun is known. Apart from the ledger, so that losing one loses not the other: the ledger remembers
//! which declaration ran last, by which a history that is gone is noticed.
//!
//! Where lines are missing or damaged, nobody can say what they said. Then all that is declared at that moment is
//! *unknown*, and stays so: it does not run. What is declared later for the first time does.

mod line;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use agent_model::{Digest, ResourceName};

use self::line::Line;
pub(super) use self::line::Outcome;

/// A file that has grown beyond this is written anew with what still matters, in bytes.
const FULL: u64 = 2 << 20;
/// So many runs are remembered besides those of what is declared: the newest.
const REMEMBERED: usize = 1024;

/// What is known of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// It was run.
    Run(Box<JobRun>),
    /// Nobody knows whether it was.
    Unknown,
}

/// The last run of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobRun {
    /// The name of the job.
    pub(super) name: ResourceName,
    /// As declared.
    pub(super) run_id: String,
    /// The digest of the script.
    pub(super) script: Digest,
    /// Names the run.
    pub(super) run: String,
    /// Counts the runs of this declaration, from 1.
    pub(super) attempt: u64,
    /// When it was started (RFC 3339).
    pub(super) at: String,
    /// How it ended; `None` while that is not known.
    pub(super) outcome: Option<Outcome>,
    /// How the one before ended.
    before: Option<Outcome>,
}

/// The history of a device. Nobody else writes the file: the state folder is locked.
#[derive(Debug)]
pub(super) struct History {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the file was read.
    is_read: bool,
    /// Whether there was none to be read.
    was_missing: bool,
    /// Whether the ledger was lost.
    ledger_was_lost: bool,
    /// What was lost, as long as what is declared was not marked as unknown for it.
    lost: Option<String>,
    known: BTreeMap<Digest, (u64, Known)>,
    /// Counts what became known, so that the oldest can be told.
    order: u64,
    /// What is declared.
    declared: BTreeSet<Digest>,
    /// The bytes of whole lines in the file.
    len: u64,
    /// Whether the folder was synced with the file in it.
    is_placed: bool,
}

/// Whether the ledger remembers that jobs ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ledger {
    /// Some did.
    KnowsOfRuns,
    /// It knows of none.
    KnowsOfNone,
}

impl History {
    pub(super) fn of(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// The ledger was lost, so that a file which is not there may have been.
    pub(super) fn ledger_was_lost(&self) {
        let mut state = self.lock();
        state.ledger_was_lost = true;
        if state.is_read && state.was_missing {
            state.lost.get_or_insert_with(|| MISSING.to_owned());
        }
    }

    /// Takes note of all that is declared, reads the file where that was not done yet, and marks what is declared as
    /// unknown where something was lost. Blocking.
    pub(super) fn look(&self, declared: BTreeSet<Digest>, ledger: Ledger) -> io::Result<()> {
        let mut state = self.lock();
        if !state.is_read {
            self.read(&mut state)?;
        }
        if state.was_missing && (state.ledger_was_lost || ledger == Ledger::KnowsOfRuns) {
            state.lost.get_or_insert_with(|| MISSING.to_owned());
            state.was_missing = false;
        }
        state.declared = declared;
        if let Some(why) = state.lost.clone() {
            tracing::warn!(
                why,
                "the history of jobs was lost; what is declared now does not run without a new runId"
            );
            let unknown: Vec<Digest> =
                state.declared.iter().filter(|key| !state.known.contains_key(key)).copied().collect();
            let marks = unknown.into_iter().map(|key| Line::Unknown { key });
            let lines: Vec<Line> =
                [Line::Lost { why }].into_iter().chain(marks).chain([Line::Fenced]).collect();
            self.append(&mut state, &lines)?;
        }
        Ok(())
    }

    /// Forgets what was declared, as nothing is any more, and says so. Where that takes the disk, because the file was
    /// not read yet or a loss has to be noted, it is left to [`look`](Self::look), and false given.
    pub(super) fn forget_declared(&self) -> bool {
        let mut state = self.lock();
        let must_tell = state.lost.is_some() || (state.was_missing && state.ledger_was_lost);
        let is_enough = state.is_read && !must_tell;
        if is_enough {
            state.declared = BTreeSet::new();
        }
        is_enough
    }

    /// What is known of a declaration.
    pub(super) fn of_key(&self, key: &Digest) -> Option<Known> {
        self.lock().known.get(key).map(|(_, known)| known.clone())
    }

    /// A run of the job of that name whose end was not noted yet, with its declaration. There is one at most: none is
    /// begun before.
    pub(super) fn open_run_of(&self, name: &ResourceName) -> Option<(Digest, JobRun)> {
        let state = self.lock();
        state.known.iter().find_map(|(key, (_, known))| match known {
            Known::Run(run) if run.name == *name && run.outcome.is_none() => Some((*key, (**run).clone())),
            _ => None,
        })
    }

    /// Notes that a run is about to begin. Once this has returned, it has.
    pub(super) fn start(
        &self,
        key: Digest,
        name: &ResourceName,
        run_id: &str,
        script: Digest,
        run: &str,
        attempt: u64,
    ) -> io::Result<()> {
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let (name, run_id, run) = (name.clone(), run_id.to_owned(), run.to_owned());
        let mut state = self.lock();
        self.append(&mut state, &[Line::Started { key, name, run_id, script, run, attempt, at }])
    }

    /// Notes that the run was not begun after all.
    pub(super) fn not_started(&self, key: Digest, run: &str) -> io::Result<()> {
        let mut state = self.lock();
        self.append(&mut state, &[Line::NotStarted { key, run: run.to_owned() }])
    }

    /// Notes how a run ended.
    pub(super) fn end(&self, key: Digest, run: &str, outcome: Outcome) -> io::Result<()> {
        let mut state = self.lock();
        self.append(&mut state, &[Line::Ended { key, run: run.to_owned(), outcome }])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file. What follows the last whole line is what the power cut off, before it was synced and so before
    /// anything was done for it.
    fn read(&self, state: &mut State) -> io::Result<()> {
        let content = match fs::read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (state.is_read, state.was_missing) = (true, true);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut damaged = 0_u64;
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            match Line::decode(whole) {
                Some(line) => state.take(line),
                None => damaged += 1,
            }
            state.len += line.len() as u64;
        }
        state.is_read = true;
        if damaged > 0 {
            // What the others say is still true. The damaged ones stay to be looked at.
            let kept = self.path.with_extension("damaged.jsonl");
            fs::copy(&self.path, &kept)?;
            state.lost =
                Some(format!("{damaged} lines were damaged; the file is kept as {}", kept.display()));
            self.rewrite(state)?;
        }
        Ok(())
    }

    /// Appends the lines and waits until they outlive a power cut. After an error they are not there.
    fn append(&self, state: &mut State, lines: &[Line]) -> io::Result<()> {
        if !state.is_read {
            self.read(state)?;
        }
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(line.encode()?);
        }
        if state.len > 0 && !self.path.exists() {
            // Somebody has removed it: what it said is still known here.
            self.rewrite(state)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        // What a power cut or a full disk left behind the last whole line.
        file.set_len(state.len)?;
        let written = (&file).write_all(&bytes).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Where even this fails, the next append cuts it off.
            let _ = file.set_len(state.len);
            return Err(error);
        }
        // Not only of a new one: it may have been made when there was no room for a line, or before a crash.
        if !state.is_placed {
            sync_folder(&self.path)?;
            state.is_placed = true;
        }
        state.len += bytes.len() as u64;
        state.was_missing = false;
        lines.iter().cloned().for_each(|line| state.take(line));
        if state.len > FULL {
            // A file that cannot be replaced now is replaced later.
            if let Err(error) = self.rewrite(state) {
                tracing::warn!(%error, "the history of jobs cannot be written anew");
            }
        }
        Ok(())
    }

    /// Replaces the file by one with what still matters: all that is declared, what has not ended, and the newest of
    /// everything else.
    fn rewrite(&self, state: &mut State) -> io::Result<()> {
        state.forget_the_oldest();
        let mut bytes = Vec::new();
        let mut in_order: Vec<_> = state.known.iter().collect();
        in_order.sort_unstable_by_key(|(_, (order, _))| *order);
        for (key, (_, known)) in in_order {
            for line in lines_of(*key, known) {
                bytes.extend(line.encode()?);
            }
        }
        let temporary = self.path.with_extension("tmp");
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        // That something was lost must not be forgotten by writing the file anew.
        if let Some(why) = state.lost.clone() {
            let line = Line::Lost { why }.encode()?;
            file.write_all(&line)?;
            bytes.extend(line);
        }
        file.sync_all()?;
        crash_point::crash_point();
        fs::rename(&temporary, &self.path)?;
        sync_folder(&self.path)?;
        state.len = bytes.len() as u64;
        Ok(())
    }
}

/// Why a file that is not there counts as lost.
const MISSING: &str = "jobs.jsonl was missing, though jobs may have run";

impl State {
    /// Follows one line.
    fn take(&mut self, line: Line) {
        self.order += 1;
        let order = self.order;
        match line {
            Line::Started { key, name, run_id, script, run, attempt, at } => {
                let before = match self.known.remove(&key) {
                    Some((_, Known::Run(before))) => before.outcome,
                    _ => None,
                };
                let run = JobRun { name, run_id, script, run, attempt, at, outcome: None, before };
                self.known.insert(key, (order, Known::Run(Box::new(run))));
            }
            Line::NotStarted { key, run } => {
                if let Some((_, Known::Run(known))) = self.known.get_mut(&key)
                    && known.run == run
                {
                    match known.before.take() {
                        Some(before) => {
                            known.attempt = known.attempt.saturating_sub(1);
                            known.outcome = Some(before);
                        }
                        None => {
                            self.known.remove(&key);
                        }
                    }
                }
            }
            Line::Ended { key, run, outcome } => {
                if let Some((_, Known::Run(known))) = self.known.get_mut(&key)
                    && known.run == run
                {
                    known.outcome = Some(outcome);
                }
            }
            Line::Unknown { key } => {
                self.known.entry(key).or_insert((order, Known::Unknown));
            }
            Line::Lost { why } => self.lost = Some(why),
            Line::Fenced => self.lost = None,
        }
    }

    fn forget_the_oldest(&mut self) {
        let is_over = |known: &Known| !matches!(known, Known::Run(run) if run.outcome.is_none());
        let mut dispensable: Vec<(u64, Digest)> = self
            .known
            .iter()
            .filter(|(key, (_, known))| !self.declared.contains(key) && is_over(known))
            .map(|(key, (order, _))| (*order, *key))
            .collect();
        dispensable.sort_unstable();
        let excess = dispensable.len().saturating_sub(REMEMBERED);
        for (_, key) in dispensable.into_iter().take(excess) {
            self.known.remove(&key);
        }
    }
}

/// The lines that say what is known.
fn lines_of(key: Digest, known: &Known) -> Vec<Line> {
    let Known::Run(run) = known else {
        return vec![Line::Unknown { key }];
    };
    let JobRun { name, run_id, script, run, attempt, at, outcome, before } = run.as_ref();
    let started = |run: &str, attempt| Line::Started {
        key,
        name: name.clone(),
        run_id: run_id.clone(),
        script: *script,
        run: run.to_owned(),
        attempt,
        at: at.clone(),
    };
    let ended =
        |run: &str, outcome: &Outcome| Line::Ended { key, run: run.to_owned(), outcome: outcome.clone() };
    match (outcome, before) {
        (Some(outcome), _) => vec![started(run, *attempt), ended(run, outcome)],
        (None, None) => vec![started(run, *attempt)],
        // Should this run turn out not to have begun, the one before is the last again.
        (None, Some(before)) => {
            vec![
                started("before", attempt.saturating_sub(1)),
                ended("before", before),
                started(run, *attempt),
            ]
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
impl JobRun {
    /// A run of a job for tests of what is decided about it.
    pub(super) fn of_test(run: &str, attempt: u64, outcome: Option<Outcome>) -> Self {
        Self {
            name: "job".parse().unwrap(),
            run_id: String::new(),
            script: Digest::of_bytes(b"script"),
            run: run.to_owned(),
            attempt,
            at: String::new(),
            outcome,
            before: None,
        }
    }
}
