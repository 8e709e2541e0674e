//! Users of this device, as the policy asks about them: by the lookup that processes are started with.

use agent_core::policy::{Accounts, Rights};
use agent_model::Principal;
use reconcilers::Account;

/// The users that this device knows.
pub(crate) struct DeviceAccounts;

impl Accounts for DeviceAccounts {
    fn rights_of(&self, user: Option<&Principal>, group: Option<&Principal>) -> Result<Rights, String> {
        let account = Account::of(user, group).map_err(|failure| failure.message)?;
        Ok(Rights { uid: account.uid(), groups: account.groups().collect() })
    }

    fn group_of(&self, name: &str) -> Result<Option<u32>, String> {
        Account::group_of(name).map_err(|failure| failure.message)
    }

    fn own_uid(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }
}
