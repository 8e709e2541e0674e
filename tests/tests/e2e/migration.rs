//! MIGRATION.md is a rehearsal: what it says is tried, command by command, in its order.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tests::{
    nats_server::{self, Version},
    process::{Process, built},
    workloads,
};

use crate::page::{Block, blocks};

/// What the page may show. Only `sh` is run; the others are what a reader types or sees.
const LANGUAGES: [&str; 4] = ["console", "sh", "text", "yaml"];
/// The programs that the page takes for granted, besides a server.
const PROGRAMS: [&str; 3] = ["harmonyctl", "harmony-agent", "harmony-agent-with-scores"];
/// How long all of it may take before the test gives up: no requirement, only the line between
/// slow and never.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(50);
/// How much of a block's output is shown.
const SHOWN: usize = 16 * 1024;

/// The page's commands, in its order.
fn commands(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = blocks(page)?;
    if let Some(Block { line, language, .. }) =
        blocks.iter().find(|block| !LANGUAGES.contains(&block.language.as_str()))
    {
        return Err(format!("line {line}: {language:?} is none of {}", LANGUAGES.join(", ")));
    }
    blocks.retain(|block| block.language == "sh");
    if blocks.is_empty() {
        return Err("there is nothing to run".to_owned());
    }
    Ok(blocks)
}

/// Runs the page's commands in one shell, in a folder of its own.
///
/// Whatever the commands start ends with that shell, however it ends: their programs come from a
/// folder in which each asks the kernel for that.
async fn rehearse(page: &str) -> Result<(), String> {
    let blocks = commands(page)?;
    let folder = TempDir::with_prefix("harmony-rehearsal-").unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["bin", "tmp"] {
        fs::create_dir(path(name)).unwrap();
    }
    for name in PROGRAMS {
        put_program(&path("bin").join(name), &built(name));
    }
    put_program(&path("bin").join("nats-server"), nats_server::program(Version::Pinned));
    let (script, log) = (path("commands.sh"), path("output"));
    fs::write(&script, shell_script(&blocks)).unwrap();

    let command = ["bash", "-euo", "pipefail", script.to_str().unwrap()].map(str::to_owned);
    let system = std::env::var("PATH").unwrap();
    let environment = [
        ("PATH".to_owned(), format!("{}:{system}", path("bin").display())),
        ("TMPDIR".to_owned(), path("tmp").display().to_string()),
    ];
    let mut shell = Process::start("the rehearsal", &command, &environment, &log).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let ended = loop {
        match shell.ended() {
            Some(status) if status.success() => break Ok(()),
            Some(status) => break Err(format!("{status}")),
            None if Instant::now() >= deadline => break Err(format!("not through after {PATIENCE:?}")),
            None => tokio::time::sleep(PERIOD).await,
        }
    };
    shell.kill();
    end_what_outlives_agents(&path("tmp"));
    wait_until_nothing_runs(folder.path()).await;
    let log = fs::read(log).unwrap();
    ended.map_err(|why| failure(&why, &blocks, &String::from_utf8_lossy(&log)))?;
    let left: Vec<_> = fs::read_dir(path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("it left behind {left:?}")) }
}

fn put_program(path: &Path, program: &Path) {
    let script = format!("#!/bin/sh\nexec setpriv --pdeathsig KILL -- '{}' \"$@\"\n", program.display());
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn marker(block: &Block) -> String {
    format!("==== line {} ====", block.line)
}

fn shell_script(blocks: &[Block]) -> String {
    let mut script = "exec 2>&1\nset -E\ntrap 'echo \"failed: $BASH_COMMAND\"' ERR\n".to_owned();
    writeln!(script, "cd '{}/..'", env!("CARGO_MANIFEST_DIR")).unwrap();
    for block in blocks {
        write!(script, "echo '{}'\n{}", marker(block), block.text).unwrap();
    }
    script
}

/// What went wrong, with the block that it went wrong in.
fn failure(why: &str, blocks: &[Block], log: &str) -> String {
    let started = |block: &&Block| log.contains(&marker(block));
    let Some(block) = blocks.iter().rfind(started) else {
        return format!("{why}, before its first block\n{log}");
    };
    let output = log.split(&marker(block)).last().unwrap_or_default();
    let hidden = output.len().saturating_sub(SHOWN);
    let shown = &output[output.ceil_char_boundary(hidden)..];
    format!("the block at line {} failed: {why}\n{}---- its output ----{shown}", block.line, block.text)
}

/// Ends what the rehearsal's devices still hold: it has a folder for each below its own.
fn end_what_outlives_agents(folder: &Path) {
    let entries =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    for stage in entries(folder).collect::<Vec<_>>() {
        entries(&stage).for_each(|device| workloads::end_all(&device.join("state")));
    }
}

/// Waits until no program runs that was given something in that folder.
async fn wait_until_nothing_runs(folder: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
        let commands = processes.filter_map(|path| Some(fs::read_to_string(path).ok()?.replace('\0', " ")));
        let left: Vec<String> =
            commands.filter(|command| command.contains(folder.to_str().unwrap())).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left running: {left:#?}");
        tokio::time::sleep(PERIOD).await;
    }
}

#[tokio::test]
async fn the_commands_of_the_migration_page_do_what_it_says_in_its_order() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../MIGRATION.md")).unwrap();
    if let Err(problem) = rehearse(&page).await {
        panic!("MIGRATION.md: {problem}");
    }
}

#[tokio::test]
async fn a_command_that_fails_stops_the_rehearsal_and_what_it_started_and_is_told_with_its_block() {
    let page = "```sh\necho first\n```\n```text\nnot run\n```\n```sh\necho second\n\
         nats-server --addr 127.0.0.1 --port -1 --pid \"$TMPDIR/server.pid\" &\n\
         until [[ -s $TMPDIR/server.pid ]]; do sleep 0.1; done\nfalse\necho third\n```\n";
    let problem = rehearse(page).await.unwrap_err();
    for part in ["line 7", "second", "failed: false"] {
        assert!(problem.contains(part), "{part:?} is missing:\n{problem}");
    }
    let (_, output) = problem.split_once("---- its output ----").unwrap();
    assert!(!output.contains("first") && !output.contains("third"), "{problem}");
}

#[test]
fn a_page_with_nothing_to_run_or_blocks_of_another_language_is_no_rehearsal() {
    for (page, problem) in [
        ("# Migration\n\nDo it.\n", "there is nothing to run"),
        ("```console\n$ ls\n```\n", "there is nothing to run"),
        ("```sh\ntrue\n```\n\n```bash\ntrue\n```\n", "line 5: \"bash\" is none of console, sh, text, yaml"),
        ("```\ntrue\n```\n", "line 1: \"\" is none of console, sh, text, yaml"),
        ("```sh\ntrue\n", "line 1: the block has no end"),
    ] {
        assert_eq!(commands(page).unwrap_err(), problem);
    }
}
