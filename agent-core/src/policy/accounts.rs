//! Whose rights users of this device have.

use agent_model::Principal;

/// Tells whose rights something has that runs as this user and group. Who runs it must ask the same.
pub trait Accounts: Send + Sync {
    /// The rights; those of the agent's own user and group where `None`.
    ///
    /// # Errors
    /// In words for people, when there is no such user or group, or nobody can tell.
    fn rights_of(&self, user: Option<&Principal>, group: Option<&Principal>) -> Result<Rights, String>;

    /// The number of a group; `None` where this device has none of that name.
    ///
    /// # Errors
    /// In words for people, when nobody can tell.
    fn group_of(&self, name: &str) -> Result<Option<u32>, String>;

    /// The agent's own user.
    fn own_uid(&self) -> u32;
}

/// Whose rights something has, in the numbers by which the system goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Its user.
    pub uid: u32,
    /// All its groups.
    pub groups: Vec<u32>,
}
