//! Decides what to do about a file. Pure.
//!
//! ```text
//! declared:  sweep? ─▶ keep the original? ─▶ write | set mode and owner | nothing
//! dropped:   sweep? ─▶ restore (when the content is still ours) ─▶ remove empty parents
//! ```
//!
//! One rule covers replaced, adopted and new files alike: what was there when the claim was taken
//! comes back when it is given up. A claim is taken once something was altered for it; until then
//! the original is whatever lies there. The intent names the content on its way, so that after a crash
//! the old as well as the new content is known to be ours.
//!
//! Of what was sealed to a key that is lost only size and mode can be told. A file that has the size of what
//! we left is ours where nobody but its owner may read it; else nobody can tell, and it stays as it is.

#[cfg(test)]
mod tests;

use agent_model::{CannotUnseal, Failure, FileSpec, Goal, Plan, Standing, Target, TargetPath};
use rustix::fs::FileType;

use super::{
    claimed_path, failures,
    observation::{FileObservation, Found},
    originals::MAX_ORIGINAL,
    record::{Attributes, FileRecord, Fingerprint, Original},
    step::{FileAction, FileStep},
};

pub(super) fn plan(
    target: &Target<FileSpec, FileRecord>,
    observed: &FileObservation,
) -> Plan<FileStep, FileRecord> {
    let path = match claimed_path(&target.claim) {
        Ok(path) => path,
        Err(failure) => return Plan::blocked(target.record.clone(), failure),
    };
    match &target.goal {
        Goal::Present { spec, .. } => establish(path, spec, target.record.as_ref(), observed),
        Goal::Absent => undo(path, target.record.as_ref(), observed),
    }
}

/// Makes the file as declared.
fn establish(
    path: &TargetPath,
    spec: &FileSpec,
    record: Option<&FileRecord>,
    observed: &FileObservation,
) -> Plan<FileStep, FileRecord> {
    let before = match taken(path, record, observed) {
        Ok(before) => before,
        Err(failure) => return Plan::blocked(record.cloned(), failure),
    };
    let Some(wanted) = Fingerprint::of(&spec.content) else {
        return Plan::blocked(record.cloned(), CannotUnseal::NoKey.into());
    };
    let attributes = Attributes { mode: spec.mode, uid: observed.owner.uid, gid: observed.owner.gid };

    let mut actions = Vec::new();
    if let Some(original) = before.contents().original
        && !observed.original_kept
        // Lying there, it is about to be overwritten, and may be the only copy left.
        && (before.written.is_none() || observed.found.holds(Some(original)))
    {
        actions.push(FileAction::KeepOriginal(original));
    }
    match &observed.found {
        found if found.is(wanted, attributes) => {}
        Found::File(file) if file.holds(wanted) && file.has_one_name() => {
            actions.push(FileAction::SetAttributes { attributes, of: file.stamp });
        }
        found => actions.push(FileAction::Write {
            attributes,
            // All of them and not the missing ones only: a removal in the same pass may take away
            // a folder that was still there when we looked.
            parents: before.created_parents.to_vec(),
            over: found.stamp(),
        }),
    }

    let actions = match with_sweep(path, record, observed, actions) {
        Ok(actions) => actions,
        Err(failure) => return Plan::blocked(record.cloned(), failure),
    };
    if actions.is_empty() {
        let done = FileRecord { written: Some(wanted), intended: None, ..before };
        return Plan::nothing(Some(done), Standing::in_sync());
    }
    let done = FileRecord { written: Some(wanted), intended: None, ..before.clone() };
    Plan {
        intent: Some(FileRecord { intended: Some(wanted), ..before }),
        steps: steps(path, actions),
        record: Some(done),
        then: Standing::in_sync(),
    }
}

/// The claim as it stands before anything is done: what it gives back, what of it is ours and
/// which folders exist because of it.
fn taken(
    path: &TargetPath,
    record: Option<&FileRecord>,
    observed: &FileObservation,
) -> Result<FileRecord, Failure> {
    if let Found::Other(what) = observed.found {
        return Err(failures::not_regular_file(path, what));
    }
    let mut claim = match record {
        Some(record) if record.contents().possible(observed).original_stands(&observed.found) => {
            let arrived = record.intended.filter(|_| observed.found.is_ours(record.intended));
            FileRecord { written: arrived.or(record.written), intended: None, ..record.clone() }
        }
        untaken => FileRecord {
            original: original_of(path, &observed.found)?,
            created_parents: untaken.map(|record| record.created_parents.clone()).unwrap_or_default(),
            written: None,
            intended: None,
        },
    };
    let mut new: Vec<_> = observed.missing_parents.iter().chain(&observed.shared_parents).collect();
    new.retain(|parent| !claim.created_parents.contains(parent));
    if !new.is_empty() {
        let mut parents: Vec<_> = claim.created_parents.iter().chain(new).cloned().collect();
        // Each is an ancestor of one path, so the shorter is the one above.
        parents.sort_by_key(|parent| parent.as_str().len());
        parents.dedup();
        claim.created_parents = parents.into();
    }
    Ok(claim)
}

/// What is found, as something to give back later.
fn original_of(path: &TargetPath, found: &Found) -> Result<Original, Failure> {
    Ok(match found {
        Found::Absent => Original::Absent,
        Found::Symlink { target, stamp } => {
            Original::Symlink { target: target.clone(), uid: stamp.uid, gid: stamp.gid }
        }
        Found::File(file) if file.stamp.size > MAX_ORIGINAL => {
            return Err(failures::original_too_large(path, file.stamp.size));
        }
        Found::File(file) => match file.fingerprint() {
            Some(content) => Original::File { content, attributes: file.attributes() },
            None => return Err(failures::changed_meanwhile(path)),
        },
        Found::Other(what) => return Err(failures::not_regular_file(path, what)),
    })
}

/// Gives the path back.
fn undo(
    path: &TargetPath,
    record: Option<&FileRecord>,
    observed: &FileObservation,
) -> Plan<FileStep, FileRecord> {
    let Some(record) = record else { return Plan::nothing(None, Standing::Gone) };
    let known = record.contents().possible(observed);
    if known.may_be_found(&observed.found) {
        return Plan::blocked(Some(record.clone()), failures::sealing_key_lost(path));
    }

    let mut actions = Vec::new();
    if let Found::File(file) = &observed.found
        && known.are_found(&observed.found)
    {
        match &record.original {
            Original::File { content, attributes }
                if file.holds(*content) && file.attributes() == *attributes => {}
            Original::File { content, attributes } if file.holds(*content) && file.has_one_name() => {
                actions.push(FileAction::SetAttributes { attributes: *attributes, of: file.stamp });
            }
            Original::File { content, .. } if !observed.original_kept && !file.holds(*content) => {
                let failure = failures::original_lost(path, content.digest);
                return Plan::blocked(Some(record.clone()), failure);
            }
            original => {
                if let (Original::File { content, .. }, false) = (original, observed.original_kept) {
                    actions.push(FileAction::KeepOriginal(*content));
                }
                actions.push(FileAction::Restore { original: original.clone(), over: file.stamp });
            }
        }
    }
    if !record.created_parents.is_empty() {
        actions.push(FileAction::RemoveParents(record.created_parents.to_vec()));
    }
    let actions = match with_sweep(path, Some(record), observed, actions) {
        Ok(actions) => actions,
        Err(failure) => return Plan::blocked(Some(record.clone()), failure),
    };
    // What is there is ours until the last step, and a temporary file is as well.
    let intent = FileRecord { intended: record.intended.or(record.written), ..record.clone() };
    Plan { intent: Some(intent), steps: steps(path, actions), record: None, then: Standing::Gone }
}

/// The actions, after what a crash left under the temporary name is removed. Without unfinished
/// steps it cannot be ours, and never is what we do not make.
fn with_sweep(
    path: &TargetPath,
    record: Option<&FileRecord>,
    observed: &FileObservation,
    mut actions: Vec<FileAction>,
) -> Result<Vec<FileAction>, Failure> {
    let unfinished = record.is_some_and(|record| record.intended.is_some());
    match observed.temporary {
        Some(FileType::RegularFile | FileType::Symlink) if unfinished => {
            actions.insert(0, FileAction::SweepTemporary);
        }
        Some(_) if actions.iter().any(FileAction::needs_temporary) => return Err(failures::in_the_way(path)),
        _ => {}
    }
    Ok(actions)
}

fn steps(path: &TargetPath, actions: Vec<FileAction>) -> Vec<FileStep> {
    actions.into_iter().map(|action| FileStep { path: path.clone(), action }).collect()
}
