//! The transport: one watch, one compare-and-swap writer, one heartbeat (ADR-023).
//!
//! This module and the `fleet` crate are the only users of the NATS client outside of tests.

pub mod names;
