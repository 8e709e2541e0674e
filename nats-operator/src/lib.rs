//! NATS in operator mode without other tools: what the operator of a fleet keeps in a folder.
//!
//! ```text
//! operator key ──signs──▶ account JWTs ──▶ the servers (preloaded, later pushed by fleet)
//!                           │
//!   SYSTEM                  │ looks after the servers
//!   PLATFORM                │ owns the streams; its user is the platform
//!   DEVICES ◀──signing key──┤ imports what a device needs; a user for each device, named as the device is
//!   ENROLL                  │ imports the request for enrolment, and nothing else; one user for all new devices
//! ```
//!
//! Servers keep nothing about single devices: what a user of DEVICES may do is written once, in the scope of the
//! account's signing key, with the user's name in it. So a name that is a wildcard would be every device, and names
//! are [`AgentId`](agent_model::AgentId)s here, which cannot be one.
//!
//! [`token`] and [`accounts`] are pure; [`Folder`] reads and writes; nothing here speaks to a server.

pub mod accounts;
pub mod claims;
mod durable_file;
mod folder;
mod keys;
mod server_configuration;
pub mod token;

pub use folder::{
    AccountToken, Change, FleetAccount, Folder, FolderError, InvalidOwnUser, Locked, Made, OwnUser, Renewed,
};
