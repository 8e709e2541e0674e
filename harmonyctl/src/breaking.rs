//! Words for a message on which clients break.

use agent_core::kv::names;
use fleet::Breaking;

use crate::output;

/// Warns of it, and says what ends it.
pub(crate) fn warn_of(breaking: &Breaking) {
    output::aside(format!("warning: {}", words(breaking)));
}

fn words(breaking: &Breaking) -> String {
    const NONE: &str = "headers that are none, on which clients break, so that everybody reads slowly";
    let Breaking { bucket, subject } = breaking;
    let stream = if names::is_stream(bucket) { (*bucket).to_owned() } else { names::bucket_stream(bucket) };
    match (*bucket, breaking.agent()) {
        (names::ACTUAL_STATE_BUCKET | names::HEARTBEAT_BUCKET | names::EVENTS_STREAM, Some(agent)) => {
            format!(
                "agent/{agent}: what it wrote to {bucket} has {NONE}; `harmonyctl agents revoke {agent}` puts the \
                 device out, and then `nats stream purge {stream} --subject '{subject}'` removes that"
            )
        }
        (names::ENROLLMENT_REQUESTS_STREAM, _) => format!(
            "there are messages in {bucket} with {NONE}: somebody with bootstrap credentials left them. `harmonyctl nats \
             renew bootstrap` ends these, and then `nats stream purge {bucket}` removes all requests; devices ask again"
        ),
        _ => {
            format!("what somebody with the platform's rights wrote to {subject} has {NONE}; write it again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_wrote_what_clients_break_on_is_named_with_what_ends_it() {
        let said = |bucket, subject: &str| words(&Breaking { bucket, subject: subject.to_owned() });
        let status = said("actual-state", "$KV.actual-state.edge-0066");
        assert!(
            status.starts_with("agent/edge-0066: what it wrote to actual-state has headers that are none")
        );
        assert!(status.contains("`harmonyctl agents revoke edge-0066`"), "{status}");
        assert!(
            status.contains("`nats stream purge KV_actual-state --subject '$KV.actual-state.edge-0066'`")
        );
        let event = said("AGENT_EVENTS", "agent-events.edge-0066");
        assert!(event.contains("`nats stream purge AGENT_EVENTS --subject 'agent-events.edge-0066'`"));
        // However many ids somebody makes up, it is said once.
        let requests = ["enroll.edge-0066", "enroll.edge-0067", "enroll.\u{fffd}"];
        let [first, second, third] = requests.map(|subject| said("ENROLL_REQUESTS", subject));
        assert!(first == second && second == third);
        assert!(first.contains("`harmonyctl nats renew bootstrap`"), "{first}");
        assert!(said("desired-state", "$KV.desired-state.edge-0066").contains("the platform's rights"));
    }
}
