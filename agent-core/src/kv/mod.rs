//! The transport: one watch, one compare-and-swap writer, one heartbeat (ADR-023).
//!
//! ```text
//!              ┌── desired_watch ◀── hints, direct_get      desired-state
//! connection ──┼── status_writer ──▶ acked_publish          actual-state
//!   (Link)     ├── heartbeat     ──▶ publish, no ack        agent-heartbeat
//!   audit log ──── event_publisher ──▶ acked_publish        AGENT_EVENTS
//!   enrollment ─── enrollment_desk ──▶ acked_publish        ENROLL_REQUESTS
//!                        └───────────▶ direct_get           ENROLL_ANSWERS
//! ```
//!
//! This module and the `fleet` crate are the only users of the NATS client outside of tests; the
//! client itself is visible to this module's children alone.

mod access;
mod acked_publish;
mod connection;
mod desired_watch;
mod direct_get;
mod enrollment_desk;
mod event_publisher;
mod events;
mod heartbeat;
mod jitter;
mod marker;
pub mod names;
mod owned_task;
mod patience;
mod probe;
mod server_address;
mod status_writer;
mod tls;
mod token_bucket;
mod url_login;

pub use access::{Access, AccessError, Entrance, Login};
pub use acked_publish::is_conflict;
pub use connection::{ConnectError, Connection, Link};
pub use desired_watch::{DesiredWatch, DesiredWatchSettings};
pub use direct_get::Entry;
pub use enrollment_desk::EnrollmentDesk;
pub use event_publisher::EventPublisher;
pub use events::{EventError, publish_event};
pub use heartbeat::HeartbeatTask;
pub use marker::{KV_OPERATION, is_deletion};
pub use probe::{ReachedServer, ReadEntry};
pub use server_address::InvalidServerAddress;
pub use status_writer::{PriorStatus, StatusWriter, StatusWriterSettings, WriterStanding};
pub use tls::{InvalidTlsFile, LoneTlsFile, Tls, TlsIdentity};
