//! Keeps what this process has in memory out of core dumps.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// From now on no core of this process is written or handed to anybody, whatever limit and `core_pattern` say, and nobody
/// but root looks into its memory. What it starts is not affected: that is a property of the program, not inherited, unlike
/// a limit (prctl(2), PR_SET_DUMPABLE).
pub fn forbid() {
    // Linux refuses that to nobody.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
