//! What the coordinator sees of a fleet, in the order in which it sees it.

use std::{collections::BTreeMap, fmt, time::Duration};

use agent_model::{Digest, status::AgentStatus};
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
    /// A status is stored.
    Told(Box<Told>),
    /// A device reads its entry of a bucket.
    Reads(usize, &'static str),
    /// A device tries to write its status.
    Writes(usize),
}

impl Event {
    /// The device that it is about; `None` when it is about all of them.
    pub fn device(&self) -> Option<usize> {
        match self {
            Self::Wrote(device, _)
            | Self::Stored(device, _)
            | Self::Reads(device, _)
            | Self::Writes(device) => Some(*device),
            Self::StoreReplaced => None,
            Self::Started(body) | Self::Ended(body) | Self::Altered(body, _) => Some(body.device),
            Self::Saw { body, .. } | Self::Holds { body, .. } => Some(body.device),
            Self::Told(told) => Some(told.device),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrote(device, document) => {
                let Document { generation, digest, acceptable, declares } = document;
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
            Self::Told(told) => told.fmt(f),
            Self::Reads(device, bucket) => write!(f, "device {device}: reads {bucket}"),
            Self::Writes(device) => write!(f, "device {device}: tries to write its status"),
        }
    }
}

/// A status as it is stored, and what the device had on its disk when that was heard.
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
    /// What the device that it is about has on its disk, files only: a status is written after what it tells
    /// of, so this is as new or newer.
    pub disk: Contents,
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

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, about, revision, status, disk } = self;
        let desired = status.desired.as_ref().map(|desired| (desired.revision, desired.generation));
        let applied = status.applied.as_ref().map(|applied| applied.generation.get());
        write!(f, "device {device}: status {revision} by {:?}", status.writer)?;
        if let Some(about) = about.filter(|about| about.copy != 0) {
            write!(f, " about {about}")?;
        }
        write!(f, ": {:?}, desired {desired:?}, accepted ", status.phase)?;
        match self.accepted() {
            Some((generation, digest)) => write!(f, "{generation} ({})", short(digest))?,
            None => write!(f, "none")?,
        }
        write!(f, ", applied {applied:?}; the disk has {disk:?}")
    }
}

/// Enough of a digest to tell it from others in what people read.
pub(super) fn short(digest: Digest) -> String {
    digest.hex()[..8].to_owned()
}
