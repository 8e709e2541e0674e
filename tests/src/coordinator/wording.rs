//! Judges a status in itself: one part of it must not deny what another says.

use agent_model::status::{AgentStatus, ConditionStatus, ConditionType, Phase, ResourceState, Summary};

use super::{
    documents::Documents,
    record::{Document, accepted},
};

/// Whether a status says that all of the document in force is there.
pub(super) fn says_converged(status: &AgentStatus) -> bool {
    let condition = status.condition(ConditionType::Converged);
    condition.is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// The document that a status says to be in force, where the platform wrote it and it is in order.
pub(super) fn in_force<'d>(
    device: usize,
    status: &AgentStatus,
    documents: &'d Documents,
) -> Option<&'d Document> {
    let (_, digest) = accepted(status)?;
    documents.find(device, digest).filter(|document| document.acceptable)
}

/// What a status says to be ready, by claim.
///
/// # Errors
/// With what is ready though the document in force has no such resource.
pub(super) fn ready<'d>(status: &AgentStatus, in_force: &'d Document) -> Result<Vec<&'d str>, String> {
    let ready = status.resources.iter().filter(|resource| resource.state == ResourceState::Ready);
    let claims = ready.map(|resource| {
        let claim = in_force.names.get(&resource.name).map(String::as_str);
        claim.ok_or_else(|| format!("{:?} is ready, which the document in force has not", resource.name))
    });
    claims.collect()
}

/// Whether a status is in accord with itself.
///
/// # Errors
/// With what is not.
pub(super) fn agrees(device: usize, status: &AgentStatus, documents: &Documents) -> Result<(), String> {
    counts_agree(status)?;
    let converged = says_converged(status);
    if status.phase == Phase::Converged && !converged {
        return Err("the phase is Converged and the condition is not".to_owned());
    }
    let Some((generation, digest)) = accepted(status) else {
        let claims = converged || status.resources.iter().any(|it| it.state == ResourceState::Ready);
        return if claims { Err("Converged or Ready, and nothing is in force".to_owned()) } else { Ok(()) };
    };
    let Some(in_force) = in_force(device, status, documents) else {
        return Err(format!("a document is in force that is not in order, of generation {generation}"));
    };
    ready(status, in_force)?;
    if !converged {
        return Ok(());
    }
    if status.applied.as_ref().map(|applied| applied.digest) != Some(digest) {
        return Err("Converged, and what is in force is not applied".to_owned());
    }
    let (Summary { total, ready, .. }, declared) = (status.summary, in_force.declares.len() as u64);
    if (total, ready) != (declared, declared) {
        return Err(format!("Converged, {ready} of {total} are ready, and {declared} are declared"));
    }
    Ok(())
}

fn counts_agree(status: &AgentStatus) -> Result<(), String> {
    let summary = status.summary;
    let Summary { total, ready, failed, pending } = summary;
    if total != ready + failed + pending {
        return Err(format!("the parts of {summary:?} are not the whole"));
    }
    // Of a status that was cut to size only the summary tells of all.
    if status.truncated {
        return Ok(());
    }
    let mut counted = Summary::default();
    for resource in &status.resources {
        counted.total += 1;
        match resource.state {
            ResourceState::Ready | ResourceState::Skipped => counted.ready += 1,
            ResourceState::Failed => counted.failed += 1,
            _ => counted.pending += 1,
        }
    }
    if counted != summary {
        return Err(format!("{summary:?} is said, and the resources are {counted:?}"));
    }
    Ok(())
}
