//! A Score of one's own, as docs/writing-a-score.md makes it: the crate `motd-score`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_model::status::ConditionType;
use serde_json::json;
use tempfile::TempDir;
use tests::{
    agent::Bridge,
    document::{score, scores},
    eventually::eventually,
    process::{Process, built},
    site::{Access, DEVICE, Site},
};

use crate::{
    page::blocks,
    status_words::{converged_at, refused},
};

/// Where the page says that the server is.
const SERVER_OF_THE_PAGE: &str = "nats://127.0.0.1:4222";
/// How the one command of the page begins that runs until it is stopped.
const DEVICE_OF_THE_PAGE: &str = "motd-agent run ";

/// What the page shows: code of the example, commands and a document that are tried, and a picture,
/// which names no language.
const LANGUAGES: [&str; 5] = ["", "rust", "sh", "toml", "yaml"];

/// The page.
fn page() -> String {
    read("docs/writing-a-score.md")
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The page's blocks in that language, in its order.
fn shown(language: &str) -> Vec<String> {
    let blocks = blocks(&page()).unwrap().into_iter();
    blocks.filter(|block| block.language == language).map(|block| block.text).collect()
}

/// Those of the blocks that stand in none of the sources.
fn invented<'a>(blocks: &'a [String], sources: &[String]) -> Vec<&'a String> {
    blocks.iter().filter(|block| !sources.iter().any(|source| source.contains(*block))).collect()
}

#[test]
fn the_code_of_the_page_is_that_of_the_example() {
    let sources =
        ["src/lib.rs", "src/main.rs", "Cargo.toml"].map(|file| read(&format!("examples/motd-score/{file}")));
    let blocks = blocks(&page()).unwrap();
    let unheld = blocks.iter().find(|block| !LANGUAGES.contains(&block.language.as_str()));
    assert_eq!(unheld, None, "nothing holds what such a block shows");
    let shown = [shown("rust"), shown("toml")].concat();
    assert!(shown.len() >= 5, "the page shows hardly anything: {shown:#?}");
    assert_eq!(invented(&shown, &sources), Vec::<&String>::new());
    // The longest parts of the example are those that a reader needs.
    for part in ["impl WireForm", "impl<T: Files> Score<T>", "impl<T: Files> Interpret<T>", "fn main"] {
        assert!(shown.iter().any(|block| block.contains(part)), "the page does not show {part}");
    }
    let altered = shown[0].replace("String", "&str");
    assert_eq!(invented(std::slice::from_ref(&altered), &sources), [&altered]);
}

#[test]
fn the_example_is_as_short_as_the_page_says() {
    let lines = read("examples/motd-score/src/lib.rs").lines().count();
    assert!(lines < 100, "{lines} lines are not under a hundred");
}

/// A folder to work in, with the page's document.
struct Desk {
    folder: TempDir,
    url: String,
}

impl Desk {
    fn new(url: String) -> Self {
        let folder = TempDir::with_prefix("harmony-desk-").unwrap();
        fs::write(folder.path().join("motd.yaml"), shown("yaml").concat()).unwrap();
        Self { folder, url }
    }

    /// Starts commands of the page.
    fn start(&self, commands: &str) -> Process {
        let commands = commands.replace(SERVER_OF_THE_PAGE, &self.url);
        let folder = self.folder.path();
        let programs = built("motd-agent").parent().map(Path::to_owned).unwrap();
        let (programs, system) = (programs.display(), std::env::var("PATH").unwrap());
        let script = format!("cd '{}'; {commands}", folder.display());
        let command = ["bash", "-euc", &script].map(str::to_owned);
        let environment = [
            ("PATH".to_owned(), format!("{programs}:{system}")),
            // What the first of the platform's blocks exports.
            ("HARMONYCTL_NATS_URL".to_owned(), self.url.clone()),
        ];
        Process::start("bash", &command, &environment, &self.log()).unwrap()
    }

    /// Runs commands of the page, which must succeed; returns all that was printed here so far.
    async fn run(&self, commands: &str) -> String {
        let status = self.start(commands).end().await;
        let printed = fs::read_to_string(self.log()).unwrap();
        assert!(status.success(), "{commands}{status}\n{printed}");
        printed
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("printed")
    }
}

#[tokio::test]
async fn the_commands_of_the_page_do_what_it_says() {
    let site = Site::start(Access::Open).await;
    let desk = Desk::new(site.server.url());
    let (mut device, mut printed) = (None, String::new());
    for commands in shown("sh") {
        if commands.starts_with(DEVICE_OF_THE_PAGE) {
            // The shell gives way to the agent, so that it is the agent that ends with this test.
            device = Some(desk.start(&format!("exec {commands}")));
            eventually("the device is seen", async || site.platform.status(DEVICE).await).await;
        } else {
            printed = desk.run(&commands).await;
        }
    }
    let mut device = device.expect("the page starts a device");
    assert!(device.ended().is_none(), "the page's device ended");
    for part in ["at Basel, cabinet 12; call +41 61 555 01 00", "Motd@0.1.0", "Converged"] {
        assert!(printed.contains(part), "{part:?} was not printed:\n{printed}");
    }
    assert_eq!(device.terminate().await.code(), Some(0));
}

#[tokio::test]
async fn an_agent_with_a_score_of_ones_own_brings_it_about_and_one_without_says_what_it_has_instead() {
    let site = Site::start(Access::Restricted).await;
    let mut device = site.device().with_bridge(Bridge::Enabled).with_program("motd-agent");
    device.start();
    let with = json!({"site": "Basel", "contact": "ops"});
    let document = |generation| scores(DEVICE, generation, &[score("Motd", "banner", &with)]);
    site.platform.put(DEVICE, &document(1)).await;
    let status = site.platform.status_where(DEVICE, "converged", converged_at(1)).await;
    assert_eq!(
        status.agent_info.scores,
        [
            "ConfigSet@0.1.0",
            "Container@0.1.0",
            "ContainerApp@0.1.0",
            "File@0.1.0",
            "Motd@0.1.0",
            "Process@0.1.0",
            "ServiceApp@0.1.0",
            "ShellJob@0.1.0",
            "SystemdUnit@0.1.0"
        ]
    );
    let names: Vec<&str> = status.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["banner-before", "banner-after"]);
    let banner = format!("{} at Basel; call ops\n", status.agent_info.facts["hostname"]);
    assert_eq!([device.read("/etc/issue"), device.read("/etc/motd")], [banner.clone(), banner.clone()]);

    device.stop().await;
    let mut device = device.with_bridge(Bridge::Enabled);
    device.start();
    let revision = site.platform.put(DEVICE, &document(2)).await;
    let status = site.platform.status_where(DEVICE, "refused", refused(revision, "Invalid")).await;
    let message = &status.condition(ConditionType::Accepted).unwrap().message;
    for part in [
        "/spec/scores/0/score",
        "\"Motd\"",
        "ConfigSet@0.1.0, Container@0.1.0, ContainerApp@0.1.0, File@0.1.0",
    ] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    assert_eq!(device.read("/etc/motd"), banner, "a refusal disturbed what was there");
    site.assert_nothing_was_forbidden();
}
