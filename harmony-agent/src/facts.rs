//! What this device knows about itself.

use std::fs;

use agent_model::DeviceFacts;

/// The facts of [`agent_model::COMMON_FACTS`].
pub(crate) fn device_facts() -> DeviceFacts {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    DeviceFacts::from([
        ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
        ("hostname".to_owned(), text(names.nodename())),
        ("kernel".to_owned(), text(names.release())),
        ("os".to_owned(), operating_system().unwrap_or_else(|| text(names.sysname()))),
    ])
}

/// The name that the distribution gives itself (os-release(5)).
fn operating_system() -> Option<String> {
    let text =
        fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release")).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches(['"', '\'']).chars().take(120).collect())
}

/// Changes with each boot of the device.
pub(crate) fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use agent_model::COMMON_FACTS;

    use super::*;

    #[test]
    fn the_facts_that_every_device_has_are_those_that_this_one_has() {
        let facts = device_facts();
        assert_eq!(facts.keys().collect::<Vec<_>>(), COMMON_FACTS);
        assert!(facts.values().all(|value| !value.is_empty()), "{facts:?}");
    }
}
