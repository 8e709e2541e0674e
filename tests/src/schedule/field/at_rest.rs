//! Putting a fleet right, and judging it when nothing is done to it any more.

use std::{collections::BTreeMap, time::Duration};

use agent_model::Digest;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use tokio::time::Instant;

use super::{Device, Field, RESYNC, agent};
use crate::{
    coordinator::{AtRest, BY_HAND, Body, Event, LastEntry, Verdict},
    eventually::eventually,
    platform::DESIRED_STATE,
    schedule::{
        DEVICES,
        action::Cable,
        paper::{FILES, Paper},
        scene::Whereabouts,
    },
};

/// How long a fleet may take to come to rest. A device stays away from a server in reach for a minute at
/// most, and waits about as long at most before it asks again for what was refused.
const REST: Duration = Duration::from_secs(180);
/// How much longer than demanded it may take until a fleet at rest was quiet: what was refused or announced is asked for
/// a few times more, and mere progress is told half a minute later.
const UNTIL_QUIET: Duration = Duration::from_secs(60);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// How often a device with a clone is given cause to tell something.
const CLONE_LOOK: Duration = Duration::from_secs(1);

impl Field {
    /// Puts everything right, so that from here on nothing is in anybody's way. Where a device has a clone,
    /// one of the two finds that out, and is told apart from the other as an operator would.
    pub(in crate::schedule) async fn heal(&mut self, to_cloned: &BTreeMap<usize, Paper>) {
        self.done.push("heal everything".to_owned());
        self.server_side.regain().await;
        for device in 0..DEVICES {
            self.devices[device].treat_cable(Cable::Plugged).await;
            // No other is started anew: what it lost must not be found by a start.
            if self.devices[device].armed || !self.devices[device].agent.is_running() {
                self.start_anew(device);
            }
            let Some(paper) = to_cloned.get(&device) else { continue };
            self.write(device, paper).await;
            self.is_known_to_have_a_clone(device).await;
            self.end_clone(device);
        }
    }

    /// Waits until a device or its clone knows of the other. Whichever comes second finds out only when it has
    /// something to tell, and so both are given cause to.
    async fn is_known_to_have_a_clone(&self, device: usize) {
        let deadline = Instant::now() + REST;
        for n in 0.. {
            self.assert_not_guilty();
            let bodies = self.scene.bodies.lock().clone();
            let of_device = bodies.iter().filter(|(body, _)| body.device == device);
            if of_device.clone().flat_map(|(_, here)| here).any(Whereabouts::knows_of_a_duplicate) {
                return;
            }
            assert!(Instant::now() < deadline, "neither device {device} nor its clone knows of the other");
            let path = FILES[0];
            of_device.for_each(|(body, _)| self.note(Event::Altered(*body, path.to_owned())));
            let Device { agent, clone, .. } = &self.devices[device];
            for agent in [agent].into_iter().chain(clone) {
                agent.write_by_hand(path, &format!("{BY_HAND} to be repaired and told of, {n}"));
            }
            tokio::time::sleep(CLONE_LOOK).await;
        }
    }

    /// Waits until each device has the last acceptable document in force and says so.
    pub(in crate::schedule) async fn comes_to_rest(&self) {
        let deadline = Instant::now() + REST;
        for device in 0..DEVICES {
            loop {
                self.assert_not_guilty();
                match self.judge_at_rest(device).await {
                    Ok(()) => break,
                    Err(verdict) if Instant::now() > deadline => self.condemn(&verdict),
                    Err(_) => tokio::time::sleep(LOOK).await,
                }
            }
        }
    }

    /// Waits until each device has asked for nothing for so long.
    pub(in crate::schedule) async fn is_quiet_for(&self, quiet: Duration) {
        // What was asked for before the rest is no matter.
        let (earliest, deadline) = (Instant::now() + quiet, Instant::now() + quiet + UNTIL_QUIET);
        while Instant::now() < earliest {
            self.assert_not_guilty();
            tokio::time::sleep(LOOK).await;
        }
        for device in 0..DEVICES {
            loop {
                self.assert_not_guilty();
                let judged =
                    self.scene.coordinator.lock().is_quiet(device, quiet, self.resyncs_within(quiet));
                match judged {
                    Ok(()) => break,
                    Err(verdict) if Instant::now() > deadline => self.condemn(&verdict),
                    Err(_) => tokio::time::sleep(LOOK).await,
                }
            }
        }
    }

    /// How often a device may look in that time for what nobody hinted at.
    fn resyncs_within(&self, quiet: Duration) -> u32 {
        // A quarter sooner than the interval says, at the earliest.
        let shortest = RESYNC.mul_f64(0.75);
        if self.resyncs { quiet.div_duration_f64(shortest).ceil() as u32 } else { 0 }
    }

    async fn judge_at_rest(&self, device: usize) -> Result<(), Verdict> {
        let entry = self.last_entry(device).await;
        let body = Body::original(device);
        let whereabouts = self.scene.bodies.lock()[&body].clone();
        let contents = whereabouts.expect("originals stay").contents();
        let coordinator = self.scene.coordinator.lock();
        let status = coordinator.last_told(device).map(|told| &told.status);
        let heartbeat = status.and_then(|status| coordinator.last_beat(device, status.writer.epoch));
        let floor = coordinator.floor(body);
        let at_rest = AtRest { device, entry, floor, status, heartbeat, contents: &contents };
        at_rest.judge(coordinator.documents())
    }

    async fn last_entry(&self, device: usize) -> Option<LastEntry> {
        let subject = format!("$KV.{DESIRED_STATE}.{}", agent(device));
        eventually("the last entry can be read", async || {
            let stream = self.platform.jetstream.get_stream_no_info(format!("KV_{DESIRED_STATE}")).await;
            // Not by the request that devices make, because those are counted.
            let last = stream.expect("no request is made").get_last_raw_message_by_subject(&subject).await;
            match last {
                Ok(message) if message.headers.get("KV-Operation").is_some() => Ok(None),
                Ok(message) => Ok(Some(LastEntry {
                    revision: message.sequence,
                    digest: Digest::of_bytes(&message.payload),
                })),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// How much was seen.
    pub(in crate::schedule) fn summary(&self) -> String {
        self.scene.coordinator.lock().summary()
    }

    /// Makes sure that there were eyes on all of it, to the end.
    ///
    /// # Panics
    /// When there were not: then what was not seen says nothing.
    pub(in crate::schedule) fn assert_all_was_seen(&self, before_the_last: usize) {
        let seen = self.scene.coordinator.lock().was_seen(DEVICES, before_the_last);
        if let Err(missed) = seen {
            panic!(
                "BLIND: {missed}\n{}\nto run the same schedule again: HARMONY_SEED={}",
                self.summary(),
                self.seed
            );
        }
    }

    /// Goes on only while nothing was seen that must not be, by eyes that are open.
    ///
    /// # Panics
    /// With the verdict.
    pub(in crate::schedule) fn assert_not_guilty(&self) {
        if let Some(what) = self.eyes.blind_to() {
            panic!("BLIND: nobody watches {what} any more; HARMONY_SEED={}", self.seed);
        }
        let verdict = self.scene.coordinator.lock().verdict().cloned();
        if let Some(verdict) = verdict {
            self.condemn(&verdict);
        }
    }

    fn condemn(&self, verdict: &Verdict) -> ! {
        let seed = self.seed;
        let done: String = (1..).zip(&self.done).map(|(n, step)| format!("{n:>4}. {step}\n")).collect();
        let evidence = self.scene.coordinator.lock().evidence(verdict.device());
        let log = self.devices[verdict.device()].agent.log();
        let lines: Vec<&str> = log.lines().rev().take(60).collect();
        let log = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        panic!(
            "GUILTY: {verdict}\n\nwhat was done:\n{done}\nwhat was seen of device {}:\n{evidence}\nits agent's \
             log:\n{log}\n\nto run the same schedule again: HARMONY_SEED={seed}",
            verdict.device()
        );
    }
}
