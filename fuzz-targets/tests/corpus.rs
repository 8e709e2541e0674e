//! Every target with the inputs that are kept for it.
#![cfg(test)]

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fuzz_targets::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let input = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    entries.map(input).collect()
}

#[test]
fn every_input_that_is_kept_is_read_or_refused_and_there_are_both() {
    for target in TARGETS {
        let (mut taken, mut refused) = (0, 0);
        for (path, bytes) in inputs(&corpus().join(target.name)) {
            let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
            match ran.unwrap_or_else(|_| panic!("{} fails with {}", target.name, path.display())) {
                true => taken += 1,
                false => refused += 1,
            }
        }
        assert!(taken >= 3 && refused >= 3, "{}: {taken} taken, {refused} refused", target.name);
    }
}

#[test]
fn every_folder_of_inputs_has_its_target() {
    for entry in fs::read_dir(corpus()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{name:?}");
    }
}
