//! The Scores that a device has: the only list of them, and the only place where their types are
//! erased.

use std::{collections::BTreeMap, marker::PhantomData, sync::Arc};

use agent_model::{
    Declaration, ResourceName, Suggestions,
    reader::{Field, Findings, shown},
};
use semver::VersionReq;

use crate::{
    ConfigSet, Container, ContainerApp, DeviceTopology, File, InterpretError, Process, Score, ScoreId,
    ServiceApp, ShellJob, SystemdUnit,
    device_topology::{Device, interpret_entry},
    usage::Usage,
};

/// Why there is no Score to read an entry with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownScore {
    /// None has that name.
    #[error("no Score is named {name:?}; this device has {}{}", listed(have), hint(name, have))]
    Name {
        /// What was asked for, shortened to a length fit for a message.
        name: String,
        /// What there is.
        have: Vec<ScoreId>,
    },
    /// None of that name has a version in that range.
    #[error("no version of {name} is {}; this device has {}", shown(&range.to_string()), listed(have))]
    Version {
        /// The Score's name.
        name: String,
        /// What was asked for.
        range: VersionReq,
        /// What there is of that name.
        have: Vec<ScoreId>,
    },
}

impl UnknownScore {
    /// The key of the entry that is at fault.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Name { .. } => "score",
            Self::Version { .. } => "version",
        }
    }
}

fn listed(have: &[ScoreId]) -> String {
    if have.is_empty() {
        return "none".to_owned();
    }
    have.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn hint(name: &str, have: &[ScoreId]) -> String {
    Suggestions::default().hint(name, have.iter().map(|score| score.name.as_str()))
}

/// The newest of `have` that has this name and a version in this range.
///
/// # Errors
/// Which of both there is none of.
pub fn choose<'a>(
    have: impl Iterator<Item = &'a ScoreId> + Clone,
    name: &str,
    range: &VersionReq,
) -> Result<&'a ScoreId, UnknownScore> {
    let named = have.clone().filter(|score| score.name == name);
    if named.clone().next().is_none() {
        return Err(UnknownScore::Name { name: shown(name), have: have.cloned().collect() });
    }
    named.clone().filter(|score| range.matches(&score.version)).max().ok_or_else(|| UnknownScore::Version {
        name: name.to_owned(),
        range: range.clone(),
        have: named.cloned().collect(),
    })
}

/// The Scores that a device has.
#[derive(Clone, Default)]
pub struct ScoreRegistry(BTreeMap<ScoreId, Arc<dyn ErasedScore>>);

impl ScoreRegistry {
    /// No Score at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// The Scores that come with the bridge.
    pub fn built_in() -> Self {
        Self::none()
            .with::<Container>()
            .with::<File>()
            .with::<Process>()
            .with::<ShellJob>()
            .with::<SystemdUnit>()
            .with::<ConfigSet>()
            .with::<ContainerApp>()
            .with::<ServiceApp>()
    }

    /// These and one more, which takes the place of one of the same name and version.
    #[must_use]
    pub fn with<S: Score<DeviceTopology>>(mut self) -> Self {
        const {
            assert!(
                ScoreId::is_name(S::NAME),
                "a Score's NAME is a word in PascalCase of at most 63 letters and digits"
            )
        };
        let id = ScoreId { name: S::NAME.to_owned(), version: S::VERSION };
        self.0.insert(id, Arc::new(Registered::<S>(PhantomData)));
        self
    }

    /// The Scores, by name and version.
    pub fn ids(&self) -> impl Iterator<Item = &ScoreId> + Clone {
        self.0.keys()
    }

    pub(crate) fn choose(&self, name: &str, range: &VersionReq) -> Result<&dyn ErasedScore, UnknownScore> {
        // Every id that is chosen from has its Score.
        choose(self.ids(), name, range).map(|id| self.0[id].as_ref())
    }
}

/// A type of Score.
pub(crate) trait ErasedScore: Send + Sync {
    fn read(&self, body: Field<'_>, findings: &mut Findings) -> Option<Box<dyn ErasedBody>>;
}

/// A Score as it was read.
pub(crate) trait ErasedBody {
    fn interpret(
        &self,
        device: &Device,
        usage: &mut Usage,
        entry: &str,
        name: &ResourceName,
    ) -> Result<Vec<Declaration>, InterpretError>;
}

struct Registered<S>(PhantomData<fn() -> S>);

impl<S: Score<DeviceTopology>> ErasedScore for Registered<S> {
    fn read(&self, body: Field<'_>, findings: &mut Findings) -> Option<Box<dyn ErasedBody>> {
        S::read(body, findings).map(|score| Box::new(Body(score)) as Box<dyn ErasedBody>)
    }
}

struct Body<S>(S);

impl<S: Score<DeviceTopology>> ErasedBody for Body<S> {
    fn interpret(
        &self,
        device: &Device,
        usage: &mut Usage,
        entry: &str,
        name: &ResourceName,
    ) -> Result<Vec<Declaration>, InterpretError> {
        interpret_entry(device, usage, entry, name, &self.0)
    }
}
