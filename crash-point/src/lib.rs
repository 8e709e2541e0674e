//! Places where a test may cut the power.
//!
//! A device loses power at any moment. [`crash_point`] marks each moment between two steps that
//! must not depend on one another: in a build with the feature `armed`, the environment variable
//! `FAILPOINTS=crash=<n>*off->return` kills the process with SIGKILL at the n+1st point it
//! reaches, so a test can walk through all of them without knowing their names. In every other
//! build the call compiles to nothing.
//!
//! [`crash_point_at`] marks a place that has a name, so that what is at fault can be a part of a
//! document: `FAILPOINTS=apply File:/etc/a=return` kills the process whenever it comes there, and
//! with `panic` for `return` it panics.

use std::fmt;

/// Ends the process by SIGKILL when the test asked for it here; otherwise does nothing.
#[cfg(feature = "armed")]
pub fn crash_point() {
    fail::fail_point!("crash", |_| kill());
}

/// The same at the place of that name, each time that the process comes there.
#[cfg(feature = "armed")]
pub fn crash_point_at(place: fmt::Arguments<'_>) {
    fail::fail_point!(&place.to_string(), |_| kill());
}

#[cfg(feature = "armed")]
fn kill() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal is delivered before any other user code of this thread runs.
}

/// Compiled to nothing: this build has no crash points.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub fn crash_point() {}

/// Compiled to nothing: this build has no crash points.
#[cfg(not(feature = "armed"))]
#[inline(always)]
pub fn crash_point_at(_place: fmt::Arguments<'_>) {}

/// Reads which crash point to die at from the environment. Call once, at the start of `main`.
#[cfg(feature = "armed")]
pub fn arm_from_environment() {
    // Leaked on purpose: dropping the scenario would disarm the points.
    std::mem::forget(fail::FailScenario::setup());
}
