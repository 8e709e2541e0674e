//! What a shim is told to start has secrets in its environment: no core of the shim is written, and nobody but root looks
//! into its memory. The process itself is like any other.

use std::{fs, os::unix::fs::MetadataExt as _};

use process_shim::Answer;

use crate::held::{Held, script};

/// Becomes somebody who is not root, whose shim then lies beside the folder that it is for.
const AS_NOBODY: &str = r#"
[ "$(id -u)" = 0 ] || exec "$@"
cp "$1" "$3/../shim"
chmod 755 "$3/.." "$3/../shim"
chown -R 65534:65534 "$3"
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$3/../shim" "$2" "$3""#;

/// Whose its memory is to the kernel: root's where no core may be written, its own user's otherwise (proc(5)).
fn owner_of_memory(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid()
}

fn limit_on_cores(pid: u32) -> String {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned()
}

#[test]
fn no_core_is_written_of_a_shim_and_one_of_its_process_may_be() {
    let mut held = Held::nothing();
    assert_eq!(
        held.ask_through(&["sh", "-euc", AS_NOBODY, "sh"], &script("sleep infinity")),
        Answer::Started
    );
    let user = fs::metadata(format!("/proc/{}", held.process().pid)).unwrap().uid();
    assert_ne!(user, 0, "root's memory is root's in any case");
    assert_eq!(owner_of_memory(held.shim_id()), 0);
    assert_eq!(owner_of_memory(held.process().pid), user);
}

#[test]
fn a_process_has_the_limit_on_cores_that_the_device_gives_it() {
    let mut held = Held::nothing();
    let starter = ["sh", "-euc", "ulimit -c unlimited; exec \"$@\"", "sh"];
    assert_eq!(held.ask_through(&starter, &script("sleep infinity")), Answer::Started);
    let limit = limit_on_cores(held.process().pid);
    assert_eq!(limit.split_whitespace().nth(4), Some("unlimited"), "{limit}");
}
