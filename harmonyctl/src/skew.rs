//! What the devices of a fleet read, and which of them would refuse a document.
//!
//! ```text
//! Roster ──▶ Device (what it says of itself) ─┬─▶ Group (all that say the same)
//! Manifest ──problems_on, the agent's rule────┴─▶ Judgement ─▶ Refusal (all that refuse for the same reasons)
//! ```

use std::{collections::BTreeMap, sync::Arc};

use agent_model::{
    AgentId, DeviceFacts, Timestamp,
    status::{AgentInfo, AgentStatus},
};
use fleet::Agent;

use crate::{formats, manifest::Manifest};

/// Most reasons of one device that are kept.
const MAX_PROBLEMS: usize = 20;
/// Longest reason, in characters: what devices say is theirs to choose.
const MAX_PROBLEM_CHARS: usize = 500;

/// What a device says it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word<'a> {
    Said(&'a AgentInfo),
    /// It has never written a status.
    Nothing,
    /// Its status cannot be read here.
    Unreadable,
}

/// What a device would make of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It would accept it, as far as can be told from here.
    Accepts,
    /// It would refuse it, for these reasons; never empty. Those who refuse for the same share them.
    Refuses(Arc<[String]>),
    /// Not known: the device has said nothing that can be read here, or has Scores that are not known here.
    Unknown,
}

impl Judgement {
    /// By what the device says, and by the time of here.
    fn of(manifest: &Manifest, status: &AgentStatus, now: Timestamp) -> Self {
        let mut problems = manifest.problems_on(status);
        let expired =
            |at: Timestamp| format!("the device would refuse it as Expired: metadata.expiresAt is {at}");
        problems.extend(manifest.expired_at(now).map(expired));
        match (problems.is_empty(), manifest.unjudged.is_empty()) {
            (false, _) => Self::Refuses(bounded(&problems)),
            (true, true) => Self::Accepts,
            (true, false) => Self::Unknown,
        }
    }

    /// Why the device would refuse; empty where that is not sure.
    pub(crate) fn problems(&self) -> &[String] {
        match self {
            Self::Refuses(problems) => problems,
            Self::Accepts | Self::Unknown => &[],
        }
    }
}

fn bounded(problems: &[String]) -> Arc<[String]> {
    let beginning = |problem: &String| problem.chars().take(MAX_PROBLEM_CHARS).collect::<String>();
    let mut kept: Vec<String> = problems.iter().take(MAX_PROBLEMS).map(beginning).collect();
    if problems.len() > MAX_PROBLEMS {
        kept.push(format!("{} more", problems.len() - MAX_PROBLEMS));
    }
    kept.into()
}

/// All that a judgement depends on: the device that the document names, and what the one that is judged says of itself.
type Case<'a> = (&'a AgentId, &'a BTreeMap<String, Vec<String>>, [&'a [String]; 2], Option<&'a DeviceFacts>);

/// Judges devices by the documents for them; what those that say the same make of one is found out once.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    manifests: &'a [Manifest],
    by_agent: BTreeMap<&'a AgentId, &'a Manifest>,
    now: Timestamp,
    known: BTreeMap<Case<'a>, Judgement>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(manifests: &'a [Manifest], now: Timestamp) -> Self {
        let by_agent = manifests.iter().map(|manifest| (&manifest.agent, manifest)).collect();
        Self { manifests, by_agent, now, known: BTreeMap::new() }
    }

    /// The device, with what it would make of the document for it.
    pub(crate) fn device(&mut self, agent: &'a Agent) -> Device<'a> {
        let judgement = self.document_for(&agent.id).map(|manifest| self.judgement(manifest, agent.status()));
        Device { id: &agent.id, word: Word::of(agent), judgement }
    }

    /// A single document is for everybody; of several, each for the device that it names.
    fn document_for(&self, agent: &AgentId) -> Option<&'a Manifest> {
        match self.manifests {
            [only] => Some(only),
            _ => self.by_agent.get(agent).copied(),
        }
    }

    fn judgement(&mut self, manifest: &'a Manifest, status: Option<&'a AgentStatus>) -> Judgement {
        let Some(status) = status else { return Judgement::Unknown };
        let AgentInfo { formats, scores, reconcilers, facts, .. } = &status.agent_info;
        let facts = Some(facts).filter(|_| formats::reads_facts(&manifest.envelope.kind));
        let case = (&manifest.agent, formats, [scores.as_slice(), reconcilers.as_slice()], facts);
        let judge = || Judgement::of(manifest, status, self.now);
        self.known.entry(case).or_insert_with(judge).clone()
    }
}

/// A device, and what it would make of the document for it.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    pub(crate) id: &'a AgentId,
    pub(crate) word: Word<'a>,
    /// `None` where there is no document for it.
    pub(crate) judgement: Option<Judgement>,
}

impl Device<'_> {
    pub(crate) fn refuses(&self) -> bool {
        matches!(self.judgement, Some(Judgement::Refuses(_)))
    }

    /// Whether there is a document for it, and nobody knows what it makes of it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.judgement == Some(Judgement::Unknown)
    }

    /// Why it would refuse; empty where that is not sure.
    pub(crate) fn problems(&self) -> &[String] {
        self.judgement.as_ref().map(Judgement::problems).unwrap_or_default()
    }
}

impl<'a> Word<'a> {
    fn of(agent: &'a Agent) -> Self {
        match agent.report.as_ref().map(|report| &report.status) {
            None => Self::Nothing,
            Some(Err(_)) => Self::Unreadable,
            Some(Ok(status)) => Self::Said(&status.agent_info),
        }
    }

    /// The version of its agent, or why there is none.
    pub(crate) fn version(self) -> &'a str {
        match self {
            Self::Said(info) => &info.version,
            Self::Nothing => "(never reported)",
            Self::Unreadable => "(unreadable)",
        }
    }

    pub(crate) fn info(self) -> Option<&'a AgentInfo> {
        match self {
            Self::Said(info) => Some(info),
            Self::Nothing | Self::Unreadable => None,
        }
    }

    fn sort_key(self) -> SortKey<'a> {
        let info = self.info();
        (self.version(), info.map(|it| (&it.formats, it.scores.as_slice(), it.reconcilers.as_slice())))
    }
}

type SortKey<'a> = (&'a str, Option<(&'a BTreeMap<String, Vec<String>>, &'a [String], &'a [String])>);

/// Devices that say the same of themselves.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) word: Word<'a>,
    pub(crate) agents: usize,
}

/// The devices by what they say, the largest groups first.
pub(crate) fn groups<'a>(devices: &[Device<'a>]) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<SortKey<'_>, Group<'_>> = BTreeMap::new();
    for device in devices {
        let group = groups.entry(device.word.sort_key());
        group.or_insert(Group { word: device.word, agents: 0 }).agents += 1;
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.agents));
    groups
}

/// Devices of one version that refuse for the same reasons.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) version: &'a str,
    pub(crate) problems: &'a [String],
    /// By name; never empty.
    pub(crate) agents: Vec<&'a AgentId>,
}

/// Who would refuse, the largest groups first.
pub(crate) fn refusals<'a>(devices: &'a [Device<'a>]) -> Vec<Refusal<'a>> {
    let mut refusals: BTreeMap<(&str, &[String]), Vec<&AgentId>> = BTreeMap::new();
    for device in devices.iter().filter(|device| device.refuses()) {
        refusals.entry((device.word.version(), device.problems())).or_default().push(device.id);
    }
    let refusal = |((version, problems), agents)| Refusal { version, problems, agents };
    let mut refusals: Vec<_> = refusals.into_iter().map(refusal).collect();
    refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.agents.len()));
    refusals
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use fleet::{registry::State, roster::Report};
    use serde_json::json;

    use super::*;
    use crate::reading::Reading;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A device that says this of itself; nothing at all without a version.
    pub(crate) fn agent(id: &str, version: Option<&str>, formats: serde_json::Value) -> Agent {
        let status = |version: &str| {
            json!({
                "apiVersion": "harmony/v1", "kind": "AgentStatus", "schemaVersion": "1.0.0", "agent": id,
                "writer": {"instance": "i", "epoch": 1, "op": 1}, "phase": "Unassigned", "desired": null,
                "highestGeneration": null, "accepted": null, "applied": null, "conditions": [],
                "summary": {"total": 0, "ready": 0, "failed": 0, "pending": 0}, "resources": [],
                "agentInfo": {"version": version, "formats": formats, "scores": [], "reconcilers": ["File"],
                              "facts": {}, "bootId": null, "startedAt": "2026-01-31T12:00:00Z"},
            })
        };
        let report = version.map(|version| {
            let text = status(version).to_string();
            Report::read(agent_model::Timestamp::UNIX_EPOCH, text.into())
        });
        Agent {
            id: id.parse().unwrap(),
            desired: None,
            report,
            last_heartbeat: None,
            registered: Some(State::Approved),
        }
    }

    pub(crate) fn manifest() -> Manifest {
        read(
            "{apiVersion: harmony/v1, kind: AgentManifest, metadata: {name: edge-9}, spec: {resources: [\
             {name: a, kind: File, spec: {path: /etc/a, content: x}}]}}",
        )
    }

    fn read(text: &str) -> Manifest {
        let mut reading = Reading::default();
        reading.take_in(text, "f.yaml");
        reading.into_manifests().unwrap().pop().unwrap()
    }

    #[test]
    fn devices_that_say_the_same_are_one_group_and_refuse_together() {
        let v1 = || json!({"AgentManifest": ["1.0.0"]});
        let agents = [
            agent("a", Some("0.1.0"), v1()),
            agent("b", None, v1()),
            agent("c", Some("0.1.0"), v1()),
            agent("d", Some("0.2.0"), json!({"Score": ["0.1.0"]})),
            agent("e", Some("0.2.0"), json!({"Score": ["0.1.0"]})),
            agent("f", Some("0.1.0"), json!({"AgentManifest": ["1.0.0"], "Score": ["0.1.0"]})),
            Agent {
                report: Some(Report::read(agent_model::Timestamp::UNIX_EPOCH, "{}".into())),
                ..agent("g", None, v1())
            },
        ];
        assert!(serde_json::from_str::<AgentStatus>("{}").is_err());
        let manifests = [manifest()];
        let mut judge = Judge::new(&manifests, NOW);
        let devices: Vec<_> = agents.iter().map(|agent| judge.device(agent)).collect();
        assert_eq!(judge.known.len(), 3, "one for all that say the same");
        let told: Vec<_> =
            groups(&devices).iter().map(|group| (group.word.version(), group.agents)).collect();
        assert_eq!(
            told,
            [("0.1.0", 2), ("0.2.0", 2), ("(never reported)", 1), ("(unreadable)", 1), ("0.1.0", 1)]
        );
        let [refusal] = &refusals(&devices)[..] else { panic!("not one refusal") };
        assert_eq!((refusal.version, refusal.agents.len()), ("0.2.0", 2));
        assert_eq!(refusal.problems, ["the device reads no AgentManifest, only Score"]);
        let unknown = devices.iter().filter(|device| device.is_unknown());
        assert_eq!(unknown.map(|device| device.id.as_str()).collect::<Vec<_>>(), ["b", "g"]);
    }

    #[test]
    fn what_cannot_be_told_from_here_is_no_yes() {
        let manifest = read(
            "{apiVersion: harmony/v1, kind: Score, metadata: {name: edge-9}, spec: {scores: [\
             {score: Tea, version: 0.3.0, name: tea, with: {sugar: 2}}]}}",
        );
        let mut agent = agent("a", Some("0.1.0"), json!({"Score": ["0.1.0"]}));
        let manifests = [manifest];
        let judged = |agent: &Agent| Judge::new(&manifests, NOW).device(agent).judgement.unwrap();
        assert!(matches!(judged(&agent), Judgement::Refuses(_)), "it has no such Score");
        let Some(Ok(status)) = agent.report.as_mut().map(|report| &mut report.status) else {
            panic!("it has said nothing");
        };
        status.agent_info.scores = vec!["Tea@0.3.7".to_owned()];
        assert_eq!(judged(&agent), Judgement::Unknown);
        assert!(Judge::new(&manifests, NOW).device(&agent).is_unknown());
    }

    #[test]
    fn a_document_that_is_over_is_refused_by_everybody() {
        let manifest = read(
            "{apiVersion: harmony/v1, kind: AgentManifest, metadata: {name: edge-9, \
             expiresAt: '1970-01-01T00:00:01Z'}, spec: {resources: []}}",
        );
        let agent = agent("a", Some("0.1.0"), json!({"AgentManifest": ["1.0.0"]}));
        let manifests = [manifest];
        let judged = |now| Judge::new(&manifests, now).device(&agent).judgement.unwrap();
        assert_eq!(judged(NOW), Judgement::Accepts);
        let Judgement::Refuses(problems) = judged(NOW.saturating_add(Duration::from_secs(1))) else {
            panic!("it is accepted");
        };
        assert_eq!(
            problems[..],
            ["the device would refuse it as Expired: metadata.expiresAt is 1970-01-01T00:00:01Z"]
        );
    }

    #[test]
    fn what_a_device_says_makes_no_longer_reasons_than_a_person_reads() {
        let many: Vec<String> = (0..30).map(|i| format!("{i}{}", "x".repeat(1000))).collect();
        let told = bounded(&many);
        assert_eq!((told.len(), told[MAX_PROBLEMS].as_str()), (MAX_PROBLEMS + 1, "10 more"));
        assert!(told.iter().all(|problem| problem.chars().count() <= MAX_PROBLEM_CHARS));
        assert_eq!(bounded(&many[..1]).len(), 1);
    }

    #[test]
    fn without_a_document_nobody_refuses_and_nobody_is_asked() {
        let agents = [agent("a", Some("0.1.0"), json!({})), agent("b", None, json!({}))];
        let mut judge = Judge::new(&[], NOW);
        let devices: Vec<_> = agents.iter().map(|agent| judge.device(agent)).collect();
        assert!(!devices.iter().any(|device| device.refuses() || device.is_unknown()));
        assert!(refusals(&devices).is_empty());
    }
}
