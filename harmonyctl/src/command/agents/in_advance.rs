//! `agents approve --from`: approves those that claim an expected serial number.

use std::path::Path;

use agent_model::with_causes;
use fleet::{
    Fleet,
    enrollment::{Asking, Follower},
    registry::{SERIAL, State},
};

use super::{Office, approve::approve, for_each, known::Known, owners::Owners, serials::Serials};
use crate::{command::REQUEST_TIMEOUT, failure::Failure, outcome::Outcome, output::Output};

pub(super) async fn run(
    fleet: &Fleet,
    office: &Office,
    file: &Path,
    goes_on: bool,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let serials = Serials::read(file)?;
    loop {
        match follow(fleet, office, &serials, goes_on, output).await {
            Err(Failure::Store(error)) if goes_on && error.may_pass() => {
                output.message(format_args!("watching again after: {}", with_causes(&error)));
                tokio::time::sleep(REQUEST_TIMEOUT).await;
            }
            ended => return ended,
        }
    }
}

/// Approves those that are there, and those that come.
async fn follow(
    fleet: &Fleet,
    office: &Office,
    serials: &Serials,
    goes_on: bool,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let mut follower = Follower::start(fleet).await?;
    let outcome = approve_expected(fleet, office, serials, follower.present().iter(), output).await?;
    if !goes_on {
        return Ok(outcome);
    }
    loop {
        let come = follower.next(fleet).await?;
        approve_expected(fleet, office, serials, come.iter(), output).await?;
    }
}

/// Approves those of these who are expected. What is known is read once for all of them, and kept up to date with what is
/// done here. They themselves belong to it, wherever their requests are by then.
async fn approve_expected<'a>(
    fleet: &Fleet,
    office: &Office,
    serials: &Serials,
    asking: impl Iterator<Item = &'a Asking>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let asking: Vec<&Asking> = asking.collect();
    let expected: Vec<&Asking> = asking.iter().copied().filter(|asking| serials.expect(asking)).collect();
    if expected.is_empty() {
        return Ok(Outcome::Done);
    }
    let mut all = Known::read_all(fleet, output).await?;
    for asking in asking {
        Known::add(&mut all, asking);
    }
    let mut owners = Owners::of(&all);
    for_each(expected, output, async |asking, output| {
        if let Some(why) = objection(&all, asking) {
            return Err(Failure::Refused(format!(
                "agent/{} (key {}) is left to you: {why}",
                asking.agent, asking.key
            )));
        }
        let registration = approve(fleet, office, &mut owners, asking, output).await?;
        if let Some(known) = all.iter_mut().find(|known| known.id == asking.agent) {
            known.registration = Some(registration);
        }
        Ok(())
    })
    .await
}

/// What speaks against believing this one its serial number, which is one device's: of one id, with one key.
fn objection(all: &[Known], asking: &Asking) -> Option<String> {
    let serial = asking.serial().unwrap_or_default();
    let claims_it_too = |other: &&Asking| {
        other.serial() == asking.serial() && (&other.agent, &other.key) != (&asking.agent, &asking.key)
    };
    if let Some(other) = all.iter().flat_map(|known| &known.asking).find(claims_it_too) {
        return Some(if other.key == asking.key {
            format!("it claims the serial number {serial} for agent/{} as well", other.agent)
        } else {
            format!("another key claims the serial number {serial} as well")
        });
    }
    let has_it = |known: &&Known| {
        known.registration.as_ref().is_some_and(|it| {
            it.annotations.get(SERIAL).is_some_and(|it| it == serial)
                && (known.id != asking.agent
                    || it.public_key.as_ref() != Some(&asking.key)
                    || it.state != State::Approved)
        })
    };
    let owner = all.iter().find(has_it)?;
    Some(format!("agent/{} has the serial number {serial} ({:?})", owner.id, owner.state()))
}

#[cfg(test)]
mod tests {
    use agent_model::Timestamp;
    use fleet::registry::Registration;

    use super::{super::testing::asking, *};

    fn let_in(asking: &Asking, state: State) -> Known {
        let registration = Registration::default().approve(asking, Timestamp::UNIX_EPOCH).unwrap();
        Known {
            id: asking.agent.clone(),
            registration: Some(registration.in_state(state)),
            asking: Vec::new(),
        }
    }

    fn waiting(asking: &Asking) -> Known {
        Known { id: asking.agent.clone(), registration: None, asking: vec![asking.clone()] }
    }

    #[test]
    fn two_who_claim_one_serial_number_together_are_left_though_their_requests_are_gone() {
        let [first, second] = ["edge-2", "edge-1"].map(|id| asking(id, Some("SN-1")));
        let others = ["edge-0", "edge-3"].map(|id| asking(id, Some("SN-3")));
        let mut all: Vec<Known> = others.iter().map(waiting).collect();
        for asking in [&first, &second, &first] {
            Known::add(&mut all, asking);
        }
        let ids: Vec<&str> = all.iter().map(|known| known.id.as_str()).collect();
        assert_eq!(ids, ["edge-0", "edge-1", "edge-2", "edge-3"]);
        assert!(all.iter().all(|known| known.asking.len() == 1), "one is there twice");
        for asking in [&first, &second] {
            assert!(objection(&all, asking).is_some(), "{asking:?}");
        }
        // Whoever comes with it once one of them is let in finds it taken.
        let mut all = vec![let_in(&first, State::Approved)];
        Known::add(&mut all, &second);
        assert!(objection(&all, &second).is_some());
    }

    #[test]
    fn a_serial_number_is_believed_for_one_id_and_one_key_only() {
        let device = asking("edge-1", Some("SN-1"));
        let same_key = Asking { agent: "edge-2".parse().unwrap(), ..device.clone() };
        let same_id = asking("edge-1", Some("SN-1"));
        let another = asking("edge-3", Some("SN-3"));
        assert_eq!(objection(&[waiting(&device), waiting(&another)], &device), None);
        assert_eq!(objection(&[let_in(&device, State::Approved), waiting(&device)], &device), None);
        for other in [&same_key, &same_id] {
            assert!(objection(&[waiting(&device), waiting(other)], &device).is_some(), "{other:?}");
            for state in [State::Approved, State::Revoked, State::Retired] {
                let why = objection(&[let_in(other, state), waiting(&device)], &device);
                assert!(why.is_some(), "{state:?} {other:?}");
            }
        }
        for state in [State::Revoked, State::Retired] {
            assert!(objection(&[let_in(&device, state), waiting(&device)], &device).is_some(), "{state:?}");
        }
    }
}
