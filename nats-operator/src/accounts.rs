//! What each account of a fleet may do. Every line here was tried as an attack before it was written: the tests are
//! in `tests/tests/e2e/operator_mode/`.

use std::collections::BTreeMap;

use crate::claims::{
    Account, AccountLimits, Export, Flow, Import, JetStreamLimits, Kind, Rights, Scope, Subjects, UNLIMITED,
    User, VERSION,
};

/// The prefix of the inboxes in which those who ask to be enrolled await the answer. They share it, so an answer may
/// hold nothing that another of them must not see.
pub const ENROLL_INBOX: &str = "_INBOX_enroll";

/// The subjects on which enrolment is asked for.
pub const ENROLL_SUBJECTS: &str = "enroll.*";

/// Where the answer to that is read, and where it is hinted at that there is one. The star is the public key of whoever
/// asked.
const ENROLL_ANSWERS: &str = "$JS.API.DIRECT.GET.ENROLL_ANSWERS.enroll-answers.*";
const ENROLL_HINTS: &str = "enroll-hints.*";

/// What a device asks, and of whom it is answered: an entry's content, or that something was stored. The star is the
/// device's id.
const DEVICE_SERVICES: [&str; 5] = [
    "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.*",
    "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.*",
    "$KV.actual-state.*",
    "$KV.agent-heartbeat.*",
    "agent-events.*",
];

/// What whoever asks to be enrolled may use.
const ENROLLMENT: [(&str, Flow); 3] =
    [(ENROLL_SUBJECTS, Flow::Service), (ENROLL_ANSWERS, Flow::Service), (ENROLL_HINTS, Flow::Stream)];

/// What a device is told.
const DEVICE_HINTS: &str = "desired-state.*";

/// Two are needed, and one for each request of a server that was slow, of which there are four at once at most; the
/// others are there for those that are given up and not yet gone.
const DEVICE_SUBSCRIPTIONS: i64 = 16;

/// Bytes: an entry of the largest bucket that a device writes to, and its headers.
const DEVICE_PAYLOAD: i64 = (256 + 4) << 10;

/// Bytes: a request is a key, a few facts, and a proof.
const ENROLL_PAYLOAD: i64 = 16 << 10;

/// The account that looks after the servers.
pub fn system() -> Account {
    Account { limits: limits(None), ..bare() }
}

/// The account that owns the streams.
pub fn platform() -> Account {
    let exports = DEVICE_SERVICES
        .map(|subject| (subject, Flow::Service))
        .into_iter()
        .chain([(DEVICE_HINTS, Flow::Stream)])
        .chain(ENROLLMENT)
        .map(|(subject, flow)| Export { name: subject.to_owned(), subject: subject.to_owned(), flow })
        .collect();
    let everything = JetStreamLimits {
        mem_storage: UNLIMITED,
        disk_storage: UNLIMITED,
        streams: UNLIMITED,
        consumer: UNLIMITED,
    };
    Account { exports, limits: limits(Some(everything)), ..bare() }
}

/// The account of the devices: `platform` has what they ask for, `signing_key` signs their users.
pub fn devices(platform: &str, signing_key: &str) -> Account {
    let imports = DEVICE_SERVICES
        .map(|subject| (subject, Flow::Service))
        .into_iter()
        .chain([(DEVICE_HINTS, Flow::Stream)])
        .map(|(subject, flow)| import(platform, subject, flow, false))
        .collect();
    let own = |subject: &str| subject.replace('*', "{{name()}}");
    let template = Rights {
        publish: Subjects { allow: DEVICE_SERVICES.map(own).into() },
        subscribe: Subjects { allow: vec![own(DEVICE_HINTS), own("_INBOX_*.>")] },
        subs: DEVICE_SUBSCRIPTIONS,
        data: UNLIMITED,
        payload: DEVICE_PAYLOAD,
    };
    let scope = Scope {
        kind: "user_scope".to_owned(),
        key: signing_key.to_owned(),
        role: "device".to_owned(),
        template,
    };
    Account { imports, limits: limits(None), signing_keys: vec![scope], ..bare() }
}

/// The account of those who ask to become devices.
pub fn enroll(platform: &str) -> Account {
    let imports =
        ENROLLMENT.map(|(subject, flow)| import(platform, subject, flow, subject == ENROLL_SUBJECTS)).into();
    Account { imports, limits: limits(None), ..bare() }
}

/// A user who may do everything that its account may.
pub fn unrestricted_user() -> User {
    let rights = Rights {
        publish: Subjects::default(),
        subscribe: Subjects::default(),
        subs: UNLIMITED,
        data: UNLIMITED,
        payload: UNLIMITED,
    };
    User { rights: Some(rights), issuer_account: None, kind: Kind::User, version: VERSION }
}

/// The user of all who ask to become devices.
pub fn bootstrap_user() -> User {
    let rights = Rights {
        publish: Subjects { allow: vec![ENROLL_SUBJECTS.to_owned(), ENROLL_ANSWERS.to_owned()] },
        subscribe: Subjects { allow: vec![ENROLL_HINTS.to_owned(), format!("{ENROLL_INBOX}.>")] },
        subs: DEVICE_SUBSCRIPTIONS,
        data: UNLIMITED,
        payload: ENROLL_PAYLOAD,
    };
    User { rights: Some(rights), ..unrestricted_user() }
}

/// The user of a device in this account.
pub fn device_user(devices: &str) -> User {
    User { rights: None, issuer_account: Some(devices.to_owned()), kind: Kind::User, version: VERSION }
}

fn bare() -> Account {
    Account {
        imports: Vec::new(),
        exports: Vec::new(),
        limits: limits(None),
        signing_keys: Vec::new(),
        revocations: BTreeMap::new(),
        kind: Kind::Account,
        version: VERSION,
    }
}

fn import(account: &str, subject: &str, flow: Flow, share: bool) -> Import {
    Import { name: subject.to_owned(), subject: subject.to_owned(), account: account.to_owned(), flow, share }
}

fn limits(jetstream: Option<JetStreamLimits>) -> AccountLimits {
    AccountLimits {
        subs: UNLIMITED,
        data: UNLIMITED,
        payload: UNLIMITED,
        imports: UNLIMITED,
        exports: UNLIMITED,
        wildcards: true,
        disallow_bearer: true,
        conn: UNLIMITED,
        leaf: 0,
        jetstream,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_may_do_what_the_wire_contract_grants_and_nothing_else() {
        let account = devices("AP", "AK");
        let [scope] = &account.signing_keys[..] else { panic!("one scope is enough") };
        assert_eq!(
            scope.template.publish.allow,
            [
                "$JS.API.DIRECT.GET.KV_desired-state.$KV.desired-state.{{name()}}",
                "$JS.API.DIRECT.GET.KV_actual-state.$KV.actual-state.{{name()}}",
                "$KV.actual-state.{{name()}}",
                "$KV.agent-heartbeat.{{name()}}",
                "agent-events.{{name()}}",
            ]
        );
        assert_eq!(scope.template.subscribe.allow, ["desired-state.{{name()}}", "_INBOX_{{name()}}.>"]);
        assert!(account.exports.is_empty() && account.limits.jetstream.is_none());
    }

    #[test]
    fn whoever_asks_to_be_enrolled_may_do_nothing_else() {
        let account = enroll("AP");
        let imported: Vec<_> = account.imports.iter().map(|it| (it.subject.as_str(), it.flow)).collect();
        assert_eq!(imported, ENROLLMENT);
        assert!(account.exports.is_empty() && account.limits.jetstream.is_none());
        let rights = bootstrap_user().rights.unwrap();
        assert_eq!(rights.publish.allow, ["enroll.*", "$JS.API.DIRECT.GET.ENROLL_ANSWERS.enroll-answers.*"]);
        assert_eq!(rights.subscribe.allow, ["enroll-hints.*", "_INBOX_enroll.>"]);
    }

    /// A user whom a scope's key signed and who says a word about rights is refused by the server.
    #[test]
    fn a_devices_user_says_nothing_of_rights_or_limits() {
        let text = serde_json::to_string(&device_user("AD")).unwrap();
        assert_eq!(text, r#"{"issuer_account":"AD","type":"user","version":2}"#);
    }
}
