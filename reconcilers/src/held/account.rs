//! Users and groups of this device, as a process gets them.

use agent_model::{Failure, Principal};
use nix::unistd::{Gid, Group, Uid, User};
use process_shim::Credentials;

use super::failures;

/// Whose rights a process has.
#[derive(Debug)]
pub struct Account {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Where this device knows one.
    user: Option<User>,
}

impl Account {
    /// Whose rights a process has that runs as this user and group, the agent's own where `None`. Looks up users,
    /// and so may block.
    ///
    /// # Errors
    /// When there is no such user or group, or nobody can tell.
    pub fn of(user: Option<&Principal>, group: Option<&Principal>) -> Result<Self, Failure> {
        let own = Uid::effective();
        let is_own = user.is_none();
        let (uid, user) = match user {
            None => (own, known(own)?),
            Some(Principal::Id(id)) => (Uid::from_raw(*id), known(Uid::from_raw(*id))?),
            Some(Principal::Name(name)) => match User::from_name(name) {
                Ok(Some(user)) => (user.uid, Some(user)),
                Ok(None) => return Err(failures::unknown("user", name)),
                Err(error) => return Err(failures::lookup("user", name, &error)),
            },
        };
        let gid = match group {
            Some(Principal::Id(id)) => Gid::from_raw(*id),
            Some(Principal::Name(name)) => match Group::from_name(name) {
                Ok(Some(group)) => group.gid,
                Ok(None) => return Err(failures::unknown("group", name)),
                Err(error) => return Err(failures::lookup("group", name, &error)),
            },
            None if is_own => Gid::effective(),
            // Without an entry nobody can say what its group is: that of its own number, as elsewhere.
            None => user.as_ref().map_or_else(|| Gid::from_raw(uid.as_raw()), |user| user.gid),
        };
        let groups = match user.as_ref().map(|user| std::ffi::CString::new(user.name.as_str())) {
            Some(Ok(name)) => nix::unistd::getgrouplist(&name, gid)
                .map_err(|error| failures::lookup("groups of the user", &uid.to_string(), &error))?,
            _ => vec![gid],
        };
        Ok(Self { uid, gid, groups, user })
    }

    /// The number of the user.
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The numbers of all its groups.
    pub fn groups(&self) -> impl Iterator<Item = u32> {
        [self.gid].into_iter().chain(self.groups.iter().copied()).map(Gid::as_raw)
    }

    /// The number of a group; `None` where this device has none of that name.
    ///
    /// # Errors
    /// When nobody can tell.
    pub fn group_of(name: &str) -> Result<Option<u32>, Failure> {
        let group = Group::from_name(name).map_err(|error| failures::lookup("group", name, &error))?;
        Ok(group.map(|group| group.gid.as_raw()))
    }

    /// `None` where nothing has to change: an agent that is not root may not even ask.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        let own = self.uid == Uid::effective() && self.gid == Gid::effective() && !Uid::effective().is_root();
        (!own).then(|| Credentials {
            uid: self.uid.as_raw(),
            gid: self.gid.as_raw(),
            groups: self.groups.iter().map(|group| group.as_raw()).collect(),
        })
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let Some(user) = &self.user else { return Vec::new() };
        [
            ("HOME", user.dir.display().to_string()),
            ("LOGNAME", user.name.clone()),
            ("USER", user.name.clone()),
            ("SHELL", user.shell.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

fn known(uid: Uid) -> Result<Option<User>, Failure> {
    User::from_uid(uid).map_err(|error| failures::lookup("user", &uid.to_string(), &error))
}
