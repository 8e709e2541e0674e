//! Judging what resources ask for.

use std::fmt;

use agent_model::{Ask, DesiredState, RefusalReason, Resource};

use super::{Accounts, Policy, ShellJobRule, lookups::Lookups, root_equivalence};
use crate::{envelope::Refusal, protected_paths::ProtectedPaths, signing::KeyId};

/// Longest rule that is shown whole in a message, in bytes: a list may have thousands of entries.
const SHOWN_RULE: usize = 200;
/// So many resources are named in a refusal, and the others counted.
const NAMED: usize = 16;

/// The policy of one device, with what must be known of the device to judge by it.
pub struct DevicePolicy {
    policy: Policy,
    protected: ProtectedPaths,
    accounts: Box<dyn Accounts>,
}

/// What a policy says to one thing that a resource asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// What is asked for.
    pub asked: Asked<'a>,
    /// By which rule it is judged.
    pub rule: Rule,
    /// The judgement.
    pub verdict: Verdict,
}

/// What is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<'a> {
    /// To be of that kind.
    Kind(&'static str),
    /// Something else.
    Of(Ask<'a>),
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "be a {kind}"),
            Self::Of(ask) => ask.fmt(f),
        }
    }
}

/// A judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It may not. More than the rule says for itself, where there is more to be said.
    Denied(Option<String>),
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// At least what is denied: nobody is looked up whose rights do not matter.
    Denied,
    /// Everything.
    All,
}

/// The rules, by their keys in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `kinds`.
    Kinds,
    /// `rootEquivalent`.
    RootEquivalent,
    /// `paths`.
    Paths,
    /// `users`.
    Users,
    /// `registries`.
    Registries,
    /// `hostNetwork`.
    HostNetwork,
    /// `devices`.
    Devices,
    /// `ports`.
    Ports,
    /// `shellJobs`.
    ShellJobs,
    /// `scripts`.
    Scripts,
    /// What no policy can allow: to touch what is the agent's own.
    OwnFiles,
}

impl DevicePolicy {
    /// A policy for a device with these users and files of the agent's own.
    pub fn new(policy: Policy, protected: ProtectedPaths, accounts: impl Accounts + 'static) -> Self {
        Self { policy, protected, accounts: Box::new(accounts) }
    }

    /// The rules.
    pub fn rules(&self) -> &Policy {
        &self.policy
    }

    /// Judges a whole document, with whose verified signature it came.
    ///
    /// # Errors
    /// `PolicyDenied`, naming resources that ask for too much, and the rules.
    pub fn judge(&self, desired: &DesiredState, signer: Option<KeyId>) -> Result<(), Refusal> {
        let judging = self.judging(signer);
        let denied: Vec<String> =
            desired.resources().iter().filter_map(|resource| judging.denied(resource)).collect();
        if denied.is_empty() {
            return Ok(());
        }
        let mut message = denied[..denied.len().min(NAMED)].join("; ");
        if denied.len() > NAMED {
            message += &format!("; and {} more resources", denied.len() - NAMED);
        }
        Err(Refusal::new(RefusalReason::PolicyDenied, message))
    }

    /// Begins a judgement of a document with that verified signature: users are looked up once for all that is
    /// judged with it.
    pub fn judging(&self, signer: Option<KeyId>) -> Judging<'_> {
        Judging { device: self, signer, lookups: Lookups::new(self.accounts.as_ref()) }
    }

    /// A rule with its value, as it would stand in the file.
    pub fn show(&self, rule: Rule) -> String {
        let Some(key) = rule.key() else { return "no policy".to_owned() };
        let line = self.policy.lines().find(|(of, _)| of == key);
        let (_, value) = line.unwrap_or_default();
        if value.len() <= SHOWN_RULE {
            return format!("{key} = {value}");
        }
        format!("{key} = {}…", &value[..value.floor_char_boundary(SHOWN_RULE)])
    }
}

/// Judging with what is known of users at one moment.
pub struct Judging<'p> {
    device: &'p DevicePolicy,
    signer: Option<KeyId>,
    lookups: Lookups<'p>,
}

impl Judging<'_> {
    /// Why the rules deny this resource, naming it and each rule; `None` where they do not. That no file of
    /// the agent's own is touched is seen to by whoever writes.
    pub fn denial(&self, resource: &Resource) -> Option<String> {
        self.words(resource, self.rules_on(resource, Telling::Denied))
    }

    /// The same with the agent's own files.
    fn denied(&self, resource: &Resource) -> Option<String> {
        let rulings = self.rules_on(resource, Telling::Denied);
        self.words(resource, rulings.chain(self.own_files(resource)))
    }

    /// What is said to each thing that a resource asks for.
    pub fn rulings<'a>(&self, resource: &'a Resource) -> Vec<Ruling<'a>> {
        self.rules_on(resource, Telling::All).chain(self.own_files(resource)).collect()
    }

    fn rules_on<'a>(&self, resource: &'a Resource, telling: Telling) -> impl Iterator<Item = Ruling<'a>> {
        let kind = resource.kind();
        let allowed = self.device.policy.kinds.allows(|allowed| *allowed == kind);
        let on_kind =
            Ruling { asked: Asked::Kind(kind.as_str()), rule: Rule::Kinds, verdict: verdict(allowed) };
        let asks = resource.spec.asks().into_iter();
        [on_kind].into_iter().chain(asks.flat_map(move |ask| self.rules_on_ask(ask, telling)))
    }

    pub(super) fn rules_on_ask<'a>(
        &self,
        ask: Ask<'a>,
        telling: Telling,
    ) -> impl Iterator<Item = Ruling<'a>> {
        let given = self.own_rule(&ask).into_iter().chain(self.root_equivalence(&ask, telling));
        given.map(move |(rule, verdict)| Ruling { asked: Asked::Of(ask.clone()), rule, verdict })
    }

    /// The rule that is about nothing but this. What can only be as good as root has none.
    fn own_rule(&self, ask: &Ask<'_>) -> Option<(Rule, Verdict)> {
        let policy = &self.device.policy;
        let (rule, allowed) = match ask {
            Ask::WriteFile(path) | Ask::WriteBelow(path) | Ask::BindMount { path, .. } => {
                (Rule::Paths, policy.paths.iter().any(|prefix| prefix.covers(path)))
            }
            Ask::RunAs { user, .. } => (Rule::Users, self.lookups.is_allowed(*user, &policy.users)),
            Ask::PullImage(image) => {
                (Rule::Registries, policy.registries.allows(|registry| registry.holds(image)))
            }
            Ask::UseHostNetwork => (Rule::HostNetwork, policy.host_network),
            Ask::UseDevice(path) => {
                let allowed = policy.devices.iter().any(|device| device == *path || path.is_below(device));
                (Rule::Devices, allowed)
            }
            Ask::PublishPort(port) => (Rule::Ports, policy.ports.holds(*port)),
            Ask::RunScript(digest) => match policy.shell_jobs {
                ShellJobRule::Disabled => (Rule::ShellJobs, false),
                ShellJobRule::Signed => return Some((Rule::ShellJobs, self.signed())),
                ShellJobRule::AllowListed => (Rule::Scripts, policy.scripts.contains(digest)),
            },
            Ask::SteerScript(_) => match policy.shell_jobs {
                ShellJobRule::Disabled => (Rule::ShellJobs, false),
                ShellJobRule::Signed => return Some((Rule::ShellJobs, self.signed())),
                // Who listed the script has read its text, and nothing else.
                ShellJobRule::AllowListed => (Rule::Scripts, false),
            },
            Ask::AddCapability { .. } | Ask::GrantRights(_) | Ask::ManageUnit(_) | Ask::RuleDevice(_) => {
                return None;
            }
        };
        Some((rule, verdict(allowed)))
    }

    /// What is said to something that only a signed document may ask for.
    fn signed(&self) -> Verdict {
        match self.signer {
            Some(_) => Verdict::Allowed,
            None => {
                Verdict::Denied(Some("the document is not signed with a key that this device trusts".into()))
            }
        }
    }

    fn root_equivalence(&self, ask: &Ask<'_>, telling: Telling) -> Option<(Rule, Verdict)> {
        let policy = &self.device.policy;
        let allowed = policy.root_equivalent;
        if allowed && telling == Telling::Denied {
            return None;
        }
        let why = root_equivalence::why(ask, policy, &self.lookups)?;
        Some((Rule::RootEquivalent, if allowed { Verdict::Allowed } else { Verdict::Denied(Some(why)) }))
    }

    fn own_files<'a>(&self, resource: &'a Resource) -> Vec<Ruling<'a>> {
        let own = |ask: Ask<'a>| {
            let protected = &self.device.protected;
            let own = match &ask {
                Ask::WriteFile(path) => protected.own(path),
                Ask::WriteBelow(path) => protected.own_of_device(path),
                // To read them is too much already: there are secrets among them.
                Ask::BindMount { path, .. } => protected.own_of_device(path),
                Ask::ManageUnit(unit) => protected.own_unit(unit),
                _ => None,
            }?;
            let verdict = Verdict::Denied(Some(format!("{} belongs to the agent itself", own.display())));
            Some(Ruling { asked: Asked::Of(ask), rule: Rule::OwnFiles, verdict })
        };
        resource.spec.asks().into_iter().filter_map(own).collect()
    }

    /// What the denials among these say of the resource; `None` where there are none.
    fn words<'a>(
        &self,
        resource: &Resource,
        rulings: impl IntoIterator<Item = Ruling<'a>>,
    ) -> Option<String> {
        let denied: Vec<String> =
            rulings.into_iter().filter_map(|ruling| self.denied_in_words(&ruling)).collect();
        (!denied.is_empty()).then(|| format!("{:?} {}", resource.name.as_str(), denied.join(" and ")))
    }

    /// What a denial says, in words that follow the resource's name; `None` where there is none.
    fn denied_in_words(&self, ruling: &Ruling<'_>) -> Option<String> {
        let Ruling { asked, rule, verdict } = ruling;
        let Verdict::Denied(why) = verdict else { return None };
        let asked = format!("asks to {asked}");
        Some(match (rule, why) {
            (Rule::OwnFiles, Some(why)) => format!("{asked}, and {why}"),
            (_, Some(why)) => format!("{asked}, which {} denies because {why}", self.device.show(*rule)),
            (_, None) => format!("{asked}, which {} does not allow", self.device.show(*rule)),
        })
    }
}

fn verdict(allowed: bool) -> Verdict {
    if allowed { Verdict::Allowed } else { Verdict::Denied(None) }
}

impl Rule {
    /// Its key in the file; `None` where it stands in no file.
    fn key(self) -> Option<&'static str> {
        Some(match self {
            Self::Kinds => "kinds",
            Self::RootEquivalent => "rootEquivalent",
            Self::Paths => "paths",
            Self::Users => "users",
            Self::Registries => "registries",
            Self::HostNetwork => "hostNetwork",
            Self::Devices => "devices",
            Self::Ports => "ports",
            Self::ShellJobs => "shellJobs",
            Self::Scripts => "scripts",
            Self::OwnFiles => return None,
        })
    }
}

impl Policy {
    /// Each rule with its value, as in the file.
    pub fn lines(&self) -> impl Iterator<Item = (String, String)> {
        // What JSON writes of texts, numbers, truths and lists of texts is TOML as well.
        let rules = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(rules)) => rules,
            _ => serde_json::Map::new(),
        };
        rules.into_iter().flat_map(|(key, value)| match value {
            serde_json::Value::Object(named) => {
                named.into_iter().map(|(name, value)| (format!("{key}.{name}"), value.to_string())).collect()
            }
            value => vec![(key, value.to_string())],
        })
    }
}
