//! How a command line names devices: `agents`, `agent ID…` or `agent/ID…`, as kubectl does; and, for `get`, the document
//! of one.

use agent_model::{AgentId, Suggestions, did_you_mean};

use crate::formats::SCHEMAS;

const NOUNS: &[&str] = &["agents", "agent"];
const DOCUMENT_NOUNS: &[&str] = &["documents", "document"];

/// Which devices are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// In the order given, each once; never empty.
    These(Vec<AgentId>),
}

/// What `get` is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Agents(Wanted),
    /// The document of that device.
    Document(AgentId),
}

/// Reads the words after a command.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse(words: &[String]) -> Result<Wanted, String> {
    let Some(first) = words.first() else {
        return Err("say what: agents, agent ID or agent/ID".to_owned());
    };
    if !NOUNS.contains(&noun_of(first)) {
        return Err(unknown(first, NOUNS));
    }
    let agents = ids(words, NOUNS)?;
    Ok(if agents.is_empty() { Wanted::All } else { Wanted::These(agents) })
}

/// Reads the words after `get`: those of [`parse`], or `document ID` or `document/ID`.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_shown(words: &[String]) -> Result<Shown, String> {
    let noun = words.first().map_or("", |first| noun_of(first));
    if DOCUMENT_NOUNS.contains(&noun) {
        let mut agents = ids(words, DOCUMENT_NOUNS)?;
        return match (agents.pop(), agents.is_empty()) {
            (Some(agent), true) => Ok(Shown::Document(agent)),
            _ => Err("say of which device, and of one only: document ID or document/ID".to_owned()),
        };
    }
    if !noun.is_empty() && !NOUNS.contains(&noun) {
        return Err(unknown(words.first().map_or(noun, String::as_str), &[NOUNS, DOCUMENT_NOUNS].concat()));
    }
    parse(words).map(Shown::Agents)
}

/// The kind of thing that a word names, if that is what stands there.
fn noun_of(word: &str) -> &str {
    word.split('/').next().unwrap_or_default()
}

/// What to say of a word that begins with no noun: whose id or kind of document it may be, where it is near to none.
fn unknown(word: &str, nouns: &[&str]) -> String {
    let noun = noun_of(word);
    let is_near = !Suggestions::default().hint(noun, nouns.iter().copied()).is_empty();
    let is_kind = SCHEMAS.iter().any(|(kind, _)| kind.eq_ignore_ascii_case(noun));
    // A document has the name of its device.
    let shown = if is_kind && nouns.contains(&"document") { "document" } else { "agent" };
    let id = match word.split_once('/') {
        Some((_, id)) => Some(id).filter(|_| is_kind),
        None if is_kind => Some("ID"),
        None => Some(word),
    };
    let meant = id.filter(|id| !is_near && id.parse::<AgentId>().is_ok());
    let meant = meant.map(|id| format!("did you mean {shown}/{id}? ")).unwrap_or_default();
    format!("there is no kind of thing called {noun:?}; {meant}{}", did_you_mean(noun, nouns))
}

/// The ids after one of these nouns, or with one before each; each once.
fn ids(words: &[String], nouns: &[&str]) -> Result<Vec<AgentId>, String> {
    let has_noun_alone = words.first().is_some_and(|first| !first.contains('/'));
    let mut ids = Vec::with_capacity(words.len());
    for word in &words[usize::from(has_noun_alone)..] {
        let id = match word.split_once('/') {
            None => word,
            Some((noun, id)) if nouns.contains(&noun) => id,
            Some(_) => return Err(unknown(word, nouns)),
        };
        let id: AgentId = id.parse().map_err(|error: agent_model::InvalidAgentId| error.to_string())?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// As [`parse`], for commands that want each device named.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_named(words: &[String]) -> Result<Vec<AgentId>, String> {
    match parse(words)? {
        Wanted::These(agents) => Ok(agents),
        Wanted::All => Err("say which: agent ID or agent/ID".to_owned()),
    }
}

/// The devices that `ID…` or `agent/ID…` name, after a command that is about nothing else.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_ids(words: &[String]) -> Result<Vec<AgentId>, String> {
    let with_noun = |word: &String| if word.contains('/') { word.clone() } else { format!("agent/{word}") };
    parse_named(&words.iter().map(with_noun).collect::<Vec<_>>())
}

/// As [`parse_named`], for commands about a single device, whose id is then enough.
///
/// # Errors
/// What would be right, for a person.
pub(crate) fn parse_one(words: &[String]) -> Result<AgentId, String> {
    if let [word] = words
        && !word.contains('/')
        && !NOUNS.contains(&word.as_str())
    {
        return word.parse().map_err(|error: agent_model::InvalidAgentId| error.to_string());
    }
    let mut agents = parse_named(words)?;
    match (agents.pop(), agents.is_empty()) {
        (Some(agent), true) => Ok(agent),
        _ => Err("say one only: ID, agent ID or agent/ID".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Wanted, String> {
        parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn these(ids: &[&str]) -> Result<Wanted, String> {
        Ok(Wanted::These(ids.iter().map(|id| id.parse().unwrap()).collect()))
    }

    #[test]
    fn every_way_of_kubectl_names_agents() {
        assert_eq!(parsed(&["agents"]), Ok(Wanted::All));
        assert_eq!(parsed(&["agent"]), Ok(Wanted::All));
        assert_eq!(parsed(&["agent", "a", "b", "a"]), these(&["a", "b"]));
        assert_eq!(parsed(&["agents", "a"]), these(&["a"]));
        assert_eq!(parsed(&["agent/a", "agent/b"]), these(&["a", "b"]));
    }

    #[test]
    fn a_single_device_needs_no_noun() {
        let one = |words: &str| {
            parse_one(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).map(String::from)
        };
        for words in ["a", "agent/a", "agent a", "agents a", "agent a a"] {
            assert_eq!(one(words), Ok("a".to_owned()), "{words}");
        }
        assert_eq!(one("agent/agent"), Ok("agent".to_owned()));
        for words in ["agents", "agent", "a.b", "a b", "agent a b", "pod/a"] {
            assert!(one(words).is_err(), "{words}");
        }
    }

    #[test]
    fn get_shows_devices_or_the_document_of_one() {
        let shown = |words: &str| parse_shown(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for words in ["document a", "documents a", "document/a", "documents/a", "document a document/a"] {
            assert_eq!(shown(words), Ok(Shown::Document("a".parse().unwrap())), "{words}");
        }
        assert_eq!(shown("agents"), Ok(Shown::Agents(Wanted::All)));
        assert_eq!(shown("agent/document"), these(&["document"]).map(Shown::Agents));
        for words in
            ["document", "documents", "document a b", "document a.b", "document agent/a", "agent document/a"]
        {
            assert!(shown(words).is_err(), "{words}");
        }
        assert!(shown("docment").unwrap_err().contains("did you mean \"document\"?"));
        assert!(parsed(&["document", "a"]).is_err(), "a document is shown, and not described or waited for");
    }

    #[test]
    fn other_nouns_and_bad_ids_are_told_with_what_would_be_right() {
        assert!(parsed(&["agnets"]).unwrap_err().contains("did you mean \"agents\"?"));
        assert!(parsed(&["pods"]).unwrap_err().contains("agents, agent"));
        assert!(parsed(&["pods"]).unwrap_err().contains("did you mean agent/pods? valid here: agents"));
        assert!(parsed(&["edge-0001", "edge-0002"]).unwrap_err().contains("did you mean agent/edge-0001?"));
        assert!(!parsed(&["a.b"]).unwrap_err().contains("did you mean"));
        for (words, meant) in [
            (&["AgentManifest"][..], "document/ID?"),
            (&["agentmanifest", "a"], "document/ID?"),
            (&["Score/a"], "document/a?"),
            (&["edge-0001"], "agent/edge-0001?"),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert!(parse_shown(&words).unwrap_err().contains(&format!("did you mean {meant}")), "{words:?}");
            assert!(parse(&words).unwrap_err().contains("did you mean agent/"), "{words:?}");
        }
        assert!(!parsed(&["pod/a"]).unwrap_err().contains("did you mean"));
        assert!(parsed(&["agent", "pod/a"]).is_err());
        assert!(parsed(&["agent/"]).is_err());
        assert!(parsed(&["agent", "a.b"]).unwrap_err().contains("a.b"));
        assert!(parse_named(&["agents".to_owned()]).is_err());
    }
}
