//! What must hold of any bytes from outside. A fuzzer tries each target with bytes of its own making (`make fuzz`);
//! the tests of this crate try it with the inputs in `corpus/`, on any toolchain.
//!
//! A target fails by a panic. It tells whether the bytes were taken for what they should be, so that the corpus can be
//! seen to get past the first check.

// To panic is how a target fails.
#![allow(clippy::panic, clippy::expect_used)]

mod document;
mod ledger;
mod lowering;
mod policy;
mod seal;
mod shim_record;
mod status;

/// Something that reads bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Reads bytes, checks what must hold, and tells whether they were taken.
    pub run: fn(&[u8]) -> bool,
}

/// All there are.
pub const TARGETS: [Target; 8] = [
    Target { name: "document", run: document::run },
    Target { name: "ledger", run: ledger::run },
    Target { name: "manifest", run: lowering::manifest },
    Target { name: "policy", run: policy::run },
    Target { name: "score", run: lowering::score },
    Target { name: "seal", run: seal::run },
    Target { name: "shim_record", run: shim_record::run },
    Target { name: "status", run: status::run },
];

/// Runs the target of that name: all that a program for a fuzzer has to say.
///
/// # Panics
/// There is no such target, or it fails.
pub fn fuzz(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("one of TARGETS");
    let _ = (target.run)(bytes);
}
