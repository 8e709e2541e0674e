//! Reads what is there, for all files of a pass at once. Blocking.
//!
//! A pass that finds nothing changed costs one `stat` for each file and one `open` for each
//! folder: files are looked at in the order of their paths, so that those of one folder share it,
//! and a content is hashed only when its size could matter and its stamp is news.

use std::{collections::HashMap, fs::File, io, sync::Arc, time::SystemTime};

use agent_model::{Failure, FileSpec, Goal, Target, TargetPath};
use rustix::fs::FileType;

use super::{
    Device, claimed_path, content, failures,
    observation::{FileObservation, Found, FoundFile, Owner},
    originals::MAX_ORIGINAL,
    principals::Principals,
    record::{Attributes, FileRecord, Fingerprint, KnownContents},
    sightings::Sighting,
    stamp::{Inode, Stamp},
    walk::{Folder, Location, Walker, kind},
};

/// What is asked about one target: the part of it that can cross to another thread cheaply.
pub(super) struct Question {
    subject: Subject,
    known: Option<KnownContents>,
    /// The folders above it that another of our files created, but for those that its record names.
    shared_parents: Vec<TargetPath>,
}

enum Subject {
    Declared(Arc<FileSpec>),
    Dropped(TargetPath),
}

impl Question {
    fn path(&self) -> &TargetPath {
        match &self.subject {
            Subject::Declared(spec) => &spec.path,
            Subject::Dropped(path) => path,
        }
    }

    /// Whether nothing was written yet, so that what is found may be the original.
    fn is_untaken(&self) -> bool {
        self.known.is_none_or(|known| known.written.is_none())
    }

    /// Whether what is sealed could be what is found.
    fn concerns_sealed(&self) -> bool {
        let declared = match &self.subject {
            Subject::Declared(spec) => spec.content.sealed().is_some(),
            Subject::Dropped(_) => false,
        };
        let known = self.known.map(|known| [known.written, known.intended]);
        declared || known.into_iter().flatten().flatten().any(|content| content.keyed)
    }

    /// Whether a content of this size has to be known.
    fn needs_digest(&self, size: u64) -> bool {
        let ours = |content: Option<Fingerprint>| content.is_some_and(|content| content.size == size);
        let written = self.known.and_then(|known| known.written);
        let intended = self.known.and_then(|known| known.intended);
        let original = self.known.and_then(|known| known.original);
        match &self.subject {
            Subject::Declared(spec) => {
                spec.content_len() == size
                    || ours(intended)
                    || ours(original)
                    || (self.is_untaken() && size <= MAX_ORIGINAL)
            }
            Subject::Dropped(_) => ours(written) || ours(intended),
        }
    }
}

/// Puts the questions that a pass's targets raise.
///
/// # Errors
/// When one of them is no file's.
pub(super) fn questions(targets: &[Target<FileSpec, FileRecord>]) -> Result<Vec<Question>, Failure> {
    let created: HashMap<&str, &TargetPath> = targets
        .iter()
        .filter_map(|target| target.record.as_ref())
        .flat_map(|record| record.created_parents.iter())
        .map(|parent| (parent.as_str(), parent))
        .collect();
    let mut questions = Vec::with_capacity(targets.len());
    for target in targets {
        questions.push(question(target, &created)?);
    }
    Ok(questions)
}

/// What is asked about one target, where our files created these folders.
fn question(
    target: &Target<FileSpec, FileRecord>,
    created: &HashMap<&str, &TargetPath>,
) -> Result<Question, Failure> {
    let path = claimed_path(&target.claim)?;
    let own = target.record.as_ref().map_or([].as_slice(), |record| &record.created_parents);
    let is_own = |folder: &&str| own.iter().any(|parent| parent.as_str() == *folder);
    let others = path.ancestors().filter(|folder| !created.is_empty() && !is_own(folder));
    let shared = others.filter_map(|folder| created.get(folder).copied());
    Ok(Question {
        subject: match &target.goal {
            Goal::Present { spec, .. } => Subject::Declared(Arc::clone(spec)),
            Goal::Absent => Subject::Dropped(path.clone()),
        },
        known: target.record.as_ref().map(FileRecord::contents),
        shared_parents: shared.cloned().collect(),
    })
}

/// Answers each question in its place.
pub(super) fn answer(device: &Device, questions: &[Question]) -> Vec<Result<FileObservation, Failure>> {
    let pass = device.watcher.begin_pass();
    let hashed_before = device.sightings.hashed();
    let protected = device.protection.resolve();
    let mut walker = match Walker::open(&device.root, &protected, &device.watcher) {
        Ok(walker) => walker,
        Err(failure) => return vec![Err(failure); questions.len()],
    };
    let mut principals = Principals::new();

    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_unstable_by_key(|index| questions[*index].path());
    // Before anything is looked at, so that no event is taken for nobody's.
    let declared = |index: &&usize| matches!(questions[**index].subject, Subject::Declared(_));
    let declared = order.iter().filter(declared).map(|index| questions[*index].path());
    let mut last = device.sightings.declare(declared, pass).into_iter();
    let began = (device.sightings.clock)();
    let mut places = Vec::with_capacity(questions.len());
    let mut answers: Vec<Option<_>> = questions.iter().map(|_| None).collect();
    for index in order {
        let question = &questions[index];
        let last = match &question.subject {
            Subject::Declared(_) => last.next().flatten(),
            Subject::Dropped(_) => None,
        };
        let answer = look_at(device, &mut walker, &mut principals, question, last, began);
        if let (Subject::Declared(spec), Ok(seen)) = (&question.subject, &answer)
            && let Some(folder) = seen.folder
        {
            places.push(Place { folder, name: spec.path.file_name(), claimant: index });
        }
        answers[index] = Some(answer.map(|seen| seen.observation));
    }
    for (rival, holder) in rivals(questions, places) {
        answers[rival] = Some(Err(failures::same_file(questions[rival].path(), questions[holder].path())));
    }

    device.sightings.forget_before(pass);
    device.watcher.forget_before(pass);
    let hashed = device.sightings.hashed() - hashed_before;
    tracing::debug!(files = questions.len(), hashed, "looked at the files");
    // Each is there. `map_while` and no `flatten`, as that keeps the memory that they are in.
    answers.into_iter().map_while(|answer| answer).collect()
}

/// Where a declared path leads, and the question that it is of.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place<'q> {
    folder: Inode,
    name: &'q str,
    claimant: usize,
}

/// Each declared path that leads through a link to a file that another one has, with that other
/// one: the one that was written already, else the first by name.
fn rivals(questions: &[Question], mut places: Vec<Place<'_>>) -> Vec<(usize, usize)> {
    // Stable, because that is quick where they come folder by folder, sorted by name.
    places.sort();
    let mut rivals = Vec::new();
    for places in places.chunk_by(|one, two| (one.folder, one.name) == (two.folder, two.name)) {
        let claimants = places.iter().map(|place| place.claimant);
        let holder =
            claimants.clone().min_by_key(|index| (questions[*index].is_untaken(), questions[*index].path()));
        let Some(holder) = holder else { continue };
        rivals.extend(claimants.filter(|index| *index != holder).map(|rival| (rival, holder)));
    }
    rivals
}

/// An observation, and the folder that was found on the way to it.
struct Seen {
    observation: FileObservation,
    folder: Option<Inode>,
}

fn look_at<'q>(
    device: &Device,
    walker: &mut Walker<'_>,
    principals: &mut Principals<'q>,
    question: &'q Question,
    last: Option<Sighting>,
    began: SystemTime,
) -> Result<Seen, Failure> {
    let path = question.path();
    let owner = match &question.subject {
        Subject::Declared(spec) => principals.owner_of(spec)?,
        Subject::Dropped(_) => principals.own(),
    };
    let shared_parents = question.shared_parents.clone();
    let (folder, missing_parents) = match (walker.locate(path), &question.subject) {
        (Ok(Location::Folder(folder)), _) => (folder, Vec::new()),
        (Ok(Location::Missing(missing_parents)), _) => {
            device.sightings.saw(path, Sighting::new(None, None, began));
            return Ok(nothing(owner, missing_parents, shared_parents));
        }
        // Where a folder on the way became something else, the file is gone as well.
        (Err(failure), Subject::Dropped(_)) if failure.reason == failures::NOT_A_DIRECTORY => {
            return Ok(nothing(owner, Vec::new(), shared_parents));
        }
        (Err(failure), _) => return Err(failure),
    };

    let mut found = find(device, walker, &folder, question, last, began)?;
    if let Found::File(file) = &mut found
        && question.concerns_sealed()
    {
        file.keyed = file.digest.and_then(|digest| device.unsealer.fingerprint(digest));
    }
    let unfinished = question.known.is_some_and(|known| known.intended.is_some());
    let dropped = matches!(question.subject, Subject::Dropped(_));
    let settled = !unfinished
        && match &question.subject {
            Subject::Declared(spec) => {
                let attributes = Attributes { mode: spec.mode, uid: owner.uid, gid: owner.gid };
                Fingerprint::of(&spec.content).is_some_and(|wanted| found.is(wanted, attributes))
            }
            Subject::Dropped(_) => false,
        };
    let original_lies_there = found.holds(question.known.and_then(|known| known.original));
    let observation = FileObservation {
        original_kept: (dropped || question.is_untaken() || original_lies_there)
            && original_is_kept(device, question, &found),
        temporary: if settled {
            None
        } else {
            let temporary = folder
                .stat(&path.temporary_name())
                .map_err(|error| failures::io("look for an unfinished copy next to", path, error))?;
            temporary.map(|stamp| stamp.file_type())
        },
        found,
        missing_parents,
        shared_parents,
        owner,
    };
    Ok(Seen { observation, folder: Some(folder.inode()) })
}

fn nothing(owner: Owner, missing_parents: Vec<TargetPath>, shared_parents: Vec<TargetPath>) -> Seen {
    let observation = FileObservation {
        found: Found::Absent,
        missing_parents,
        shared_parents,
        owner,
        original_kept: false,
        temporary: None,
    };
    Seen { observation, folder: None }
}

fn find(
    device: &Device,
    walker: &Walker<'_>,
    folder: &Folder,
    question: &Question,
    last: Option<Sighting>,
    began: SystemTime,
) -> Result<Found, Failure> {
    let path = question.path();
    let see = |stamp| device.sightings.saw(path, Sighting::new(stamp, None, began));
    let Some(stamp) = walker.look(folder, path)? else {
        see(None);
        return Ok(Found::Absent);
    };
    match stamp.file_type() {
        FileType::RegularFile => {}
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(folder, path.file_name(), Vec::new())
                .map_err(|error| failures::io("read the link", path, error))?;
            let target = target
                .into_string()
                .map_err(|_| failures::not_regular_file(path, "a symbolic link to a name that is no text"))?;
            see(Some(stamp));
            return Ok(Found::Symlink { target, stamp });
        }
        other => {
            see(Some(stamp));
            return Ok(Found::Other(kind(other)));
        }
    }
    if let Some(digest) = last.and_then(|last| last.digest_for(&stamp)) {
        return Ok(Found::File(FoundFile { stamp, digest: Some(digest), keyed: None }));
    }
    if !question.needs_digest(stamp.size) {
        see(Some(stamp));
        return Ok(Found::File(FoundFile { stamp, digest: None, keyed: None }));
    }
    let seen = match hash(device, content::open_regular(folder, path.file_name())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Opening it leaves another stamp each time, so one that never rests has to do.
            if let Some(last) = last.filter(|last| last.digest.is_some() && last.stamp == Some(stamp)) {
                return Ok(Found::File(FoundFile { stamp, digest: last.digest, keyed: None }));
            }
            hash(device, content::open_own(folder, path.file_name()))
        }
        seen => seen,
    };
    match seen {
        Ok(Some(sighting)) => {
            device.sightings.saw(path, sighting);
            let stamp = sighting.stamp.unwrap_or(stamp);
            Ok(Found::File(FoundFile { stamp, digest: sighting.digest, keyed: None }))
        }
        Ok(None) => Err(failures::changed_meanwhile(path)),
        // Somebody else's by now: whatever it holds, it is written anew.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && matches!(question.subject, Subject::Declared(_))
                && !question.is_untaken() =>
        {
            see(Some(stamp));
            Ok(Found::File(FoundFile { stamp, digest: None, keyed: None }))
        }
        Err(error) => Err(failures::io("read", path, error)),
    }
}

/// Reads a regular file that was just opened, to know its digest; `None` when it is none any more.
pub(super) fn hash(
    device: &Device,
    opened: io::Result<Option<(File, Stamp)>>,
) -> io::Result<Option<Sighting>> {
    let at = (device.sightings.clock)();
    let Some((mut file, stamp)) = opened? else { return Ok(None) };
    device.sightings.count_hashed();
    let content = content::copy(&mut file, &mut io::sink(), stamp.size)?;
    // One that grew or shrank under our hands has the content of no moment.
    let digest = Some(content.digest).filter(|_| content.size == stamp.size);
    Ok(Some(Sighting::new(Some(stamp), digest, at)))
}

fn original_is_kept(device: &Device, question: &Question, found: &Found) -> bool {
    let original = match question.known {
        Some(known) => known.original_behind(found),
        None => found.fingerprint(),
    };
    original.is_some_and(|original| device.originals.holds(original))
}

/// The stamp of what is at `path` now, by a walk of its own.
pub(super) fn stamp_of(
    walker: &mut Walker<'_>,
    path: &TargetPath,
) -> Result<Option<(std::rc::Rc<Folder>, Stamp)>, Failure> {
    let Location::Folder(folder) = walker.locate(path)? else { return Ok(None) };
    Ok(walker.look(&folder, path)?.map(|stamp| (folder, stamp)))
}
