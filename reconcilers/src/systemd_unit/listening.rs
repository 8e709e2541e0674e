//! systemd's signals, as long as there is a connection to the bus, and what the agent cannot do without.
//!
//! ```text
//! a unit changed, a job ended ─▶ that unit is looked at
//! units read again, enabled …, systemd executed anew, the bus gone ─▶ all are looked at
//! ```
//!
//! Nobody reconnects by itself: a lost connection wakes all units, and the pass that looks at them connects
//! or says that it cannot.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use agent_model::Failure;
use futures_util::{StreamExt as _, stream};
use tokio::{sync::Mutex, task::JoinHandle};
use zbus::{MatchRule, Message, MessageStream, message::Type, zvariant::OwnedObjectPath};

use super::{
    failures,
    systemd::{self, Systemd},
    wakes::Wakes,
};

/// Units without which the agent does not run, or cannot look after units, besides what its own asks for.
const NEEDED: [&str; 5] =
    ["dbus-broker.service", "dbus.service", "dbus.socket", "init.scope", "system.slice"];
/// By what one unit says that it does not run without another.
const NEEDS: [&str; 5] = ["Requires", "Requisite", "BindsTo", "PartOf", "Slice"];
/// Most units that are looked at for what the agent's own needs.
const MAX_NEEDED: usize = 200;

/// The connection, made when it is first needed and again after it was lost.
#[derive(Debug, Default)]
pub(super) struct Listening(Mutex<Option<Live>>);

#[derive(Debug)]
struct Live {
    systemd: Systemd,
    needed: Arc<BTreeSet<String>>,
    is_lost: Arc<AtomicBool>,
    listener: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Listening {
    /// systemd, and the units that the agent cannot do without.
    pub(super) async fn systemd(
        &self,
        wakes: &Arc<Wakes>,
    ) -> Result<(Systemd, Arc<BTreeSet<String>>), Failure> {
        let mut live = self.0.lock().await;
        if let Some(live) = live.as_ref().filter(|live| !live.is_lost.load(Ordering::Acquire)) {
            return Ok((live.systemd.clone(), Arc::clone(&live.needed)));
        }
        *live = None;
        let new = Live::begin(Arc::clone(wakes)).await?;
        let answer = (new.systemd.clone(), Arc::clone(&new.needed));
        *live = Some(new);
        Ok(answer)
    }
}

impl Live {
    async fn begin(wakes: Arc<Wakes>) -> Result<Self, Failure> {
        let systemd = Systemd::connect().await?;
        // Heard before anything is looked at, so that nothing between the two is missed.
        let signals = signals(&systemd).await.map_err(|error| failures::no_bus(&error))?;
        let needed = Arc::new(needed(&systemd).await);
        let is_lost = Arc::new(AtomicBool::new(false));
        let listener = tokio::spawn(listen(signals, systemd.clone(), wakes, Arc::clone(&is_lost)));
        Ok(Self { systemd, needed, is_lost, listener })
    }
}

type Signals = stream::SelectAll<MessageStream>;

async fn signals(systemd: &Systemd) -> zbus::Result<Signals> {
    let signal = || MatchRule::builder().msg_type(Type::Signal);
    let rules = [
        signal().sender(systemd::NAME)?.interface(systemd::MANAGER)?.build(),
        signal()
            .sender(systemd::NAME)?
            .interface("org.freedesktop.DBus.Properties")?
            .member("PropertiesChanged")?
            .path_namespace(systemd::UNITS)?
            .build(),
        signal().sender("org.freedesktop.DBus")?.member("NameOwnerChanged")?.add_arg(systemd::NAME)?.build(),
    ];
    let mut streams = Vec::new();
    for rule in rules {
        streams.push(MessageStream::for_match_rule(rule, systemd.bus(), None).await?);
    }
    Ok(stream::select_all(streams))
}

async fn listen(mut signals: Signals, systemd: Systemd, wakes: Arc<Wakes>, is_lost: Arc<AtomicBool>) {
    while let Some(Ok(signal)) = signals.next().await {
        match signal.header().member().map(|member| member.as_str()) {
            Some("PropertiesChanged") => {
                if let Some(object) = signal.header().path() {
                    wakes.wake_object(object.as_str());
                }
            }
            Some("JobRemoved") => {
                if let Ok((_, _, unit, result)) =
                    signal.body().deserialize::<(u32, OwnedObjectPath, String, String)>()
                {
                    wakes.job_ended(&unit, &result);
                }
            }
            Some("Reloading") if ends(&signal) => wakes.wake_all(),
            Some("UnitFilesChanged") => wakes.wake_all(),
            // Whoever is asked while there is no owner waits for one that nobody starts.
            Some("NameOwnerChanged") if has_owner(&signal) => {
                // Executed anew it may have forgotten whom it sends signals to.
                if let Err(failure) = systemd.subscribe().await {
                    tracing::debug!(%failure, "systemd sends no signals");
                    break;
                }
                wakes.wake_all();
            }
            _ => {}
        }
    }
    is_lost.store(true, Ordering::Release);
    wakes.wake_all();
}

/// Whether the name has an owner again, and has not lost it.
fn has_owner(changed: &Message) -> bool {
    changed.body().deserialize::<(String, String, String)>().is_ok_and(|(_, _, owner)| !owner.is_empty())
}

/// Whether a reading of units has ended, and not begun.
fn ends(reloading: &Message) -> bool {
    reloading.body().deserialize::<bool>().is_ok_and(|begins| !begins)
}

/// The agent's own unit and all that this does not run without.
async fn needed(systemd: &Systemd) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = NEEDED.iter().map(|name| (*name).to_owned()).collect();
    let mut unseen: Vec<String> = systemd.own_unit().await.into_iter().collect();
    while let Some(name) = unseen.pop() {
        if needed.len() >= MAX_NEEDED || !needed.insert(name.clone()) {
            continue;
        }
        if let Ok((properties, _)) = systemd.unit(&name).await {
            unseen.extend(properties.texts("Names").into_iter().filter(|alias| *alias != name));
            unseen.extend(NEEDS.iter().flat_map(|key| properties.texts(key)));
            unseen.extend(properties.text("Slice").filter(|slice| !slice.is_empty()));
        }
    }
    needed
}
