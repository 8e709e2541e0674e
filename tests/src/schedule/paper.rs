//! The documents that a schedule writes: whatever is found of one on a device tells which one it was.

use std::collections::BTreeMap;

use agent_model::Digest;
use serde_json::{Value, json};

use crate::{
    coordinator::Document,
    document::{file, manifest, process},
};

/// The files that documents may declare.
pub(super) const FILES: [&str; 3] = ["/etc/app/a", "/etc/app/deep/b", "/srv/c"];
/// The process that documents of a device that has one may declare.
pub(super) const HELD: &str = "held";
/// The claim of that process.
pub(super) const PROCESS: &str = "Process held";

/// A document, as it is written and as the coordinator knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// What is written.
    pub text: String,
    /// What is known of it.
    pub document: Document,
}

impl Paper {
    /// A document in order.
    pub fn good(agent: &str, generation: u64, declares: BTreeMap<String, String>) -> Self {
        let text = manifest(agent, generation, &resources(&declares)).to_string();
        Self::of(text, generation, true, declares)
    }

    /// What must be refused for the reason that `fault` stands for, in the place of a generation that
    /// could be accepted.
    pub fn bad(agent: &str, generation: u64, fault: Fault) -> Self {
        let declares = content_of_all(|path| format!("bad content of {path}"));
        let mut document = manifest(agent, generation, &resources(&declares));
        match fault {
            Fault::Cut | Fault::Empty => {}
            Fault::WrongAgent => document["metadata"]["name"] = json!("somebody-else"),
            Fault::UnknownKind => document["kind"] = json!("Nonsense"),
            Fault::UnknownKey => document["spec"]["resources"][0]["spec"]["contents"] = json!("misspelt"),
        }
        let text = document.to_string();
        let text = match fault {
            Fault::Cut => text[..text.len() / 2].to_owned(),
            Fault::Empty => String::new(),
            _ => text,
        };
        Self::of(text, generation, false, declares)
    }

    fn of(text: String, generation: u64, acceptable: bool, declares: BTreeMap<String, String>) -> Self {
        let digest = Digest::of_bytes(text.as_bytes());
        let names = declares.keys().map(|claim| (name_of(claim), claim.clone())).collect();
        Self { text, document: Document { generation, digest, acceptable, declares, names } }
    }
}

/// What is wrong with a bad document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends in the middle.
    Cut,
    /// There is nothing in it.
    Empty,
    /// It is another device's.
    WrongAgent,
    /// Its kind is unknown.
    UnknownKind,
    /// It has a key that is unknown.
    UnknownKey,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Cut, Self::Empty, Self::WrongAgent, Self::UnknownKind, Self::UnknownKey];
}

/// Content for all files.
pub(super) fn content_of_all(content: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    FILES.iter().map(|path| ((*path).to_owned(), content(path))).collect()
}

fn resources(declares: &BTreeMap<String, String>) -> Vec<Value> {
    let resource = |(claim, content): (&String, &String)| match claim.as_str() {
        // It sleeps for the sum of the two: the second tells which declaration it was started for.
        PROCESS => process(HELD, &["sleep", "1000000", content]),
        path => file(&name_of(path), path, content),
    };
    declares.iter().map(resource).collect()
}

/// The name of the resource that claims that.
fn name_of(claim: &str) -> String {
    match FILES.iter().position(|path| *path == claim) {
        Some(number) => format!("file-{number}"),
        None => HELD.to_owned(),
    }
}
