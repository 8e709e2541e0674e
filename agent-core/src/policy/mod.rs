//! What the device's owner lets documents do here, whoever wrote or signed them.
//!
//! ```text
//! policy.toml ─▶ Policy ─┐
//! Resource ──▶ Asks ─────┴▶ Rulings ─▶ acceptance (PolicyDenied) · each pass · `policy explain`
//! ```
//!
//! A policy is a file on the device, and nothing that the platform sends can change it: no document may
//! claim it ([`ProtectedPaths`](crate::protected_paths::ProtectedPaths)). But for the rule `kinds` it judges
//! what resources ask for ([`Ask`](agent_model::Ask)), not of which kind they are, so that one rule holds
//! wherever the same thing hides. Judging is pure but for whose rights a user has, which the device alone
//! knows ([`Accounts`]).

mod accounts;
mod judgement;
mod lookups;
mod policy_file;
mod root_equivalence;
mod rules;

#[cfg(test)]
mod tests;

pub use accounts::{Accounts, Rights};
pub use judgement::{Asked, DevicePolicy, Judging, Rule, Ruling, Verdict};
pub use policy_file::{MAX_POLICY_BYTES, PolicyError, read};
pub use rules::{
    Allowed, PathPrefix, Policy, PolicyVersion, PortRange, Registry, ShellJobRule, Switch, Tolerance,
};
