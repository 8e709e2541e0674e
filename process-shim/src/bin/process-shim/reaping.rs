//! Learning of the children that ended, also of those that a process left to us.

use process_shim::End;
use rustix::process::{WaitOptions, WaitStatus, wait};

/// What came of looking for children that ended.
pub(crate) enum Reaped {
    /// One did.
    Child(u32, End),
    /// None has.
    NoneYet,
    /// There is no child left, and so nothing that descends from us.
    NoChildren,
}

/// Looks for one child that ended, and waits for one if it is told to.
pub(crate) fn reap(options: WaitOptions) -> Reaped {
    loop {
        match wait(options) {
            Ok(Some((pid, status))) => {
                if let Some(end) = end_of(status) {
                    return Reaped::Child(pid.as_raw_nonzero().get().unsigned_abs(), end);
                }
            }
            Ok(None) => return Reaped::NoneYet,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Reaped::NoChildren,
        }
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    status.exit_status().map(End::Code).or_else(|| status.terminating_signal().map(End::Signal))
}
