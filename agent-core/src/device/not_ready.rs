//! What was not ready when its document's time was up: for the status, and in words.

use std::time::Duration;

use agent_model::{
    DesiredState,
    status::{AgentStatus, NotReady, ResourceState, ResourceStatus},
};
use futures_util::future::join_all;

use super::pass::{SAFE_MODE, STATE_STORE, UNREADABLE};
use crate::{
    audit::short,
    executor::Executor,
    ledger::{AcceptedDocument, KIND_UNKNOWN, Trial},
    safe_mode::SafeMode,
};

/// So many resources are told of.
const MOST: usize = 8;
/// So many lines of each log …
const LINES: usize = 20;
/// … and so many bytes, are kept.
const BYTES: usize = 2 << 10;
/// How long a log may take. A runtime that hangs must not hold back the document that helps.
const WITHIN: Duration = Duration::from_secs(3);
/// Begins a text whose beginning was left out.
const CUT: &str = "…";

/// Those of these that are known not to be ready, the failed first, without their logs.
pub(super) fn of(resources: &[ResourceStatus]) -> Vec<NotReady> {
    let is_failed = |resource: &&ResourceStatus| resource.state == ResourceState::Failed;
    let is_waiting = |resource: &&ResourceStatus| is_lacking(resource) && !is_failed(resource);
    let failed_first = resources.iter().filter(is_failed).chain(resources.iter().filter(is_waiting));
    let told_of = |resource: &ResourceStatus| NotReady {
        kind: resource.kind.clone(),
        name: resource.name.clone(),
        state: resource.state,
        reason: resource.reason.clone(),
        message: short(&resource.message),
        log_tail: None,
    };
    failed_first.take(MOST).map(told_of).collect()
}

/// Whether it is not ready, as far as somebody has looked.
fn is_lacking(resource: &ResourceStatus) -> bool {
    let was_looked_at = ![SAFE_MODE, STATE_STORE, UNREADABLE].contains(&&*resource.reason);
    // It is judged without what only a newer agent knows, but not without what is kept for that.
    let counts = resource.reason != KIND_UNKNOWN || resource.state == ResourceState::Removing;
    was_looked_at && counts && !matches!(resource.state, ResourceState::Ready | ResourceState::Skipped)
}

/// What happened, for people. `last` is what was said last with the late document in force, if that is known.
pub(super) fn in_words(
    late: &AcceptedDocument,
    trial: &Trial,
    fallback: &AcceptedDocument,
    last: Option<&AgentStatus>,
    safe_mode: Option<SafeMode>,
) -> String {
    let deadline = humantime::format_duration(trial.deadline());
    let resources = last.map_or(&[][..], |status| &status.resources);
    let not_ready = of(resources);
    let named: Vec<String> =
        not_ready.iter().map(|it| format!("{} {:?} ({})", it.kind, it.name, it.reason)).collect();
    let more = match resources.iter().filter(|resource| is_lacking(resource)).count() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match (safe_mode, named.is_empty()) {
        (Some(safe_mode), _) => format!(": the agent crashed with it {} times in a row", safe_mode.crashes),
        (None, true) => String::new(),
        (None, false) => format!(": {}{more}", named.join(", ")),
    };
    format!(
        "generation {} was not ready within the {deadline} that it had{what}; generation {}, the last that was, is in \
         force again",
        late.generation, fallback.generation
    )
}

/// Adds the last lines of what each of these has written, as declared there. What has none in time has none.
pub(super) async fn add_log_tails(resources: &mut [NotReady], executor: &Executor, declared: &DesiredState) {
    let tails = resources.iter().map(|told_of| async move {
        // What is being removed may have the name of something that is declared, and of what is denied nobody reads.
        if told_of.state == ResourceState::Removing || told_of.reason == "PolicyDenied" {
            return None;
        }
        let is_it = |resource: &&agent_model::Resource| {
            resource.name.as_str() == told_of.name && resource.kind().as_str() == told_of.kind
        };
        let resource = declared.resources().iter().find(is_it)?;
        let tail = tokio::time::timeout(WITHIN, executor.log_tail(declared, resource)).await.ok()??;
        end_of(&tail)
    });
    let tails = join_all(tails).await;
    resources.iter_mut().zip(tails).for_each(|(resource, tail)| resource.log_tail = tail);
}

/// As much of the end of a text as is kept; `None` of an empty one.
fn end_of(text: &str) -> Option<String> {
    let visible =
        |c: char| if c.is_control() && !matches!(c, '\t' | '\n') { char::REPLACEMENT_CHARACTER } else { c };
    let text: String = text.trim_end().chars().map(visible).collect();
    let lines: Vec<&str> = text.split('\n').collect();
    let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
    if end.len() > BYTES {
        let from = end.ceil_char_boundary(end.len() + CUT.len() - BYTES);
        return Some(format!("{CUT}{}", &end[from..]));
    }
    (!end.is_empty()).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::status::pace::tests::converged;

    #[test]
    fn the_failed_come_first_the_ready_not_at_all_and_of_many_only_some() {
        let mut status = converged(20);
        let states =
            [ResourceState::Ready, ResourceState::Pending, ResourceState::Failed, ResourceState::Skipped];
        for (n, resource) in status.resources.iter_mut().enumerate() {
            resource.state = states[n % 4];
        }
        let told_of: Vec<String> = of(&status.resources).into_iter().map(|it| it.name).collect();
        let expected = ["file-2", "file-6", "file-10", "file-14", "file-18", "file-1", "file-5", "file-9"];
        assert_eq!(told_of, expected);
    }

    #[test]
    fn what_nobody_could_look_at_is_not_told_of() {
        let mut status = converged(5);
        let told = [
            (ResourceState::Pending, SAFE_MODE),
            (ResourceState::Pending, UNREADABLE),
            (ResourceState::Pending, KIND_UNKNOWN),
            (ResourceState::Removing, KIND_UNKNOWN),
            (ResourceState::Pending, "DependencyNotReady"),
        ];
        for (resource, (state, reason)) in status.resources.iter_mut().zip(told) {
            (resource.state, resource.reason) = (state, reason.to_owned());
        }
        let told_of: Vec<String> = of(&status.resources).into_iter().map(|it| it.name).collect();
        assert_eq!(told_of, ["file-3", "file-4"]);
    }

    #[test]
    fn a_log_is_kept_by_its_last_lines() {
        let lines: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        assert_eq!(end_of(&(lines.join("\n") + "\n")), Some(lines[80..].join("\n")));
        assert_eq!(end_of("\n\n"), None);
        assert_eq!(end_of("a\u{1b}[31m\tb\r\nc"), Some("a\u{fffd}[31m\tb\u{fffd}\nc".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_was_written_its_end_is_short_and_does_nothing_to_a_terminal(text in "(?s).{0,3000}") {
            let end = end_of(&text).unwrap_or_default();
            prop_assert!(end.len() <= BYTES && end.split('\n').count() <= LINES);
            prop_assert!(!end.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n')));
        }
    }
}
