//! Records as released versions have written them: a shim outlives many an agent, and what it wrote is read for ever.

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{End, ExitRecord, ProcessIdentity, ShimRecord};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/1.0").join(name)
}

fn shim_record() -> ShimRecord {
    ShimRecord {
        run: "0d3c6f0e-6d1f-4d0e-9e63-0d5d0e7f3f11".to_owned(),
        digest: "sha256:3a1f0c8e5b7d9246aa00ff31c2b4e6d8907162534455667788990a1b2c3d4e5f".to_owned(),
        boot_id: "6f1b6a52-6b1c-4c0e-9a57-2b8f6f0a4c1d:17".to_owned(),
        shim: ProcessIdentity { pid: 4711, start_time: 88123 },
        process: Some(ProcessIdentity { pid: 4713, start_time: 88124 }),
        started_at: "2026-11-26T02:16:56.21Z".to_owned(),
        started_ms: 881_240,
        stopping: false,
        control_groups: vec!["/sys/fs/cgroup/pids/harmony-0123456789ab/panel".into()],
    }
}

fn exit_record() -> ExitRecord {
    ExitRecord {
        run: shim_record().run,
        boot_id: shim_record().boot_id,
        end: End::Signal(9),
        stopped: false,
        out_of_memory: true,
        timed_out: false,
        ended_at: "2026-11-26T02:17:03Z".to_owned(),
        ended_ms: 888_030,
    }
}

/// Never update a digest here: a form that is new gets a folder of its own.
const RELEASED: [(&str, &str); 2] = [
    ("exit.json", "e485d8791f4d5d2c8a0f4282c42294adf78cfbf989e5af1f02035be366dfa81b"),
    ("shim.json", "21f8f8910fbaa2d515702c73cfda4bca58f8ff0f3b1d8f16e96c1a07ccc1afa1"),
];

#[test]
fn what_was_released_stays_as_it_is_to_the_byte() {
    for (name, digest) in RELEASED {
        let found = Sha256::digest(std::fs::read(fixture(name)).unwrap());
        assert_eq!(format!("{found:x}"), digest, "{name}");
    }
    let names = std::fs::read_dir(fixture("")).unwrap();
    assert_eq!(names.count(), RELEASED.len());
}

#[test]
fn what_1_0_wrote_says_what_it_always_said() {
    assert_eq!(ShimRecord::read(&fixture("shim.json")).unwrap(), Some(shim_record()));
    assert_eq!(ExitRecord::read(&fixture("exit.json")).unwrap(), Some(exit_record()));
}

#[test]
fn what_is_written_has_all_that_1_0_reads_and_the_same_version() {
    let folder = tempfile::tempdir().unwrap();
    let (shim, exit) = (folder.path().join("shim.json"), folder.path().join("exit.json"));
    shim_record().write(&shim).unwrap();
    exit_record().write(&exit).unwrap();
    let json = |path: PathBuf| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    for (written, name) in [(shim, "shim.json"), (exit, "exit.json")] {
        let written = json(written);
        for (key, value) in json(fixture(name)).as_object().unwrap() {
            assert_eq!(&written[key], value, "{name}: {key}");
        }
    }
}

#[test]
fn what_a_newer_shim_says_beside_that_keeps_no_agent_from_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shim.json");
    let mut newer: Value = serde_json::from_slice(&std::fs::read(fixture("shim.json")).unwrap()).unwrap();
    newer["frozen"] = json!(true);
    newer["process"]["namespace"] = json!(7);
    std::fs::write(&path, newer.to_string()).unwrap();
    assert_eq!(ShimRecord::read(&path).unwrap(), Some(shim_record()));
}
