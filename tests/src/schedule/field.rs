//! The fleet that a schedule is carried out on: a server, and devices each on a cable of its own.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use async_nats::{HeaderMap, jetstream::stream::LastRawMessageErrorKind};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{
    DEVICES, Seed,
    action::{Action, Cable, Server},
    eyes::{Eyes, Scene, Whereabouts},
    paper::{FILES, Paper},
};
use crate::{
    agent::Agent,
    coordinator::{AtRest, BY_HAND, Body, Event, LastEntry, Verdict},
    eventually::eventually,
    nats_server::{NatsServer, Settings},
    platform::{ACTUAL_STATE, DESIRED_STATE, Platform, provision_all},
    proxy::Proxy,
};

/// How long a fleet may take to come to rest. A device stays away from a server in reach for a minute at
/// most, and waits about as long at most before it asks again for what was refused.
const REST: Duration = Duration::from_secs(180);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

/// How often a device with a clone is given cause to tell something.
const CLONE_LOOK: Duration = Duration::from_secs(1);

/// The id of a device.
pub(super) fn agent(device: usize) -> String {
    format!("edge-{device}")
}

/// The device whose id is the last token of a subject.
pub(super) fn device_of(subject: &str) -> usize {
    let number = subject.rsplit_once(".edge-").and_then(|(_, number)| number.parse().ok());
    number.unwrap_or_else(|| panic!("{subject} is of no device"))
}

/// One name, and who has it.
#[derive(Debug)]
struct Device {
    agent: Agent,
    /// Whether it runs to crash.
    armed: bool,
    cable: Proxy,
    /// How many clones it ever had.
    clones: usize,
    clone: Option<Agent>,
}

/// The whole.
#[derive(Debug)]
pub(super) struct Field {
    seed: Seed,
    /// What was done so far.
    done: Vec<String>,
    devices: Vec<Device>,
    _eyes: Eyes,
    scene: Scene,
    platform: Platform,
    server: NatsServer,
    backup: Option<TempDir>,
}

impl Field {
    /// Starts a server and devices with running agents.
    pub(super) async fn start(seed: Seed) -> Self {
        // Synced, because what a killed server has acknowledged and lost is no fault of the devices.
        let server = NatsServer::start(Settings { sync_always: true, ..Settings::default() }).await;
        let platform = Platform::connect(&server).await;
        let scene = Scene::default();
        let mut field = Self {
            seed,
            done: Vec::new(),
            devices: Vec::new(),
            _eyes: Eyes::open(&platform, &scene).await,
            scene,
            platform,
            server,
            backup: None,
        };
        field.provision().await;
        for device in 0..DEVICES {
            let cable = Proxy::start(field.server.port()).await;
            let agent = Agent::new(&agent(device), &cable.url());
            let whereabouts = Whereabouts::of(&agent, device == 0);
            field.scene.bodies.lock().insert(Body::original(device), Some(whereabouts));
            field.devices.push(Device { agent, armed: false, cable, clones: 0, clone: None });
            field.start_agent(device);
        }
        field
    }

    async fn provision(&self) {
        provision_all(&self.server).await;
        // With all statuses kept, none is missed by whoever looks later.
        let stream = self.platform.jetstream.get_stream(format!("KV_{ACTUAL_STATE}")).await;
        let mut config = stream.expect("it was made").cached_info().config.clone();
        config.max_messages_per_subject = -1;
        self.platform.jetstream.update_stream(config).await.expect("a bucket's settings can be changed");
    }

    fn note(&self, event: Event) {
        self.scene.coordinator.lock().note(event);
    }

    /// Does what a step says.
    pub(super) async fn carry_out(&mut self, action: &Action) {
        self.done.push(action.to_string());
        match action {
            Action::Write(device, paper) => self.write(*device, paper).await,
            Action::Unassign(device) => self.platform.delete(&agent(*device)).await,
            Action::Cable(device, cable) => {
                let proxy = &self.devices[*device].cable;
                match cable {
                    Cable::Plugged => proxy.plug(),
                    Cable::Cut => proxy.cut(),
                    Cable::Flows(to_server, to_client) => proxy.set(*to_server, *to_client),
                }
            }
            Action::Kill(device) => self.end_agent(*device),
            Action::Stop(device) => {
                let agent = &mut self.devices[*device].agent;
                if agent.is_running() {
                    agent.terminate().await;
                }
                self.end_agent(*device);
            }
            Action::Start(device) => {
                if !self.devices[*device].agent.is_running() {
                    self.start_anew(*device);
                }
            }
            Action::Crash(device, passed) => {
                self.end_agent(*device);
                self.note(Event::Started(Body::original(*device)));
                self.devices[*device].armed = true;
                self.devices[*device].agent.start_to_crash_after(*passed);
            }
            Action::Alter(device, path, content) => {
                self.note(Event::Altered(Body::original(*device), (*path).to_owned()));
                let agent = &self.devices[*device].agent;
                match content {
                    Some(content) => agent.write_by_hand(path, content),
                    // It may not be there.
                    None => drop(std::fs::remove_file(agent.path(path))),
                }
            }
            Action::Forge(device, hints) => self.forge(*device, *hints).await,
            Action::Clone(device) => self.start_clone(*device),
            Action::EndClone(device) => self.end_clone(*device),
            Action::Server(what, away) => self.take_server_away(*what, *away).await,
        }
    }

    /// Writes a document until that is acknowledged, as a platform would.
    async fn write(&self, device: usize, paper: &Paper) {
        self.note(Event::Wrote(device, paper.document.clone()));
        let subject = format!("$KV.{DESIRED_STATE}.{}", agent(device));
        eventually("the document is written", async || {
            let ack = self.platform.jetstream.publish(subject.clone(), paper.text.clone().into()).await;
            ack.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Writes one to each device.
    pub(super) async fn write_to_all(&mut self, papers: &[Paper]) {
        self.done.push("write a last document to each device".to_owned());
        for (device, paper) in papers.iter().enumerate() {
            self.write(device, paper).await;
        }
    }

    async fn forge(&self, device: usize, hints: u64) {
        let subject = format!("{DESIRED_STATE}.{}", agent(device));
        for n in 0..hints {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Sequence", (1_000_000 + n).to_string());
            let sent = self.platform.client.publish_with_headers(subject.clone(), headers, "".into()).await;
            sent.expect("connected");
        }
    }

    fn start_agent(&mut self, device: usize) {
        self.note(Event::Started(Body::original(device)));
        self.devices[device].armed = false;
        self.devices[device].agent.start();
    }

    fn start_anew(&mut self, device: usize) {
        self.end_agent(device);
        self.start_agent(device);
    }

    /// Ends the agent of a device where it did not end yet.
    fn end_agent(&mut self, device: usize) {
        let agent = &mut self.devices[device].agent;
        if agent.is_running() {
            agent.kill();
        } else {
            // One that crashed has yet to be taken note of.
            let _ = agent.ended();
        }
        self.note(Event::Ended(Body::original(device)));
    }

    fn start_clone(&mut self, device: usize) {
        self.end_agent(device);
        let Device { agent: original, cable, clones, clone, .. } = &mut self.devices[device];
        let mut copy = Agent::new(&agent(device), &cable.url());
        copy_folder(&original.state_dir(), &copy.state_dir());
        copy_folder(&original.root(), &copy.root());
        *clones += 1;
        let body = Body { device, copy: *clones };
        self.scene.bodies.lock().insert(body, Some(Whereabouts::of(&copy, false)));
        self.scene.coordinator.lock().note(Event::Started(body));
        copy.start();
        *clone = Some(copy);
        self.start_agent(device);
    }

    fn end_clone(&mut self, device: usize) {
        let Device { clone, clones, .. } = &mut self.devices[device];
        let body = Body { device, copy: *clones };
        if clone.take().is_some() {
            self.scene.bodies.lock().insert(body, None);
            self.note(Event::Ended(body));
        }
        self.start_anew(device);
    }

    async fn take_server_away(&mut self, what: Server, away: Duration) {
        match what {
            Server::Stop | Server::BackUp => self.server.stop().await,
            Server::Kill | Server::Restore | Server::Empty => self.server.kill(),
        }
        match what {
            Server::Stop | Server::Kill => {}
            Server::BackUp => {
                let folder = TempDir::with_prefix("harmony-backup-").unwrap();
                copy_folder(&self.server.store(), &folder.path().join("store"));
                self.backup = Some(folder);
            }
            Server::Restore => {
                let backup = self.backup.as_ref().expect("there was a backup before").path().join("store");
                self.server.empty_store();
                copy_folder(&backup, &self.server.store());
            }
            Server::Empty => self.server.empty_store(),
        }
        if matches!(what, Server::Restore | Server::Empty) {
            self.note(Event::StoreReplaced);
            self.scene.next.lock().begin_anew();
        }
        tokio::time::sleep(away).await;
        self.server.start_again().await;
        eventually("the platform is connected again", async || {
            let answer = self.platform.client.request("$JS.API.INFO", "".into()).await;
            answer.map_err(|error| error.to_string())
        })
        .await;
        if what == Server::Empty {
            self.provision().await;
        }
    }

    /// Puts everything right, so that from here on nothing is in anybody's way. Where a device has a clone,
    /// one of the two finds that out, and is told apart from the other as an operator would.
    pub(super) async fn heal(&mut self, to_cloned: &BTreeMap<usize, Paper>) {
        self.done.push("heal everything".to_owned());
        for device in 0..DEVICES {
            self.devices[device].cable.plug();
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
            let mut of_device = bodies.iter().filter(|(body, _)| body.device == device);
            if of_device.clone().flat_map(|(_, here)| here).any(Whereabouts::knows_of_a_duplicate) {
                return;
            }
            assert!(Instant::now() < deadline, "neither device {device} nor its clone knows of the other");
            let path = FILES[0];
            of_device.by_ref().for_each(|(body, _)| self.note(Event::Altered(*body, path.to_owned())));
            let Device { agent, clone, .. } = &self.devices[device];
            for agent in [agent].into_iter().chain(clone) {
                agent.write_by_hand(path, &format!("{BY_HAND} to be repaired and told of, {n}"));
            }
            tokio::time::sleep(CLONE_LOOK).await;
        }
    }

    /// Waits until each device has the last acceptable document in force and says so.
    pub(super) async fn comes_to_rest(&self) {
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

    async fn judge_at_rest(&self, device: usize) -> Result<(), Verdict> {
        let entry = self.last_entry(device).await;
        let body = Body::original(device);
        let whereabouts = self.scene.bodies.lock()[&body].clone();
        let contents = whereabouts.expect("originals stay").contents();
        let coordinator = self.scene.coordinator.lock();
        let status = coordinator.last_told(device).map(|told| &told.status);
        let at_rest = AtRest { device, entry, floor: coordinator.floor(body), status, contents: &contents };
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
                    digest: agent_model::Digest::of_bytes(&message.payload),
                })),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// How much was seen.
    pub(super) fn summary(&self) -> String {
        self.scene.coordinator.lock().summary()
    }

    /// Goes on only while nothing was seen that must not be.
    ///
    /// # Panics
    /// With the verdict.
    pub(super) fn assert_not_guilty(&self) {
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

/// Copies a folder with all that is in it to a place where there is nothing, or an empty folder.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().expect("cp runs");
    assert!(status.success(), "{} cannot be copied to {}", from.display(), to.display());
}
