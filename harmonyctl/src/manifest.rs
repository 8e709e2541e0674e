//! Documents, and everything that can be found wrong with them from here.

use std::collections::BTreeSet;

use agent_core::{
    acceptance::all_makeable,
    authoring::{AuthoredDocument, Completion},
    dispatcher::{Formats, are_of_one_line, choose_reader},
    envelope::{Envelope, Received, strict_json},
    signing::Sealed,
};
use agent_model::{
    AgentId, DeviceFacts, Generation, Lowered, ManifestFormat, Problem, RefusalReason, ResourceKind,
    SpecDocument, Suggestions, Timestamp, UnknownKeys, did_you_mean, pointer_to,
    reader::shown,
    status::{AgentInfo, AgentStatus},
};
use agent_score_bridge::Requirement;
use semver::Version;
use serde_json::Value;

use crate::{
    formats,
    least_version::{self, Versions},
};

/// The key by which a document says which readers suffice.
const MIN_SCHEMA_VERSION: &str = "minSchemaVersion";
/// What to say where the document of an author is to be, and one is that was signed.
const SIGNED_ALREADY: &str = "it is a signed document, as `harmonyctl sign` prints it: `harmonyctl verify` tells who signed \
                              it, and `nats kv put desired-state ID < FILE` writes it as it is. Here, give the document \
                              that was signed; `harmonyctl apply --sign-key FILE` signs and writes it";
/// Most Scores of a document that are named in messages about it.
const MAX_SCORES_NAMED: usize = 20;

/// A document that a device can accept, as far as can be told from here.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) agent: AgentId,
    pub(crate) document: AuthoredDocument,
    pub(crate) envelope: Envelope,
    /// Facts of a device that could accept it: those of its own, or stand-ins.
    pub(crate) facts: DeviceFacts,
    /// Scores that only the device can judge: they are not known here.
    pub(crate) unjudged: Vec<Requirement>,
    schema_version: String,
}

/// A document that no device could accept.
#[derive(Debug)]
pub(crate) struct Broken {
    /// File, number and, where it can be read, the device.
    pub(crate) place: String,
    /// Everything that is wrong; never empty.
    pub(crate) problems: Vec<Problem>,
}

impl Manifest {
    /// Checks a document as a device would, collecting all problems instead of the first. The device's
    /// facts are not known, so a document is valid when there could be a device that accepts it.
    ///
    /// # Errors
    /// The problems.
    pub(crate) fn check(document: AuthoredDocument) -> Result<Self, Broken> {
        let (document, too_low) = with_least_version(document);
        Self::judge_for_any(&document, too_low.as_ref())
    }

    /// As [`check`](Self::check), for a device with these facts.
    ///
    /// # Errors
    /// The problems.
    pub(crate) fn check_with(document: AuthoredDocument, facts: DeviceFacts) -> Result<Self, Broken> {
        let (document, too_low) = with_least_version(document);
        Self::judge(document, too_low, facts)
    }

    /// As [`check_with`](Self::check_with), for what is written already or was checked before: no version is filled in,
    /// and none that it says is doubted.
    ///
    /// # Errors
    /// The problems.
    pub(crate) fn check_as_it_is(document: AuthoredDocument, facts: DeviceFacts) -> Result<Self, Broken> {
        Self::judge(document, None, facts)
    }

    fn judge_for_any(document: &AuthoredDocument, too_low: Option<&Problem>) -> Result<Self, Broken> {
        let judge = |facts| Self::judge(document.clone(), too_low.cloned(), facts);
        let [first, others @ ..] = formats::stand_in_facts();
        let verdict = judge(first);
        if verdict.is_ok() {
            return verdict;
        }
        others.into_iter().map(judge).find(Result::is_ok).unwrap_or(verdict)
    }

    /// `too_low` is what is wrong with the readers that the document says suffice.
    fn judge(
        document: AuthoredDocument,
        too_low: Option<Problem>,
        facts: DeviceFacts,
    ) -> Result<Self, Broken> {
        if is_signed(&document) {
            let problem = Problem { pointer: String::new(), message: SIGNED_ALREADY.to_owned() };
            return Err(Broken { place: place(&document, None), problems: vec![problem] });
        }
        let formats = formats::known();
        let kind = document.kind().unwrap_or_default();
        let newest = newest_version(kind);
        let schema_version = newest.to_string();
        let completion = completion(&schema_version, Generation::FIRST, Timestamp::UNIX_EPOCH);
        let agent = document.agent();
        let envelope = document.open(&completion);
        let mut problems: Vec<Problem> = agent.as_ref().err().cloned().into_iter().chain(too_low).collect();
        let mut unjudged = Vec::new();
        match &envelope {
            Ok(envelope) => {
                unjudged = unknown_scores(envelope);
                problems.extend(without_unknown_scores(problems_of(&formats, envelope, &facts), &unjudged));
            }
            Err(refusal) => {
                let problem = placed(&refusal.message);
                if !problems.iter().any(|known| known.pointer == problem.pointer) {
                    problems.push(problem);
                }
                // A device would stop here; an author wants to know about the spec as well.
                let value = strict_json::parse(&document.complete(&completion)).unwrap_or_default();
                if let (Some(format), Some(spec)) = (formats.get(kind), value.get("spec")) {
                    let unknown = formats::unknown_scores(kind, spec);
                    problems.extend(without_unknown_scores(
                        spec_problems(format, spec, &newest, &facts),
                        &unknown,
                    ));
                }
            }
        }
        match (agent, envelope) {
            (Ok(agent), Ok(envelope)) if problems.is_empty() => {
                // The platform counts the generations itself.
                let document = document.without_generation();
                Ok(Self { agent, document, envelope, facts, unjudged, schema_version })
            }
            (agent, _) => Err(Broken { place: place(&document, agent.ok().as_ref()), problems }),
        }
    }

    /// The document in the entry of a device, of which the facts may be known.
    ///
    /// # Errors
    /// The problems.
    pub(crate) fn of_entry(
        agent: &AgentId,
        entry: &[u8],
        facts: Option<&DeviceFacts>,
    ) -> Result<Self, Broken> {
        let place = format!("the entry of agent/{agent}");
        let broken = |problem| Broken { place: place.clone(), problems: vec![problem] };
        // As it is: nothing is filled in any more.
        Envelope::open(Received::read(entry)).map_err(|refusal| broken(placed(&refusal.message)))?;
        let Ok(Value::Object(fields)) = strict_json::parse(entry) else {
            return Err(broken(placed("it is no object")));
        };
        let document = AuthoredDocument::from_fields(place.clone(), fields);
        let checked = match facts {
            Some(facts) => Self::check_as_it_is(document, facts.clone()),
            None => Self::judge_for_any(&document, None),
        };
        let manifest = checked.map_err(|broken| Broken { place: place.clone(), ..broken })?;
        if manifest.agent != *agent {
            let message = format!("the document is for {}, which {agent} refuses", manifest.agent);
            return Err(broken(Problem { pointer: "/metadata/name".into(), message }));
        }
        Ok(manifest)
    }

    /// What the document asks a device with these facts to be.
    ///
    /// # Errors
    /// What is wrong with it for such a device.
    pub(crate) fn lower(&self, facts: &DeviceFacts) -> Result<Lowered, Vec<Problem>> {
        let formats = formats::known();
        formats.lower(&self.envelope, facts).map_err(|_| problems_of(&formats, &self.envelope, facts))
    }

    /// When its time ran out, if it did by then: no device accepts it newly.
    pub(crate) fn expired_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.envelope.metadata.expires_at.filter(|expires_at| *expires_at <= now)
    }

    /// File, number and device, for messages.
    pub(crate) fn place(&self) -> String {
        place(&self.document, Some(&self.agent))
    }

    /// The digest by which the same document is recognised.
    pub(crate) fn intent(&self) -> agent_model::Digest {
        self.document.intent_digest(&self.schema_version)
    }

    /// The bytes to write.
    pub(crate) fn complete(&self, generation: Generation, issued_at: Timestamp) -> Vec<u8> {
        self.document.complete(&completion(&self.schema_version, generation, issued_at))
    }

    /// Why the device could not accept the document, as far as it tells; empty when it could.
    pub(crate) fn problems_on(&self, status: &AgentStatus) -> Vec<String> {
        let mut problems = self.not_readable_by(&status.agent_info);
        if problems.is_empty() && self.unjudged.is_empty() {
            match self.lower(&status.agent_info.facts) {
                Ok(lowered) => {
                    let has = |kind: &ResourceKind| {
                        status.agent_info.reconcilers.iter().any(|it| it == kind.as_str())
                    };
                    let kinds: Vec<ResourceKind> = ResourceKind::ALL.into_iter().filter(has).collect();
                    let refusal = all_makeable(&lowered.state, &kinds).err();
                    problems.extend(
                        refusal.map(|refusal| format!("the device cannot make it: {}", refusal.message)),
                    );
                }
                Err(wrong) => problems.extend(wrong.iter().map(ToString::to_string)),
            }
        }
        problems
    }

    /// What of the document's format the device says it cannot read.
    pub(crate) fn not_readable_by(&self, device: &AgentInfo) -> Vec<String> {
        let Some(versions) = device.formats.get(&self.envelope.kind) else {
            let kinds: Vec<&str> = device.formats.keys().map(String::as_str).collect();
            return vec![format!("the device reads no {}, only {}", self.envelope.kind, kinds.join(", "))];
        };
        let versions: Vec<Version> = versions.iter().filter_map(|version| version.parse().ok()).collect();
        if let Err(problem) = choose_reader(&versions, &self.envelope) {
            return vec![format!("the device cannot read it: {problem}")];
        }
        let spec = self.envelope.spec.as_ref();
        let required = spec.map(|spec| formats::required_scores(&self.envelope.kind, spec));
        let missing = distinct(required.unwrap_or_default()).into_iter().filter_map(|score| {
            let missing = formats::missing_score(&score, &device.scores)?;
            Some(format!("{}: {missing}", score.pointer))
        });
        missing.take(MAX_SCORES_NAMED).collect()
    }

    /// What only the device can judge, in words for a person.
    pub(crate) fn doubts(&self) -> Option<String> {
        if self.unjudged.is_empty() {
            return None;
        }
        let mut suggestions = Suggestions::default();
        let known = formats::known_scores();
        let names = || known.iter().filter_map(|id| id.split('@').next());
        let scores: Vec<String> = distinct(self.unjudged.clone())
            .into_iter()
            .take(MAX_SCORES_NAMED)
            .map(|Requirement { score, range, pointer }| {
                let is_known = names().any(|name| name == score);
                let hint = if is_known { String::new() } else { suggestions.hint(&score, names()) };
                format!("{} {range} ({pointer}){hint}", shown(&score))
            })
            .collect();
        Some(format!(
            "whether the device has these Scores, and what it makes of them, is not known to this harmonyctl, which has {}: \
             {}",
            known.join(", "),
            scores.join(", ")
        ))
    }
}

/// The document with the smallest `minSchemaVersion` that suffices, where that can be told, its author wrote none and it
/// is not the default; and what is wrong with the one that its author wrote.
fn with_least_version(document: AuthoredDocument) -> (AuthoredDocument, Option<Problem>) {
    let kind = document.kind().unwrap_or_default();
    let (newest, versions) = (newest_version(kind), least_version::of_kind(kind));
    with_least_version_of(document, &newest, versions)
}

/// What documents are written against that do not say. Of an unknown kind, any would do.
fn newest_version(kind: &str) -> Version {
    formats::known().newest_schema_version(kind).unwrap_or(Version::new(1, 0, 0))
}

/// As [`with_least_version`], of these versions; `newest` is what it is written against if it does not say.
fn with_least_version_of(
    document: AuthoredDocument,
    newest: &Version,
    versions: Option<&Versions>,
) -> (AuthoredDocument, Option<Problem>) {
    // A version that is none is a problem of the envelope, which tells it.
    let version = |key: &str| match document.fields().get(key) {
        None | Some(Value::Null) => Some(None),
        Some(version) => Some(Some(Version::parse(version.as_str()?).ok()?)),
    };
    let (Some(written), Some(said)) = (version("schemaVersion"), version(MIN_SCHEMA_VERSION)) else {
        return (document, None);
    };
    let written = written.as_ref().unwrap_or(newest);
    // Of an unknown kind no version is known either.
    let Some(versions) = versions else { return (document, None) };
    let problem = |message| Some(Problem { pointer: format!("/{MIN_SCHEMA_VERSION}"), message });
    if let Some(said) = said.as_ref().filter(|said| !are_of_one_line(said, written)) {
        let message = format!(
            "{said} is of another version line than the document, which is written against {written}: no reader of that \
             line reads it; write one of the line of {written}, or leave it out and it is filled in"
        );
        return (document, problem(message));
    }
    match (versions.least(written, document.fields()), said) {
        (None, _) => (document, None),
        // It says so by itself: its bytes stay as they were.
        (Some(least), None) if least == *written => (document, None),
        (Some(least), None) => (document.with_min_schema_version(&least), None),
        (Some(least), Some(said)) => {
            let message = versions.too_low(&said, &least, document.fields());
            (document, message.and_then(problem))
        }
    }
}

/// The first that asks for each Score.
fn distinct(mut scores: Vec<Requirement>) -> Vec<Requirement> {
    let mut seen = BTreeSet::new();
    scores.retain(|score| seen.insert((score.score.clone(), score.range.to_string())));
    scores
}

/// Whether it is a document in its signed form.
pub(crate) fn is_signed(document: &AuthoredDocument) -> bool {
    document.kind().is_none() && Sealed::is_meant(document.fields())
}

fn completion(schema_version: &str, generation: Generation, issued_at: Timestamp) -> Completion {
    Completion { schema_version: schema_version.to_owned(), generation, issued_at }
}

fn place(document: &AuthoredDocument, agent: Option<&AgentId>) -> String {
    let agent = agent.map(|agent| format!(" (agent/{agent})")).unwrap_or_default();
    format!("{}, document {}{agent}", document.source, document.number)
}

/// What the dispatcher finds wrong: kind, schema version, spec.
fn problems_of(formats: &Formats, envelope: &Envelope, facts: &DeviceFacts) -> Vec<Problem> {
    let Err(refusal) = formats.lower(envelope, facts) else { return Vec::new() };
    let at = |pointer: &str, message| vec![Problem { pointer: pointer.to_owned(), message }];
    match (refusal.reason, &envelope.spec, formats.get(&envelope.kind)) {
        (RefusalReason::UnsupportedKind, ..) => {
            let known = formats.advertised();
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            let kind = &envelope.kind;
            at("/kind", format!("no format reads the kind {:?}; {}", shown(kind), did_you_mean(kind, &known)))
        }
        (RefusalReason::UnsupportedSchema, ..) => at("/schemaVersion", refusal.message),
        // The refusal holds all problems in one text; the format itself tells them apart.
        (_, Some(spec), Some(format)) => spec_problems(format, spec, &envelope.schema_version, facts),
        _ => vec![placed(&refusal.message)],
    }
}

fn spec_problems(
    format: &dyn ManifestFormat,
    spec: &Value,
    schema_version: &Version,
    facts: &DeviceFacts,
) -> Vec<Problem> {
    let is_newer = format.schema_versions().iter().all(|known| schema_version > known);
    let unknown_keys = if is_newer { UnknownKeys::AreIgnored } else { UnknownKeys::AreProblems };
    let document = SpecDocument { spec, schema_version, unknown_keys, facts };
    format.lower(&document).err().map(|invalid| invalid.problems).unwrap_or_default()
}

fn unknown_scores(envelope: &Envelope) -> Vec<Requirement> {
    let of_spec = |spec| formats::unknown_scores(&envelope.kind, spec);
    envelope.spec.as_ref().map(of_spec).unwrap_or_default()
}

/// The problems but for those that say no more than that a Score is not known here.
fn without_unknown_scores(problems: Vec<Problem>, unknown: &[Requirement]) -> Vec<Problem> {
    let of_unknown: BTreeSet<String> = unknown
        .iter()
        .flat_map(|score| ["score", "version"].map(|key| pointer_to(&score.pointer, key)))
        .collect();
    problems.into_iter().filter(|problem| !of_unknown.contains(&problem.pointer)).collect()
}

/// A refusal's message begins with the place where there is one. It is an agent's; here, no agent has spoken.
fn placed(message: &str) -> Problem {
    let message = &message.replace("; this agent reads ", "; this harmonyctl reads ");
    match message.split_once(": ") {
        Some((pointer, rest)) if pointer.starts_with('/') => {
            Problem { pointer: pointer.to_owned(), message: rest.to_owned() }
        }
        _ => Problem { pointer: String::new(), message: message.to_owned() },
    }
}

#[cfg(test)]
mod tests;
