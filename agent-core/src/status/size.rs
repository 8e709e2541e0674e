//! Keeping the status within its size, whatever documents and workloads put into it.

use std::io;

use agent_model::status::{AgentStatus, ResourceState, ResourceStatus};
use serde::Serialize;
use serde_json::{Map, Value};

/// Largest status document, in bytes (wire contract: AgentStatus).
pub const MAX_STATUS_LEN: usize = 128 * 1024;

/// Once messages have to go: bytes that the message of a condition keeps. The condition says why
/// a document was refused, so some of it stays.
const MAX_CONDITION_MESSAGE: usize = 1024;

/// Once messages have to go: bytes that a document's own word for its kind or version keeps.
const MAX_WORD: usize = 256;

/// Ends a text that was cut.
const CUT: &str = "…";

/// Writes `status` as JSON of at most `limit` bytes. Beyond it, no more than necessary is left
/// out, each step from the end of the list: first `details` and the ends of logs, then messages, then the entries of
/// Ready resources, then any entries; `truncated` says so, and `summary` goes on counting all.
///
/// What remains at the end is what the agent says of itself and bounded texts: 64 KiB always
/// suffice for that.
///
/// # Errors
/// When the status cannot be written as JSON at all.
pub fn fit(mut status: AgentStatus, limit: usize) -> serde_json::Result<Vec<u8>> {
    let whole = serde_json::to_vec(&status)?;
    if whole.len() <= limit {
        return Ok(whole);
    }
    status.truncated = true;
    let mut excess = Excess(json_len(&status)?.saturating_sub(limit));
    leave_out_details(&mut status.resources, &mut excess)?;
    leave_out_logs(&mut status, &mut excess)?;
    cut_texts(&mut status, &mut excess)?;
    leave_out_messages(&mut status, &mut excess)?;
    leave_out_entries(&mut status.resources, &mut excess, |entry| entry.state == ResourceState::Ready)?;
    leave_out_entries(&mut status.resources, &mut excess, |_| true)?;
    serde_json::to_vec(&status)
}

/// Bytes that are still to be saved.
struct Excess(usize);

impl Excess {
    fn is_gone(&self) -> bool {
        self.0 == 0
    }

    fn save(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// Replaces `value` if that saves anything.
    fn replace<T: Serialize>(&mut self, value: &mut T, shorter: T) -> serde_json::Result<()> {
        let saved = json_len(value)?.saturating_sub(json_len(&shorter)?);
        if saved > 0 {
            *value = shorter;
            self.save(saved);
        }
        Ok(())
    }
}

fn leave_out_details(resources: &mut [ResourceStatus], excess: &mut Excess) -> serde_json::Result<()> {
    for resource in resources.iter_mut().rev() {
        if excess.is_gone() {
            break;
        }
        excess.replace(&mut resource.details, Value::Object(Map::new()))?;
    }
    Ok(())
}

fn leave_out_logs(status: &mut AgentStatus, excess: &mut Excess) -> serde_json::Result<()> {
    let resources = status.rolled_back.iter_mut().flat_map(|it| it.resources.iter_mut().rev());
    for resource in resources {
        if excess.is_gone() {
            break;
        }
        excess.replace(&mut resource.log_tail, None)?;
    }
    Ok(())
}

fn cut_texts(status: &mut AgentStatus, excess: &mut Excess) -> serde_json::Result<()> {
    let conditions = status.conditions.iter_mut();
    let mut texts: Vec<(&mut String, usize)> =
        conditions.map(|condition| (&mut condition.message, MAX_CONDITION_MESSAGE)).collect();
    texts.extend(status.rolled_back.iter_mut().map(|it| (&mut it.message, MAX_CONDITION_MESSAGE)));
    if let Some(desired) = &mut status.desired {
        let words = desired.kind.iter_mut().chain(&mut desired.schema_version);
        texts.extend(words.map(|word| (word, MAX_WORD)));
    }
    if let Some(accepted) = &mut status.accepted {
        texts.extend([(&mut accepted.kind, MAX_WORD), (&mut accepted.schema_version, MAX_WORD)]);
    }
    for (text, max) in texts {
        if excess.is_gone() {
            break;
        }
        if text.len() > max {
            let end = text.floor_char_boundary(max - CUT.len());
            let shorter = format!("{}{CUT}", &text[..end]);
            excess.replace(text, shorter)?;
        }
    }
    Ok(())
}

fn leave_out_messages(status: &mut AgentStatus, excess: &mut Excess) -> serde_json::Result<()> {
    let messages = status.resources.iter_mut().rev().map(|resource| &mut resource.message);
    let not_ready = status.rolled_back.iter_mut().flat_map(|it| it.resources.iter_mut().rev());
    for message in messages.chain(not_ready.map(|resource| &mut resource.message)) {
        if excess.is_gone() {
            break;
        }
        excess.replace(message, String::new())?;
    }
    Ok(())
}

fn leave_out_entries(
    resources: &mut Vec<ResourceStatus>,
    excess: &mut Excess,
    may_go: impl Fn(&ResourceStatus) -> bool,
) -> serde_json::Result<()> {
    let mut kept = Vec::with_capacity(resources.len());
    let mut listed = resources.len();
    for resource in std::mem::take(resources).into_iter().rev() {
        if excess.is_gone() || !may_go(&resource) {
            kept.push(resource);
        } else {
            let comma = usize::from(listed > 1);
            excess.save(json_len(&resource)? + comma);
            listed -= 1;
        }
    }
    kept.reverse();
    *resources = kept;
    Ok(())
}

/// Length of `value` as JSON, without keeping the JSON.
fn json_len(value: &impl Serialize) -> serde_json::Result<usize> {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value)?;
    Ok(count.0)
}

struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::pace::tests::converged;
    use agent_model::{
        Digest, Generation, Timestamp,
        status::{Desired, NotReady, RolledBack, Summary},
    };
    use proptest::prelude::*;
    use serde_json::json;

    fn fitted(status: &AgentStatus, limit: usize) -> AgentStatus {
        let bytes = fit(status.clone(), limit).unwrap();
        assert!(bytes.len() <= limit, "{} bytes do not fit {limit}", bytes.len());
        serde_json::from_slice(&bytes).unwrap()
    }

    fn names(status: &AgentStatus) -> Vec<&str> {
        status.resources.iter().map(|resource| resource.name.as_str()).collect()
    }

    #[test]
    fn what_fits_is_written_as_it_is() {
        let mut status = converged(3);
        status.resources[0].details = json!({"a": 1});
        let len = json_len(&status).unwrap();
        assert_eq!(fitted(&status, len), status);
        assert!(fitted(&status, len - 1).truncated);
    }

    #[test]
    fn one_huge_message_of_a_condition_costs_no_entry() {
        let mut status = converged(10);
        status.conditions[0].message = "ä".repeat(MAX_STATUS_LEN);
        let fitted = fitted(&status, MAX_STATUS_LEN);
        assert_eq!(fitted.resources, status.resources);
        assert!(fitted.conditions[0].message.len() <= MAX_CONDITION_MESSAGE);
        assert!(fitted.conditions[0].message.ends_with(CUT));
    }

    #[test]
    fn a_refused_document_cannot_fill_the_status_with_its_words() {
        let mut status = converged(10);
        let word = "k".repeat(MAX_STATUS_LEN);
        status.desired = Some(Desired {
            revision: 1,
            generation: None,
            digest: Digest::of_bytes(b""),
            kind: Some(word.clone()),
            schema_version: Some(word),
        });
        let fitted = fitted(&status, MAX_STATUS_LEN);
        assert_eq!(fitted.resources, status.resources);
        assert_eq!(fitted.conditions, status.conditions);
    }

    #[test]
    fn ready_entries_go_before_others_and_then_those_at_the_end() {
        let mut status = converged(1024);
        for failed in [3, 500, 1000] {
            status.resources[failed].state = ResourceState::Failed;
        }
        let limit = 8 * 1024;
        let some_ready = fitted(&status, limit);
        assert_eq!(names(&some_ready)[..4], ["file-0", "file-1", "file-2", "file-3"]);
        assert!(names(&some_ready).ends_with(&["file-500", "file-1000"]));
        assert!(some_ready.resources.len() > 4);

        let bare = json_len(&fitted(&converged(0), limit)).unwrap();
        let two_failed = fitted(&status, bare + 600);
        assert_eq!(names(&two_failed), ["file-3", "file-500"]);
    }

    /// As much as ever stands in it, and as long as it can get in JSON.
    fn rolled_back() -> RolledBack {
        let resource = |n: u32| NotReady {
            kind: "Process".into(),
            name: format!("{n:063}"),
            state: ResourceState::Failed,
            reason: "Exited".into(),
            message: "\u{1}".repeat(1024),
            log_tail: Some("\"".repeat(2048)),
        };
        RolledBack {
            generation: Generation::MAX,
            digest: Digest::of_bytes(b""),
            at: Timestamp::UNIX_EPOCH,
            reason: "DeadlineExceeded".into(),
            message: "\u{1}".repeat(2048),
            resources: (0..8).map(resource).collect(),
        }
    }

    #[test]
    fn the_ends_of_logs_go_before_any_message_and_the_fact_that_the_device_went_back_stays() {
        let mut status = converged(10);
        status.rolled_back = Some(rolled_back());
        let len = json_len(&status).unwrap();
        let without_logs = fitted(&status, len - 20_000).rolled_back.unwrap();
        let kept = without_logs.resources.iter().filter(|resource| resource.log_tail.is_some()).count();
        assert!((1..8).contains(&kept), "{kept}");
        assert!(without_logs.resources.iter().all(|resource| !resource.message.is_empty()));
        let bare = fitted(&status, 16 * 1024).rolled_back.unwrap();
        assert!(bare.resources.len() == 8 && bare.message.len() <= MAX_CONDITION_MESSAGE);
        assert!(bare.resources.iter().all(|resource| resource.message.is_empty()));
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[a-zä\"\u{1}]{0,40}", (0..400_usize).prop_map(|n| "m\n".repeat(n))]
    }

    fn status() -> impl Strategy<Value = AgentStatus> {
        let state = prop_oneof![
            3 => Just(ResourceState::Ready), 1 => Just(ResourceState::Failed), 1 => Just(ResourceState::Pending)
        ];
        let details = prop_oneof![
            Just(Value::Null),
            Just(json!({})),
            (0..60_usize).prop_map(|n| json!({"log": "line\n".repeat(n)}))
        ];
        let resources = proptest::collection::vec((state, text(), details), 0..1024);
        let conditions = proptest::collection::vec((0..200_000_usize, any::<bool>()), 5);
        (resources, conditions, any::<bool>()).prop_map(|(resources, conditions, goes_back)| {
            let mut status = converged(resources.len());
            status.rolled_back = goes_back.then(rolled_back);
            for (entry, (state, message, details)) in status.resources.iter_mut().zip(resources) {
                (entry.state, entry.message, entry.details) = (state, message, details);
            }
            for (condition, (len, huge)) in status.conditions.iter_mut().zip(conditions) {
                condition.message = "\u{1}".repeat(if huge { len } else { len / 1000 });
            }
            status.summary = Summary { total: status.resources.len() as u64, ..Summary::default() };
            status
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_in_it_a_status_fits_and_each_step_waits_for_the_one_before(
            status in status(), limit in 64 * 1024..MAX_STATUS_LEN,
        ) {
            let fitted = fitted(&status, limit);
            prop_assert_eq!(fitted.truncated, json_len(&status).unwrap() > limit);
            prop_assert_eq!(fitted.summary, status.summary);

            let entry = |name: &str| status.resources.iter().find(|old| old.name == name).unwrap();
            let kept_details = fitted.resources.iter().any(|new| new.details.as_object().is_some_and(|d| !d.is_empty()));
            let lost_message = fitted.resources.iter().any(|new| new.message != entry(&new.name).message)
                || fitted.conditions != status.conditions;
            let kept_message = fitted.resources.iter().any(|new| !new.message.is_empty());
            let lost_entry = fitted.resources.len() < status.resources.len();
            let lost_other = status.resources.iter().any(|old| {
                old.state != ResourceState::Ready && !fitted.resources.iter().any(|new| new.name == old.name)
            });
            let kept_ready = fitted.resources.iter().any(|new| new.state == ResourceState::Ready);
            prop_assert!(!(lost_message && kept_details), "a message went before the last details");
            prop_assert!(!(lost_entry && (kept_details || kept_message)), "an entry went before the last message");
            prop_assert!(!(lost_other && kept_ready), "another entry went before the last Ready one");
        }

        #[test]
        fn no_more_is_left_out_than_necessary(mut status in status(), limit in 64 * 1024..MAX_STATUS_LEN) {
            status.conditions.iter_mut().for_each(|condition| condition.message.clear());
            let whole = json_len(&status).unwrap();
            let entries = status.resources.iter().map(|entry| json_len(entry).unwrap());
            let texts = status.rolled_back.iter().flat_map(|late| {
                let resources = late.resources.iter().map(|resource| json_len(resource).unwrap());
                resources.chain([json_len(&late.message).unwrap()])
            });
            let largest_piece = entries.chain(texts).max().unwrap_or(0);
            let written = fit(status, limit).unwrap().len();
            prop_assert!(written == whole || written + largest_piece + 1 >= limit);
        }
    }
}
