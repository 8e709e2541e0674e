//! Who a container runs as.

use std::{fmt, str::FromStr};

use crate::Principal;

/// A user of the image and, where it is given, a group: `app`, `1000:1000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUser {
    /// The user.
    pub user: Principal,
    /// The group; that of the user in the image when `None`.
    pub group: Option<Principal>,
}

/// Why a text is no user of a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no user of a container: write it like \"app\", \"1000\" or \"1000:1000\"")]
pub struct InvalidContainerUser {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl FromStr for ContainerUser {
    type Err = InvalidContainerUser;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let invalid = |_| InvalidContainerUser { given: text.chars().take(80).collect() };
        let user = user.parse().map_err(invalid)?;
        Ok(Self { user, group: group.map(str::parse).transpose().map_err(invalid)? })
    }
}

/// As runtimes take it.
impl fmt::Display for ContainerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => self.user.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_may_have_a_group_and_both_are_names_or_numbers() {
        for text in ["app", "0", "app:www-data", "1000:1000", "app:7"] {
            assert_eq!(text.parse::<ContainerUser>().unwrap().to_string(), text);
        }
        for text in ["", ":", "app:", ":7", "a:b:c", "a b", "-u", "4294967295", "a\0"] {
            assert!(text.parse::<ContainerUser>().is_err(), "{text:?} was accepted");
        }
    }
}
