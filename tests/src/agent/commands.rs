//! The other commands of the agent's program, as somebody on the device runs them.

use std::fs;

use super::{Agent, text};
use crate::process::{Process, built};

impl Agent {
    /// Runs another command of the agent's program on its state folder, to its end; returns the exit
    /// code and all that was printed.
    pub async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let folder = ["--state-dir", self.state_dir.to_str().expect("temporary folders have plain names")];
        self.finish(arguments.iter().copied().chain(folder).map(str::to_owned)).await
    }

    /// The same of a command that has to succeed; returns what was printed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn told(&self, arguments: &[&str]) -> String {
        let (code, printed) = self.command(arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {printed}");
        printed
    }

    /// Runs a command with nothing else than the agent's configuration file, as it is written when the agent is started,
    /// to tell which folder its state is in.
    pub async fn command_by_file(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let file = ["--config".to_owned(), text(&self.configuration_file())];
        self.finish(arguments.iter().map(|&argument| argument.to_owned()).chain(file)).await
    }

    /// Runs the command that checks this device, with all that the agent would be started with.
    pub async fn check(&self) -> (Option<i32>, String) {
        self.finish(["check".to_owned()].into_iter().chain(self.settings_of_run())).await
    }

    async fn finish(&self, arguments: impl IntoIterator<Item = String>) -> (Option<i32>, String) {
        let printed = self.folder.path().join("printed");
        let _ = fs::remove_file(&printed);
        let command: Vec<String> = [text(&built(&self.program))].into_iter().chain(arguments).collect();
        let process = Process::start(&self.id, &command, &[], &printed);
        let status = process.expect("a program that exists can be started").end().await;
        (status.code(), fs::read_to_string(&printed).unwrap())
    }
}
