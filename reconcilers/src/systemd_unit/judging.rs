//! Has systemd judge files before any of them takes the place of what runs: by `systemd-analyze verify`, with
//! all units of the document beside, since they may name one another.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use agent_model::{Failure, SystemdUnitSpec};
use tokio::{process::Command, time::timeout};

use super::{failures, files};

/// How long judging may take. It starts nothing and waits for nobody.
const JUDGED_WITHIN: Duration = Duration::from_secs(60);
const PROGRAM: &str = "systemd-analyze";

/// Judges one of the units as they are declared, in a folder of its own that is gone afterwards.
pub(super) async fn judge(
    staging: &Path,
    unit: &SystemdUnitSpec,
    all: &[Arc<SystemdUnitSpec>],
) -> Result<(), Failure> {
    let staged = {
        let (staging, all) = (staging.to_owned(), all.to_vec());
        tokio::task::spawn_blocking(move || stage(&staging, &all)).await
    };
    let judged = match staged {
        Ok(Ok(())) => verify(staging, unit).await,
        Ok(Err(error)) => Err(failures::io("stage units in", staging, &error)),
        Err(error) => Err(failures::interrupted(&error)),
    };
    let _ = fs::remove_dir_all(staging);
    judged
}

fn stage(staging: &Path, all: &[Arc<SystemdUnitSpec>]) -> io::Result<()> {
    let folder = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => folder(staging)?,
    }
    for spec in all {
        for (name, text) in files::declared(spec) {
            let path = staging.join(name);
            path.parent().map_or(Ok(()), folder)?;
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?
                .write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

async fn verify(staging: &Path, unit: &SystemdUnitSpec) -> Result<(), Failure> {
    let name = unit.unit.as_str();
    let staged = staging.join(name);
    let subject = if unit.content.is_some() { staged } else { PathBuf::from(name) };
    let mut path = staging.as_os_str().to_owned();
    // With the usual folders behind it.
    path.push(":");
    let verify = Command::new(PROGRAM)
        .args(["verify", "--man=no"])
        .arg(subject)
        .env("SYSTEMD_UNIT_PATH", path)
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match timeout(JUDGED_WITHIN, verify).await {
        Ok(Ok(output)) => output,
        // Then systemd says what it thinks of the unit when it has read it.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(Err(error)) => return Err(failures::io("run", Path::new(PROGRAM), &error)),
        Err(elapsed) => return Err(failures::io("wait for", Path::new(PROGRAM), &elapsed.into())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let staged = format!("{}/", staging.display());
    let lines: Vec<String> = said.lines().map(|line| line.replace(&staged, "")).collect();
    Err(failures::refused(name, &lines.join("; ")))
}
