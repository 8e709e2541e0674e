//! What the coordinator sees of a fleet, in the order in which it sees it.

use std::{collections::BTreeMap, fmt, time::Duration};

use agent_model::{
    Digest,
    status::{AgentStatus, Heartbeat, Writer},
};
use process_shim::ProcessIdentity;

/// How everything begins that the schedule itself puts on a device's disk.
pub const BY_HAND: &str = "by hand";

/// What is found, by claim: a path of a document, or the name of a process.
pub type Contents = BTreeMap<String, Option<String>>;

/// A device with a disk of its own. Those that were cloned from it have its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Body {
    /// The place of its name in the fleet.
    pub device: usize,
    /// 0 is the original.
    pub copy: usize,
}

impl Body {
    /// The device that has this name by right.
    pub fn original(device: usize) -> Self {
        Self { device, copy: 0 }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.copy {
            0 => write!(f, "device {}", self.device),
            copy => write!(f, "clone {copy} of device {}", self.device),
        }
    }
}

/// A document as the platform writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its place among the documents of a device.
    pub generation: u64,
    /// Of its bytes.
    pub digest: Digest,
    /// Whether it is in order, so that only its generation can be against it.
    pub acceptable: bool,
    /// What it declares, by claim.
    pub declares: BTreeMap<String, String>,
    /// What each of its resources claims, by name.
    pub names: BTreeMap<String, String>,
}

/// Something that was seen, and when, counted from the first.
#[derive(Debug, Clone)]
pub struct Record {
    /// When.
    pub at: Duration,
    /// What.
    pub event: Event,
}

/// What can be seen.
#[derive(Debug, Clone)]
pub enum Event {
    /// The platform is about to write this document for this device …
    Wrote(usize, Document),
    /// … or a deletion, and what it wrote last is stored under this revision.
    Stored(usize, u64),
    /// The server has lost what it stored, or all that is newer than a backup.
    StoreReplaced,
    /// An agent is started.
    Started(Body),
    /// It ended, or was made to.
    Ended(Body),
    /// The schedule is about to alter something by hand.
    Altered(Body, String),
    /// A device has something else there than at the last look.
    Saw {
        /// Which device.
        body: Body,
        /// Where.
        claim: String,
        /// What; `None` for nothing.
        content: Option<String>,
    },
    /// A device holds this process there.
    Holds {
        /// Which device.
        body: Body,
        /// Where.
        claim: String,
        /// What runs.
        content: String,
        /// As which process.
        process: ProcessIdentity,
    },
    /// A status is sent. Whether it is stored is another matter.
    Said(Box<Said>),
    /// A status is stored.
    Told(Box<Told>),
    /// A heartbeat is sent.
    Beat(Box<Beat>),
    /// A device reads its entry of a bucket.
    Reads(usize, &'static str),
    /// A device tries to write there: its entry of a bucket, or an event.
    Writes(usize, &'static str),
}

impl Event {
    /// The device that it is about; `None` when it is about all of them.
    pub fn device(&self) -> Option<usize> {
        match self {
            Self::Wrote(device, _)
            | Self::Stored(device, _)
            | Self::Reads(device, _)
            | Self::Writes(device, _) => Some(*device),
            Self::StoreReplaced => None,
            Self::Started(body) | Self::Ended(body) | Self::Altered(body, _) => Some(body.device),
            Self::Saw { body, .. } | Self::Holds { body, .. } => Some(body.device),
            Self::Said(said) => Some(said.device),
            Self::Told(told) => Some(told.device),
            Self::Beat(beat) => Some(beat.device),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrote(device, document) => {
                let Document { generation, digest, acceptable, declares, names: _ } = document;
                let kind = if *acceptable { "document" } else { "bad document" };
                write!(f, "device {device}: {kind} {generation} ({}) declares {declares:?}", short(*digest))
            }
            Self::Stored(device, revision) => {
                write!(f, "device {device}: it is stored as revision {revision}")
            }
            Self::StoreReplaced => write!(f, "the store is replaced"),
            Self::Started(body) => write!(f, "{body}: agent starts"),
            Self::Ended(body) => write!(f, "{body}: agent ends"),
            Self::Altered(body, claim) => write!(f, "{body}: {claim} is altered by hand"),
            Self::Saw { body, claim, content } => write!(f, "{body}: {claim} is {content:?}"),
            Self::Holds { body, claim, content, process } => {
                write!(f, "{body}: {claim} is {content:?}, process {}", process.pid)
            }
            Self::Said(said) => said.fmt(f),
            Self::Told(told) => told.fmt(f),
            Self::Beat(beat) => beat.fmt(f),
            Self::Reads(device, bucket) => write!(f, "device {device}: reads {bucket}"),
            Self::Writes(device, place) => write!(f, "device {device}: tries to write to {place}"),
        }
    }
}

/// A status on its way to the server, and what the device had when it was sent.
#[derive(Debug, Clone)]
pub struct Said {
    /// Under whose name.
    pub device: usize,
    /// The device whose state it describes, where that is known.
    pub about: Option<Body>,
    /// The status.
    pub status: AgentStatus,
    /// What the device that it is about has, processes included: a status is sent after what it tells of, so this
    /// is as new or newer. `None` where nobody could look.
    pub contents: Option<Contents>,
}

/// A status as it is stored.
#[derive(Debug, Clone)]
pub struct Told {
    /// Under whose name.
    pub device: usize,
    /// The device whose state it describes, where that is known.
    pub about: Option<Body>,
    /// Its revision.
    pub revision: u64,
    /// The status.
    pub status: AgentStatus,
}

/// A heartbeat on its way to the server.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Under whose name.
    pub device: usize,
    /// What it says.
    pub heartbeat: Heartbeat,
    /// What each that has this name has: a heartbeat does not tell whose it is.
    pub contents: Vec<(Body, Contents)>,
}

impl Told {
    /// Generation and digest of the document that is in force, as the device says.
    pub fn accepted(&self) -> Option<(u64, Digest)> {
        accepted(&self.status)
    }
}

/// Generation and digest of the document that a status says to be in force.
pub(super) fn accepted(status: &AgentStatus) -> Option<(u64, Digest)> {
    status.accepted.as_ref().map(|accepted| (accepted.generation.get(), accepted.digest))
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, about, status, contents } = self;
        write!(f, "device {device}: sends ")?;
        write_status(f, *device, *about, status)?;
        match contents {
            Some(contents) => write!(f, "; it has {contents:?}"),
            None => write!(f, "; nobody could look"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, about, revision, status } = self;
        write!(f, "device {device}: stored as revision {revision} is ")?;
        write_status(f, *device, *about, status)
    }
}

impl fmt::Display for Beat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, heartbeat, contents } = self;
        let Heartbeat { epoch, accepted_generation, phase } = heartbeat;
        let generation = accepted_generation.map(|generation| generation.get());
        write!(
            f,
            "device {device}: heartbeat of epoch {epoch}: {phase:?}, accepted {generation:?}; {contents:?}"
        )
    }
}

fn write_status(
    f: &mut fmt::Formatter<'_>,
    device: usize,
    about: Option<Body>,
    status: &AgentStatus,
) -> fmt::Result {
    let desired = status.desired.as_ref().map(|desired| (desired.revision, desired.generation));
    let applied = status.applied.as_ref().map(|applied| applied.generation.get());
    let Writer { instance, epoch, op } = &status.writer;
    write!(f, "status {op} of epoch {epoch} by {}", instance.get(..8).unwrap_or(instance))?;
    match about {
        Some(about) if about == Body::original(device) => {}
        Some(about) => write!(f, " about {about}")?,
        None => write!(f, " about nobody knows whom")?,
    }
    write!(f, ": {:?}, desired {desired:?}, accepted ", status.phase)?;
    match accepted(status) {
        Some((generation, digest)) => write!(f, "{generation} ({})", short(digest))?,
        None => write!(f, "none")?,
    }
    let resources = status.resources.iter();
    let resources: Vec<_> = resources.map(|resource| (&*resource.name, resource.state)).collect();
    write!(f, ", applied {applied:?}, {:?}, {resources:?}", status.summary)
}

/// Enough of a digest to tell it from others in what people read.
pub(super) fn short(digest: Digest) -> String {
    digest.hex()[..8].to_owned()
}
