//! How a device comes to credentials of its own (ADR-036).
//!
//! ```text
//! device                                  NATS                            platform
//! DeviceKey ──▶ Request::sign ──▶ enroll.<agent> ────────────▶ Request::read, and somebody decides
//!                                                                            │
//! credentials ◀── Answer::read, UserJwt ◀── enroll-answers.<key> ◀───────────┘
//! ```
//!
//! Both sides speak the same types: what one writes, the other reads and does not believe before it is checked.

mod answer;
mod asking;
mod credentials;
mod device_key;
mod request;
mod user_jwt;

pub use answer::{Answer, Decision, InvalidAnswer, MAX_ANSWER_BYTES};
pub use asking::{AskingError, Refusal, ask_until_answered};
pub use credentials::{check_place, has_credentials};
pub use device_key::{DeviceKey, KeyError, forget_seed};
pub use request::{Facts, InvalidRequest, MAX_REQUEST_BYTES, Request};
pub use user_jwt::{InvalidUserJwt, UserJwt};
