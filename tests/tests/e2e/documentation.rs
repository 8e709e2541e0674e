//! The pages point at what is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders that builds make, and that of the version control.
const NOT_OURS: &[&str] = &["target", ".git", ".cache", "artifacts"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files of the project with that ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true if !NOT_OURS.contains(&&*name) => found.extend(files(&path, ending)),
            false if name.ends_with(ending) => found.push(path),
            _ => {}
        }
    }
    found
}

/// Where the links of a page go, but for those to other sites.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://"))
}

/// The anchor that a heading gets on the usual hosts.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

fn has_anchor(page: &str, wanted: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    headings.map(anchor).any(|anchor| anchor == wanted)
}

#[test]
fn each_link_from_one_page_to_another_leads_to_what_is_there() {
    let pages = files(&root(), ".md");
    assert!(pages.len() > 20, "{pages:?}");
    let mut looked_at = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let (path, wanted) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: nothing is at {link}", page.display());
            if !wanted.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(has_anchor(&text, wanted), "{}: no heading of {link}", page.display());
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 100, "{looked_at} links");
}

#[test]
fn each_source_file_that_the_architecture_names_is_there() {
    let sources = files(&root(), ".rs");
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let named: Vec<_> = text.split('`').skip(1).step_by(2).filter(|code| code.ends_with(".rs")).collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(sources.iter().any(|source| source.ends_with(name)), "no source file is called {name}");
    }
}
