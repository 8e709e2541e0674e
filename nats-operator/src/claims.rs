//! What NATS's JWTs say, as far as we write it (nats-io/jwt, version 2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where a limit stands for none.
pub const UNLIMITED: i64 = -1;

/// The version of the claims that nats-server reads.
pub(crate) const VERSION: u32 = 2;

/// All that a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims<Body> {
    /// What every token says.
    #[serde(flatten)]
    pub registered: Registered,
    /// What a token of its kind says besides.
    pub nats: Body,
}

/// What every token says. The order is that in which NATS hashes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// When it ends, in seconds of Unix time; never, where there is none.
    #[serde(rename = "exp", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// A hash over all the others. What `nats` says has no part in it: two tokens of one second are told apart by
    /// nothing, which is why tokens of an account never share one.
    #[serde(rename = "jti", default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// When it was signed, in seconds of Unix time.
    #[serde(rename = "iat")]
    pub issued_at: u64,
    /// The public key of whoever signed it.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// What the subject is called.
    pub name: String,
    /// The public key of the one that it is about.
    #[serde(rename = "sub")]
    pub subject: String,
}

/// What tells the kinds of tokens apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Of an operator.
    Operator,
    /// Of an account.
    Account,
    /// Of a user.
    User,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The account that looks after the servers.
    pub system_account: String,
    /// Always [`Kind::Operator`].
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Always 2.
    pub version: u32,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What it takes from other accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// What it lets other accounts take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
    /// How much it may use.
    pub limits: AccountLimits,
    /// Further keys that may sign its users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<Scope>,
    /// Users whose tokens of that second of Unix time or before are no longer good.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revocations: BTreeMap<String, u64>,
    /// Always [`Kind::Account`].
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Always 2.
    pub version: u32,
}

/// Whether messages flow out, or are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Messages flow from the account that exports to those that import.
    Stream,
    /// Messages flow from those that import to the one that exports.
    Service,
}

/// Something that other accounts may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// What it is called, for people.
    pub name: String,
    /// Which subjects.
    pub subject: String,
    /// Which way.
    #[serde(rename = "type")]
    pub flow: Flow,
}

/// Something that is taken from another account, under the very subjects that it has there. There is no mapping to
/// others on purpose: through one, the answer to a device's request can be stored where the device may not write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// What it is called, for people.
    pub name: String,
    /// Which subjects.
    pub subject: String,
    /// From which account.
    pub account: String,
    /// Which way.
    #[serde(rename = "type")]
    pub flow: Flow,
    /// Whether whoever answers is told who asked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub share: bool,
}

/// How much an account may use. A number that is not written stands for 0, so all are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Subscriptions.
    pub subs: i64,
    /// Bytes.
    pub data: i64,
    /// Bytes in a message.
    pub payload: i64,
    /// Imports.
    pub imports: i64,
    /// Exports.
    pub exports: i64,
    /// Whether exports may have wildcards.
    pub wildcards: bool,
    /// Whether its users have to prove that they hold their key.
    pub disallow_bearer: bool,
    /// Connections.
    pub conn: i64,
    /// Connections of leaf nodes.
    pub leaf: i64,
    /// What JetStream may store; where it is flattened away, the account has no JetStream.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamLimits>,
}

/// How much an account may store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JetStreamLimits {
    /// Bytes in memory.
    pub mem_storage: i64,
    /// Bytes on disk.
    pub disk_storage: i64,
    /// Streams.
    pub streams: i64,
    /// Consumers.
    pub consumer: i64,
}

/// A key that may sign users, who all may do the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Always `user_scope`.
    pub kind: String,
    /// The public key.
    pub key: String,
    /// What its users are called, for people.
    pub role: String,
    /// What its users may do; `{{name()}}` stands for the user's name.
    pub template: Rights,
}

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Where it may publish.
    #[serde(rename = "pub", default, skip_serializing_if = "Subjects::is_empty")]
    pub publish: Subjects,
    /// What it may subscribe to.
    #[serde(rename = "sub", default, skip_serializing_if = "Subjects::is_empty")]
    pub subscribe: Subjects,
    /// How many subscriptions.
    pub subs: i64,
    /// How many bytes.
    pub data: i64,
    /// How many bytes in a message.
    pub payload: i64,
}

/// Some subjects; all, where none are named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subjects {
    /// Those that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

impl Subjects {
    fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What it may do. One that a scope's key signed says nothing here, else it is refused.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// The account, where another key than the account's own signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_account: Option<String>,
    /// Always [`Kind::User`].
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Always 2.
    pub version: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
