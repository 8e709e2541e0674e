//! What a device told of itself over a time of faults, and what must hold of it.

use std::collections::BTreeMap;

use agent_model::status::{AgentStatus, Phase};

use crate::status_words::accepted;

/// Makes sure that one process alone told all this, that it sent nothing else under a number that it had used
/// already and nothing again under another, and that no status took back what an earlier one had said.
pub(crate) fn assert_one_steady_writer(told: &[AgentStatus]) {
    let mut by_op = BTreeMap::new();
    let first = told.first().expect("something was told");
    for status in told {
        let writer = &status.writer;
        assert_eq!(writer.instance, first.writer.instance, "a second writer");
        assert_eq!(writer.epoch, first.writer.epoch, "it claimed again");
        assert_eq!(*by_op.entry(writer.op).or_insert(status), status, "two documents of one number");
    }
    // In the order in which they were begun; each may have been sent more than once.
    let unsigned: Vec<_> = by_op
        .values()
        .map(|status| AgentStatus { writer: first.writer.clone(), ..AgentStatus::clone(status) })
        .collect();
    assert!(
        unsigned.windows(2).all(|two| two[0] != two[1]),
        "what stood already was written again: {told:#?}"
    );
    let stories: Vec<_> =
        by_op.into_values().map(|status| (accepted(status), status.phase == Phase::Converged)).collect();
    let mut sorted = stories.clone();
    sorted.sort_unstable();
    assert_eq!(stories, sorted, "a status took something back");
}
