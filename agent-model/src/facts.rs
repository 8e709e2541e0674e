//! What a device knows about itself.

use std::collections::BTreeMap;

/// What a device knows about itself, for formats that render with it and for the status: a value
/// by its key. Keys are camelCase.
pub type DeviceFacts = BTreeMap<String, String>;

/// The facts that every device has: its processor's architecture, its host name, its kernel's
/// release and its operating system.
pub const COMMON_FACTS: [&str; 4] = ["arch", "hostname", "kernel", "os"];
