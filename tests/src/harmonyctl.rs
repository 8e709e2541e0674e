//! The platform's command line, as a process of its own.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, built};

const PROGRAM: &str = "harmonyctl";

/// Somebody at a shell who works on one server's fleet.
#[derive(Debug)]
pub struct Harmonyctl {
    environment: Vec<(String, String)>,
    folder: TempDir,
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Ran {
    /// Makes sure that it ended with this exit code.
    ///
    /// # Panics
    /// When it ended in any other way, with all that it printed.
    #[track_caller]
    pub fn assert_ended(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:#?}");
    }

    /// The rows of its data, each cell parted from the next by one space.
    pub fn rows(&self) -> Vec<String> {
        self.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

/// A command that goes on until somebody ends it.
#[derive(Debug)]
pub struct Running {
    process: Process,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Its data so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// Lets it do nothing until [`resume`](Self::resume).
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Presses Ctrl-C.
    pub async fn interrupt(mut self) -> Ran {
        let status = self.process.interrupt().await;
        let stderr = fs::read_to_string(&self.stderr).unwrap();
        Ran { code: status.code(), stdout: self.stdout(), stderr }
    }
}

impl Harmonyctl {
    /// Works on the server at `url`, which the environment tells every command.
    pub fn new(url: impl Into<String>) -> Self {
        Self::with_environment(&[("HARMONYCTL_NATS_URL", &url.into())])
    }

    /// Works with these variables, and no server that every command knows of.
    pub fn with_environment(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = variables.iter().map(owned).collect();
        Self { environment, folder: TempDir::with_prefix("harmony-shell-").unwrap() }
    }

    /// Writes a file with these documents and returns its path.
    pub fn file(&self, documents: &[Value]) -> String {
        let path = self.folder.path().join("documents.yaml");
        let documents: Vec<String> = documents.iter().map(Value::to_string).collect();
        fs::write(&path, documents.join("\n---\n")).unwrap();
        path.to_str().expect("temporary folders have plain names").to_owned()
    }

    /// Writes a file of that name with this text and returns its path.
    pub fn text(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().expect("temporary folders have plain names").to_owned()
    }

    /// Applies these documents, and waits as long as it waits.
    pub async fn apply(&self, documents: &[Value]) -> Ran {
        self.run(&["apply", "--timeout", "1h", "-f", &self.file(documents)]).await
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let stdout = self.folder.path().join("stdout");
        let ran = self.run_printing_to(File::create(&stdout).unwrap(), arguments).await;
        Ran { stdout: fs::read_to_string(stdout).unwrap(), ..ran }
    }

    /// Runs a command to its end, of whose data nobody reads anything.
    pub async fn run_unread(&self, arguments: &[&str]) -> Ran {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        self.run_printing_to(writer, arguments).await
    }

    /// Runs a command to its end, for whose data there is no room.
    pub async fn run_without_room(&self, arguments: &[&str]) -> Ran {
        let full = File::options().write(true).open("/dev/full").unwrap();
        self.run_printing_to(full, arguments).await
    }

    /// Starts a command, which goes on beside the test. One at a time: its output is kept in the same place.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.folder.path().join(name));
        File::create(&stderr).unwrap();
        let process = self.process(File::create(&stdout).unwrap(), &stderr, arguments);
        Running { process, stdout, stderr }
    }

    async fn run_printing_to(&self, stdout: impl Into<Stdio>, arguments: &[&str]) -> Ran {
        let stderr = self.folder.path().join("stderr");
        File::create(&stderr).unwrap();
        let status = self.process(stdout, &stderr, arguments).end().await;
        Ran { code: status.code(), stdout: String::new(), stderr: fs::read_to_string(stderr).unwrap() }
    }

    fn process(&self, stdout: impl Into<Stdio>, stderr: &Path, arguments: &[&str]) -> Process {
        let program = built(PROGRAM).to_str().expect("the workspace has a plain name").to_owned();
        let command: Vec<String> =
            [program].into_iter().chain(arguments.iter().map(|argument| (*argument).to_owned())).collect();
        Process::start_with_stdout(PROGRAM, &command, &self.environment, stdout, stderr)
            .expect("a program that exists can be started")
    }
}
