//! What is looked up for one judgement, each once: a document may have a thousand processes and a policy as many
//! users, and behind each name there may be a directory service.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet, HashMap},
};

use agent_model::Principal;

use super::{Accounts, Allowed, Rights};

/// Groups whose members can make themselves root where the group has its usual meaning: by asking (sudo,
/// wheel, admin), by a service that runs as root and obeys them (docker, incus, libvirt, lxd, podman), by raw
/// access to disks or memory (disk, kmem), by the password file (shadow), or by writing where root
/// looks for programs (staff).
const ROOT_EQUIVALENT_GROUPS: [&str; 13] = [
    "admin", "disk", "docker", "incus", "kmem", "libvirt", "lxd", "podman", "root", "shadow", "staff",
    "sudo", "wheel",
];

/// A user and a group; those of the agent where `None`.
type Asked = [Option<Principal>; 2];

/// Users and groups, as they were found when they were first asked for.
pub(super) struct Lookups<'a> {
    accounts: &'a dyn Accounts,
    rights: RefCell<HashMap<Asked, Result<Rights, String>>>,
    allowed: OnceCell<BTreeSet<u32>>,
    root_equivalent: OnceCell<Result<BTreeMap<u32, &'static str>, String>>,
}

impl<'a> Lookups<'a> {
    pub(super) fn new(accounts: &'a dyn Accounts) -> Self {
        Self {
            accounts,
            rights: RefCell::default(),
            allowed: OnceCell::new(),
            root_equivalent: OnceCell::new(),
        }
    }

    fn rights_of(&self, user: Option<&Principal>, group: Option<&Principal>) -> Result<Rights, String> {
        let asked = [user.cloned(), group.cloned()];
        let mut known = self.rights.borrow_mut();
        known.entry(asked).or_insert_with(|| self.accounts.rights_of(user, group)).clone()
    }

    /// Whether that user is among the allowed ones: the same user may have several names.
    pub(super) fn is_allowed(&self, user: Option<&Principal>, allowed: &Allowed<Principal>) -> bool {
        let Allowed::Only(named) = allowed else { return true };
        if user.is_some_and(|user| named.contains(user)) {
            return true;
        }
        let uid = |user| self.rights_of(user, None).ok().map(|rights| rights.uid);
        let allowed =
            self.allowed.get_or_init(|| named.iter().filter_map(|named| uid(Some(named))).collect());
        uid(user).is_some_and(|uid| allowed.contains(&uid))
    }

    /// Why whoever runs as that user and group is as good as root; `None` where they are not.
    pub(super) fn root_equivalence(
        &self,
        user: Option<&Principal>,
        group: Option<&Principal>,
    ) -> Option<String> {
        self.telling(user, group).unwrap_or_else(|problem| {
            // Whoever cannot be looked up now may be root by the time it runs.
            Some(format!("nobody can tell whose rights that is: {problem}"))
        })
    }

    fn telling(&self, user: Option<&Principal>, group: Option<&Principal>) -> Result<Option<String>, String> {
        let Rights { uid, groups } = self.rights_of(user, group)?;
        if uid == 0 {
            return Ok(Some("that is root".to_owned()));
        }
        if uid == self.accounts.own_uid() {
            return Ok(Some("the agent's own user can change this policy".to_owned()));
        }
        // By number: the same one may have several names, and the first of them means nothing.
        let telling = self.root_equivalent.get_or_init(|| {
            let mut numbers = BTreeMap::from([(0, "root")]);
            for name in ROOT_EQUIVALENT_GROUPS {
                numbers.extend(self.accounts.group_of(name)?.map(|gid| (gid, name)));
            }
            Ok(numbers)
        });
        let telling = telling.as_ref().map_err(String::clone)?;
        let found = groups.iter().find_map(|gid| telling.get(gid));
        Ok(found.map(|name| format!("members of the group {name} can make themselves root")))
    }
}
