//! What exists once, whatever manifest format and whatever kinds of resource there are.
//!
//! ```text
//! NATS ──▶ kv::desired_watch ──▶ envelope ──▶ dispatcher ──▶ (a format) ──▶ DesiredState
//!                                                                              │
//! NATS ◀── kv::status_writer ◀── status ◀───────────── executor ◀── (reconcilers)
//!                                                         │
//!                                                      ledger
//! ```
//!
//! [`runtime`] joins these into the daemon's loop. No module here names a format or a kind of
//! workload: both come in through the traits of `agent-model`.

pub mod authoring;
pub mod dispatcher;
mod durable_file;
pub mod envelope;
pub mod kv;
pub mod ledger;
pub mod state_dir;
pub mod status;
