//! Users and groups of this device.

use std::collections::HashMap;

use agent_model::{Failure, FileSpec, Principal};
use nix::unistd::{Group, User};

use super::{failures, observation::Owner};

/// Looks up each name once for a whole pass: with a directory service behind it, that may be slow.
#[derive(Debug)]
pub(super) struct Principals<'a> {
    own: Owner,
    users: HashMap<&'a str, Result<u32, Failure>>,
    groups: HashMap<&'a str, Result<u32, Failure>>,
}

impl<'a> Principals<'a> {
    pub(super) fn new() -> Self {
        let own =
            Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
        Self { own, users: HashMap::new(), groups: HashMap::new() }
    }

    /// The agent's own user and group.
    pub(super) fn own(&self) -> Owner {
        self.own
    }

    /// Who should own the file.
    pub(super) fn owner_of(&mut self, spec: &'a FileSpec) -> Result<Owner, Failure> {
        let uid = match &spec.owner {
            None => self.own.uid,
            Some(Principal::Id(id)) => *id,
            Some(Principal::Name(name)) => self.users.entry(name).or_insert_with(|| user(name)).clone()?,
        };
        let gid = match &spec.group {
            None => self.own.gid,
            Some(Principal::Id(id)) => *id,
            Some(Principal::Name(name)) => self.groups.entry(name).or_insert_with(|| group(name)).clone()?,
        };
        Ok(Owner { uid, gid })
    }
}

fn user(name: &str) -> Result<u32, Failure> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(failures::unknown("user", name)),
        Err(error) => Err(failures::io("look up the user", name, error)),
    }
}

fn group(name: &str) -> Result<u32, Failure> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(failures::unknown("group", name)),
        Err(error) => Err(failures::io("look up the group", name, error)),
    }
}
