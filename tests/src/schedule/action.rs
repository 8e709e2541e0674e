//! What a schedule does to a fleet. Plain data.

use std::{fmt, time::Duration};

use super::paper::Paper;
use crate::{
    platform::ACTUAL_STATE,
    proxy::{Fate, Flow, Messages},
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write a document for a device.
    Write(usize, Paper),
    /// Put a deletion marker in its place.
    Unassign(usize),
    /// Do something to the cable of a device.
    Cable(usize, Cable),
    /// End its agent without a word.
    Kill(usize),
    /// Ask it to end.
    Stop(usize),
    /// Start it, if it does not run.
    Start(usize),
    /// Start it so that it dies after having passed so many crash points.
    Crash(usize, u32),
    /// Alter a file of a device, or remove it where there is no content.
    Alter(usize, &'static str, Option<String>),
    /// Publish so many hints of revisions that are not there.
    Forge(usize, u64),
    /// Start a clone of a device from a copy of its disk.
    Clone(usize),
    /// End that clone, and start the original anew.
    EndClone(usize),
    /// Do something to the server that takes it away for a while; to all of them at once where there are several.
    Server(Server, Duration),
    /// Take this member of the cluster from the others. They go on without it.
    LoseMember(Member, Loss),
    /// Put the lost member right.
    RegainMember,
}

/// What happens to a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    /// It is as it should be.
    Plugged,
    /// It is pulled out.
    Cut,
    /// What is sent to the server and to the client fares like this.
    Flows(Flow, Flow),
    /// Single messages have this fate, and the connection stays.
    Tampers(Target, Fate),
}

/// Which messages are tampered with. Not the hints: a server that loses those closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A device's reads, of both buckets.
    Reads,
    /// The answers to these.
    ReadAnswers,
    /// Its statuses, on their way to the server.
    Statuses,
    /// The acknowledgements of these.
    Acks,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reads, Self::ReadAnswers, Self::Statuses, Self::Acks];

    /// How the proxy knows them.
    pub(super) fn messages(self) -> Messages {
        let reads = "$JS.API.DIRECT.GET.>".to_owned();
        let statuses = format!("$KV.{ACTUAL_STATE}.*");
        match self {
            Self::Reads => Messages::Published(reads),
            Self::ReadAnswers => Messages::AnswersTo(reads),
            Self::Statuses => Messages::Published(statuses),
            Self::Acks => Messages::AnswersTo(statuses),
        }
    }
}

/// A member of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// The one that is at this place.
    At(usize),
    /// Whichever leads the stream of this bucket then.
    LeaderOf(&'static str),
}

/// How a cluster loses a member. One at a time, so that two are left that can agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It is stopped in good order: others are asked to lead what it leads.
    Stop,
    /// It is killed.
    Kill,
    /// It does nothing. Those who are connected to it are not told, and it does not know how long that took.
    Pause,
    /// What it and the others say to each other is under way for so long: what it has is always a bit older.
    Slow(Duration),
    /// What it and the others say to each other is held back. Its clients reach it, and read what is old.
    Hold,
    /// Its connections to the others are ended. Its clients reach it, and it has nobody to ask.
    CutOff,
}

impl Loss {
    /// Whether clients that reach this member do not reach the others.
    pub fn parts(self) -> bool {
        matches!(self, Self::Hold | Self::CutOff)
    }
}

/// What happens to the server, which is started again in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It is stopped in good order.
    Stop,
    /// It is killed.
    Kill,
    /// It is stopped, and what it has stored is copied.
    BackUp,
    /// It is killed, and gets what was copied last for its store.
    Restore,
    /// It is killed, and its store is empty.
    Empty,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(device, Paper { document, .. }) => {
                let kind = if document.acceptable { "document" } else { "bad document" };
                write!(f, "device {device}: write {kind} {} {:?}", document.generation, document.declares)
            }
            Self::Unassign(device) => write!(f, "device {device}: delete the entry"),
            Self::Cable(device, cable) => write!(f, "device {device}: cable {cable:?}"),
            Self::Kill(device) => write!(f, "device {device}: kill the agent"),
            Self::Stop(device) => write!(f, "device {device}: stop the agent"),
            Self::Start(device) => write!(f, "device {device}: start the agent"),
            Self::Crash(device, passed) => {
                write!(f, "device {device}: start the agent, to crash after {passed} points")
            }
            Self::Alter(device, path, content) => write!(f, "device {device}: {path} becomes {content:?}"),
            Self::Forge(device, hints) => write!(f, "device {device}: forge {hints} hints"),
            Self::Clone(device) => write!(f, "device {device}: kill it, and start it and a clone"),
            Self::EndClone(device) => write!(f, "device {device}: end the clone"),
            Self::Server(what, away) => write!(f, "server: {what:?}, away for {away:?}"),
            Self::LoseMember(member, loss) => write!(f, "cluster: lose {member:?} by {loss:?}"),
            Self::RegainMember => write!(f, "cluster: regain the lost member"),
        }
    }
}
