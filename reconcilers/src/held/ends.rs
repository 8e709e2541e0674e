//! Waiting for processes to end, without polling.

use std::{io, os::fd::OwnedFd, time::Duration};

use process_shim::ProcessIdentity;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

/// How soon something is looked at again that no event tells of.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Ready once the process has ended.
pub(crate) async fn end_of(process: &ProcessIdentity) {
    match pidfd(process) {
        Ok(Some(descriptor)) => match descriptor.readable().await {
            Ok(_) => {}
            Err(error) => without_event(&error).await,
        },
        Ok(None) => {}
        Err(error) => without_event(&error).await,
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for descriptors that change under it, and an OwnedFd never does"
)]
fn pidfd(process: &ProcessIdentity) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        // Looked at while held, so that it cannot be another one afterwards.
        Ok(descriptor) if process.is_alive() => {
            AsyncFd::with_interest(descriptor, Interest::READABLE).map(Some)
        }
        Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where the system has no descriptor left: it is looked at again and again.
async fn without_event(error: &io::Error) {
    tracing::warn!(%error, "the end of a process cannot be waited for; it is looked at again and again");
    sleep(LOOK_AGAIN).await;
}
