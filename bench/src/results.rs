//! `RESULTS.md`: a section for each part, with when and on what it was taken. A part that is measured anew
//! replaces its own section and leaves the others.

use std::{collections::BTreeMap, fs, path::PathBuf};

use agent_model::Timestamp;

use crate::{machine::Machine, part::Part};

const HEAD: &str = "# Results\n\n\
    Written by `make bench`, or for some parts only by `make bench PARTS=\"noop idle\"`. Compare ratios only: the floor is \
    measured in turns with the agent, in the same run. Agents have the environment that the unit in `deploy/` gives \
    them. Each section says by itself when and on what it was taken.\n";

/// What a part found and on what.
pub(crate) struct Section<'a> {
    /// When its measurement began.
    pub(crate) taken: Timestamp,
    pub(crate) machine: &'a Machine,
    /// Tables and what they are about.
    pub(crate) figures: String,
}

/// Puts a section in the place of that part's last one, and returns its text.
pub(crate) fn record(part: Part, section: &Section<'_>) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
    let before = fs::read_to_string(&file).unwrap_or_default();
    let section = text(section);
    fs::write(&file, replaced(&before, part, &section)).unwrap();
    section
}

/// A section begins with the name of its part as a heading, and has no heading of that level within.
fn replaced(before: &str, part: Part, section: &str) -> String {
    let sections = before.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    let sections = sections.filter_map(|(name, text)| Some((Part::named(name)?, text.trim())));
    let mut sections: BTreeMap<Part, &str> = sections.collect();
    sections.insert(part, section.trim());
    let texts = sections.into_iter().map(|(part, text)| format!("\n## {}\n\n{text}\n", part.name()));
    [HEAD.to_owned()].into_iter().chain(texts).collect()
}

fn text(section: &Section<'_>) -> String {
    let Section { taken, machine, figures } = section;
    format!(
        "- Taken: {taken} at {}\n\
         - Machine: {} cores, {:.0} GiB, Linux {}, temporary files on {}\n\
         - Versions: agent {}, {}, {}; release build\n\n\
         {figures}",
        machine.commit,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.file_system,
        env!("CARGO_PKG_VERSION"),
        machine.server,
        machine.rustc,
    )
}
