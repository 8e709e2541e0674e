//! What a program has open when it starts.

use std::{fs, os::fd::RawFd};

/// Closes whatever is open besides standard input, output and error. It was left open by mistake,
/// perhaps by whoever started the agent, and whatever a shim holds stays open for as long as its process.
///
/// To be called before anything else is opened.
pub(crate) fn close_inherited() {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<RawFd> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        // Fails for the one by which they were listed, which is closed already.
        let _ = nix::unistd::close(descriptor);
    }
}
