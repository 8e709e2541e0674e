//! Writing the log.

use std::{
    fs::{self, File},
    io, mem,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_model::Timestamp;
use crash_point::crash_point;
use tokio::sync::watch;

use super::{
    Draft, Happening, Head, files,
    tail::{self, Tail},
    told::Told,
};
use crate::{durable_file::give_to_the_folders_user, ledger::StoreFailure, state_dir::StateLayout};

/// A file that has grown beyond this is full: a megabyte is some 2,500 lines. It may grow by what one pass
/// announces, which is about as much again for the largest document.
const FULL: u64 = 1024 * 1024;
/// Files that are kept, the one that is written included: some 20,000 lines, which is years of a device that
/// changes weekly, and no more flash than a device can spare.
pub(super) const MAX_FILES: usize = 8;
/// Lines that wait for a disk that does not serve. Nothing is done meanwhile, so that all they can be is the
/// end of one pass and some refusals.
const MAX_WAITING: usize = 16 * 1024;

/// The log of a locked state folder. Clones write the same one: a pass writes its steps down while the device is
/// asked how it stands.
#[derive(Debug, Clone)]
pub struct AuditLog(Arc<Mutex<Writer>>);

#[derive(Debug)]
struct Writer {
    layout: StateLayout,
    /// The newest line.
    head: Head,
    /// The file that is written; `None` as long as its end was not found.
    open: Option<Open>,
    /// What could not be written yet, in order.
    waiting: Vec<Draft>,
    /// Where the file ended before the newest batch, until the ledger knows of it.
    before: Option<(u64, Head)>,
    unsynced: bool,
    told: Told,
    /// The number of the newest line that outlives a power cut.
    durable: watch::Sender<u64>,
    /// When a file is full, in bytes.
    full: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The bytes of whole lines in it.
    len: u64,
    /// The number of its first record.
    first: Option<u64>,
    /// Whether something may lie behind these.
    torn: bool,
}

impl AuditLog {
    /// The log of that folder, of which the ledger knows the line `known`. Where the disk does not serve, the
    /// end of the log is looked for when something is to be written.
    pub fn open(layout: &StateLayout, known: Head, now: Timestamp) -> Self {
        Self::open_with(layout, known, now, FULL)
    }

    pub(super) fn open_with(layout: &StateLayout, known: Head, now: Timestamp, full: u64) -> Self {
        let mut writer = Writer {
            layout: layout.clone(),
            head: known,
            open: None,
            waiting: Vec::new(),
            before: None,
            unsynced: false,
            told: Told::default(),
            durable: watch::channel(known.seq).0,
            full,
        };
        if let Err(error) = writer.find_end(now) {
            tracing::error!(%error, "the audit log cannot be opened yet");
        }
        Self(Arc::new(Mutex::new(writer)))
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest line, for the ledger.
    pub fn head(&self) -> Head {
        self.writer().head
    }

    /// The number of the newest line that outlives a power cut, and is known to the ledger.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.writer().durable.subscribe()
    }

    /// Puts a line behind those that wait to be written. A refusal or a safe mode that was told already, and
    /// that nothing else came after, is not told again.
    pub fn note(&self, draft: Draft) {
        self.writer().note(draft);
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the disk does not serve; it goes on waiting.
    pub fn write(&self) -> Result<(), StoreFailure> {
        let mut writer = self.writer();
        if writer.waiting.is_empty() {
            return Ok(());
        }
        writer.write().map_err(|error| StoreFailure::of(&error))
    }

    /// Writes these lines, and gives the number of the first. Until the ledger knows of them
    /// ([`announce`](Self::announce)) they can be [taken back](Self::take_back).
    ///
    /// # Errors
    /// When the disk does not serve; then they are forgotten.
    pub fn begin(&self, batch: Vec<Draft>) -> Result<u64, StoreFailure> {
        let mut writer = self.writer();
        writer.begin(batch).map_err(|error| StoreFailure::of(&error))
    }

    /// Removes the newest batch, because nothing of it will be done.
    pub fn take_back(&self) {
        self.writer().take_back();
    }

    /// Makes what was written outlive a power cut. Does nothing where it does already.
    ///
    /// # Errors
    /// When the disk does not serve.
    pub fn sync(&self) -> io::Result<()> {
        self.writer().sync()
    }

    /// All that was written is durable, and known to the ledger: from here on others may hear of it.
    pub fn announce(&self) {
        let mut writer = self.writer();
        writer.before = None;
        let newest = writer.head.seq;
        writer.durable.send_if_modified(|durable| mem::replace(durable, newest) != newest);
    }
}

impl Writer {
    fn note(&mut self, draft: Draft) {
        if !self.told.is_news(&draft) {
            return;
        }
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(draft);
        } else {
            tracing::error!(?draft, "this goes unrecorded: too much waits for the disk");
        }
    }

    fn begin(&mut self, batch: Vec<Draft>) -> io::Result<u64> {
        let Some(first) = batch.first() else { return Ok(self.head.seq + 1) };
        self.make_room(first.time)?;
        // What waits comes first and stays, whatever becomes of the batch.
        self.write()?;
        let before = (self.open.as_ref().map_or(0, |open| open.len), self.head);
        self.waiting = batch.clone();
        if let Err(error) = self.write_waiting() {
            self.waiting.clear();
            return Err(error);
        }
        self.before = Some(before);
        for draft in &batch {
            self.told.is_news(draft);
        }
        Ok(before.1.seq + 1)
    }

    fn take_back(&mut self) {
        let (Some((len, head)), Some(open)) = (self.before.take(), &mut self.open) else { return };
        (open.len, open.torn, self.head) = (len, true, head);
        if open.first.is_some_and(|first| first > head.seq) {
            open.first = None;
        }
        if let Err(error) = open.cut() {
            // It is tried again before the next line, and until then nothing is done.
            tracing::error!(%error, "records of what is not done cannot be taken back yet");
        }
    }

    /// Writes what waits, all of it or nothing.
    fn write(&mut self) -> io::Result<()> {
        let Some(now) = self.waiting.first().map(|draft| draft.time) else { return Ok(()) };
        self.make_room(now)?;
        self.write_waiting()
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        let open = self.open.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let (mut lines, mut head) = (Vec::new(), self.head);
        for draft in &self.waiting {
            let (line, next) = draft.line_after(head)?;
            lines.extend(line);
            head = next;
        }
        open.append(&lines)?;
        crash_point();
        open.first.get_or_insert(self.head.seq + 1);
        self.head = head;
        self.unsynced = true;
        self.waiting.clear();
        Ok(())
    }

    /// Has a file open that is not full.
    fn make_room(&mut self, now: Timestamp) -> io::Result<()> {
        self.find_end(now)?;
        let Some(open) = &self.open else { return Ok(()) };
        let Some(first) = open.first.filter(|_| open.len >= self.full) else { return Ok(()) };
        open.file.sync_data()?;
        fs::rename(self.layout.audit(), files::full_path(&self.layout, first))?;
        crash_point();
        self.open = None;
        self.open = Some(Open::at(&self.layout, None, 0)?);
        crash_point();
        let full = files::full(&self.layout);
        for (_, oldest) in full.iter().rev().skip(MAX_FILES - 1) {
            fs::remove_file(oldest)?;
        }
        Ok(())
    }

    /// Finds where the log ends, once the disk serves. What that has to tell waits before all else.
    fn find_end(&mut self, now: Timestamp) -> io::Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        let Tail { head, first, len, unended, told, damage } = tail::find(&self.layout, self.head)?;
        self.open = Some(Open::at(&self.layout, first, len)?);
        let recovered = damage.map(|message| {
            tracing::error!(message, "the audit log was damaged, and begins anew");
            Draft::new(now, Happening::LogRecovered { message })
        });
        let interrupted = unended.into_iter().filter_map(|(begun, announced)| {
            let Happening::Begun { step } = announced.happening else { return None };
            Some(Draft { time: now, happening: Happening::Interrupted { step, begun }, ..announced })
        });
        let first_of_all: Vec<Draft> = recovered.into_iter().chain(interrupted).collect();
        self.waiting.splice(0..0, first_of_all);
        // What the agent before wrote and the ledger does not know of may be nowhere but in memory.
        self.unsynced |= head != self.head;
        self.head = head;
        self.told = told;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if let Some(open) = self.open.as_ref().filter(|_| self.unsynced) {
            open.file.sync_data()?;
            crash_point();
        }
        self.unsynced = false;
        Ok(())
    }
}

impl Open {
    /// The file that is written, with whole lines of `len` bytes in it.
    fn at(layout: &StateLayout, first: Option<u64>, len: u64) -> io::Result<Self> {
        let path = layout.audit();
        let file = match files::open_for_writing(&path)? {
            Some(file) => file,
            None => {
                let file = files::create(&path)?;
                give_to_the_folders_user(&file, &path);
                // Its name must outlive a power cut as well.
                File::open(layout.path())?.sync_all()?;
                file
            }
        };
        Ok(Self { file, len, first, torn: true })
    }

    /// All of these or nothing.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.cut()?;
        }
        self.torn = true;
        if let Err(error) = self.file.write_all_at(lines, self.len) {
            // On a full disk half a batch would be in the way of everything else.
            let _ = self.cut();
            return Err(error);
        }
        self.torn = false;
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Removes what lies behind the whole lines.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.torn = false;
        Ok(())
    }
}
