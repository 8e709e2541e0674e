//! What this device tells about itself when it asks for credentials. Whoever decides can only take its word.

use agent_core::enrollment::Facts;

use crate::{
    device_name::{DeviceName, Source},
    facts,
};

/// Longest text of a claim, in characters: all of them fit into a request.
const LONGEST: usize = 120;

/// What there is to tell.
pub(crate) fn claims() -> Facts {
    let found = [
        ("serial", DeviceName::text_of(Source::Serial)),
        ("machineId", DeviceName::text_of(Source::MachineId)),
        ("mac", DeviceName::text_of(Source::Mac)),
        ("agentVersion", Some(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let found = found.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    let all = facts::device_facts().into_iter().chain(found);
    all.map(|(name, text)| (name, text.chars().take(LONGEST).collect())).collect()
}
