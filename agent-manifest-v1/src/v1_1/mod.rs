//! `AgentManifest` 1.1: a document can say when the device goes back to the one before it.

mod wire;

use semver::Version;

pub use wire::{AgentManifest, OnFailure, Rollback, Spec};

/// This version.
pub const VERSION: Version = Version::new(1, 1, 0);
