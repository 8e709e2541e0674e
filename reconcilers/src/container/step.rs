//! What can be done about a container.

use agent_model::Step;

/// One action on a container or its image. Containers are named by id, so that no other is meant when somebody
/// changes names meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerStep {
    /// Begins to pull the image, and does not wait for it.
    Pull {
        /// Its reference.
        reference: String,
    },
    /// Creates the container.
    Create {
        /// Why somebody has to, in words that follow "create it: ".
        cause: Option<&'static str>,
    },
    /// Starts what was created under the resource's name.
    StartNew {
        /// Whether one ran before.
        again: bool,
    },
    /// Starts a container of ours.
    Start {
        /// Which one.
        id: String,
        /// Whether it ran before.
        again: bool,
    },
    /// Lets one go on that somebody has frozen.
    Resume {
        /// Which one.
        id: String,
    },
    /// Asks the runtime to stop it, and does not wait for that.
    Stop {
        /// Which one.
        id: String,
        /// Why, in words that follow "stop it: ".
        cause: &'static str,
    },
    /// Keeps it under another name until what replaces it works.
    SetAside {
        /// Which one.
        id: String,
    },
    /// Gives the one that was set aside its name back.
    BringBack {
        /// Which one.
        id: String,
    },
    /// Starts the one that was brought back.
    StartBroughtBack {
        /// Which one.
        id: String,
    },
    /// Removes one with what it wrote.
    Remove {
        /// Which one.
        id: String,
        /// Which that is, in words that follow "remove ".
        what: &'static str,
    },
}

impl Step for ContainerStep {
    fn summary(&self) -> String {
        match self {
            Self::Pull { reference } => format!("pull the image {reference}"),
            Self::Create { cause: None } => "create it".to_owned(),
            Self::Create { cause: Some(cause) } => format!("create it: {cause}"),
            Self::StartNew { again: false } | Self::Start { again: false, .. } => "start it".to_owned(),
            Self::StartNew { again: true } | Self::Start { again: true, .. } => "start it again".to_owned(),
            Self::Resume { .. } => "let it go on: somebody has paused it".to_owned(),
            Self::Stop { cause, .. } => format!("stop it: {cause}"),
            Self::SetAside { .. } => "keep the container before it until it works".to_owned(),
            Self::BringBack { .. } => "bring the container before it back".to_owned(),
            Self::StartBroughtBack { .. } => "start the container before it again".to_owned(),
            Self::Remove { what, .. } => format!("remove {what}"),
        }
    }

    /// Only what brings about what is declared; all else comes before, or is about another one.
    fn alters_target(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::StartNew { .. } | Self::Start { .. } | Self::Resume { .. })
    }

    fn restarts_target(&self) -> bool {
        matches!(
            self,
            Self::StartNew { again: true } | Self::Start { again: true, .. } | Self::StartBroughtBack { .. }
        )
    }
}
