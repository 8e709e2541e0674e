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
//! [`runtime`] joins these into the daemon's loop. No module here depends on a format or a
//! reconciler: both come in through the traits of `agent-model`.

pub mod acceptance;
pub mod audit;
pub mod authoring;
pub mod backoff;
pub mod clock;
pub mod core_dumps;
mod damaged_file;
pub mod device;
pub mod dispatcher;
mod durable_file;
pub mod enrollment;
pub mod envelope;
pub mod executor;
pub mod expiry;
#[cfg(test)]
mod fakes;
mod guarded_file;
pub mod kv;
pub mod ledger;
pub mod once;
pub mod pause;
pub mod policy;
pub mod protected_paths;
pub mod runtime;
pub mod safe_mode;
pub mod secrets;
pub mod signing;
pub mod state_dir;
pub mod status;
