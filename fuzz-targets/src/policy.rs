//! A policy file.

use agent_core::policy::Policy;

/// Shown line by line, it is the same policy.
pub(super) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(policy) = toml::from_str::<Policy>(text) else { return false };
    let shown: String = policy.lines().map(|(key, value)| format!("{key} = {value}\n")).collect();
    assert_eq!(toml::from_str::<Policy>(&shown).expect("what is shown is a policy"), policy);
    true
}
