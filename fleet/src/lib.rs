//! The platform's side of the wire: making the buckets, writing desired state, reading what the
//! devices say, and judging whether they got there.
//!
//! ```text
//! provisioning ──▶ buckets            desired_state ──compare-and-swap──▶ desired-state
//!                                                                              │ (devices)
//! waiting ◀── Roster (one watch) ◀── actual-state, agent-heartbeat, agents ◀───┤
//! registry ◀── somebody decides ◀── enrollment ◀── ENROLL_REQUESTS ◀────────────┤
//!             Events (of one device) ◀── AGENT_EVENTS ◀────────────────────────┘
//! ```
//!
//! [`operator`] is for servers in operator mode: it pushes the accounts of the operator's folder.
//!
//! Deciding is apart from doing: [`generation`] and [`waiting`] are pure, and everything else
//! only carries out what they say. Nothing here prints.

pub mod checking;
mod compare_and_swap;
pub mod connect;
pub mod desired_state;
pub mod enrollment;
pub mod events;
mod every_server;
pub mod generation;
pub mod operator;
pub mod provisioning;
pub mod registry;
pub mod roster;
pub mod store;
pub mod waiting;

pub use agent_core::kv::{Access, AccessError, Login, LoneTlsFile, Tls};
pub use connect::{Breaking, ConnectError, Endpoint, Fleet};
pub use desired_state::DesiredEntry;
pub use events::{Events, StoredEvent};
pub use roster::{Agent, Roster, Selection};
pub use store::StoreError;
