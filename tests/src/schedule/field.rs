//! The fleet that a schedule is carried out on: a server, and devices each on a cable of its own.

mod at_rest;

use std::time::Duration;

use async_nats::HeaderMap;

use super::{
    DEVICES, Seed,
    action::{Action, Cable, Server},
    eyes::{Eyes, Scene, Whereabouts},
    paper::Paper,
};
use crate::{
    agent::Agent,
    coordinator::{Body, Event},
    eventually::eventually,
    folder_copy::copy_folder,
    nats_server::{Backup, NatsServer, Settings},
    platform::{ACTUAL_STATE, DESIRED_STATE, Platform, provision_all},
    proxy::{Interception, Proxy},
};

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
    /// What is tampered with on it, until it is plugged in again.
    tampering: Vec<Interception>,
    /// How many clones it ever had.
    clones: usize,
    clone: Option<Agent>,
}

impl Device {
    async fn treat_cable(&mut self, cable: Cable) {
        match cable {
            Cable::Plugged => {
                self.cable.plug();
                // Late, and perhaps of an agent that is no more.
                for kept in self.tampering.drain(..) {
                    kept.let_go().await;
                }
            }
            Cable::Cut => self.cable.cut(),
            Cable::Flows(to_server, to_client) => self.cable.set(to_server, to_client),
            Cable::Tampers(target, fate) => {
                self.tampering.push(self.cable.intercept(target.messages(), fate));
            }
        }
    }
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
    backup: Option<Backup>,
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
            field.devices.push(Device {
                agent,
                armed: false,
                cable,
                tampering: Vec::new(),
                clones: 0,
                clone: None,
            });
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
            Action::Unassign(device) => self.unassign(*device).await,
            Action::Cable(device, cable) => self.devices[*device].treat_cable(*cable).await,
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
            Action::Clone(device) => self.start_clone(*device).await,
            Action::EndClone(device) => self.end_clone(*device),
            Action::Server(what, away) => self.take_server_away(*what, *away).await,
        }
    }

    async fn write(&self, device: usize, paper: &Paper) {
        self.note(Event::Wrote(device, paper.document.clone()));
        self.store(device, HeaderMap::new(), &paper.text).await;
    }

    async fn unassign(&self, device: usize) {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "DEL");
        self.store(device, headers, "").await;
    }

    /// Writes an entry again until that is acknowledged, as a platform would.
    async fn store(&self, device: usize, headers: HeaderMap, value: &str) {
        let subject = format!("$KV.{DESIRED_STATE}.{}", agent(device));
        let ack = eventually("the entry is stored", async || {
            let (subject, value) = (subject.clone(), value.to_owned().into());
            let sent = self.platform.jetstream.publish_with_headers(subject, headers.clone(), value).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        })
        .await;
        self.note(Event::Stored(device, ack.sequence));
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

    async fn start_clone(&mut self, device: usize) {
        self.end_agent(device);
        let Device { agent: original, cable, clones, clone, .. } = &mut self.devices[device];
        let mut copy = Agent::new(&agent(device), &cable.url());
        copy_folder(&original.state_dir(), &copy.state_dir());
        copy_folder(&original.root(), &copy.root());
        *clones += 1;
        let body = Body { device, copy: *clones };
        let whereabouts = Whereabouts::of(&copy, false);
        let before = whereabouts.started_at();
        self.scene.bodies.lock().insert(body, Some(whereabouts.clone()));
        self.scene.coordinator.lock().note(Event::Started(body));
        copy.start();
        *clone = Some(copy);
        // When they started is what tells the two apart.
        eventually("the clone is up", async || match whereabouts.started_at() {
            now if now == before => Err("it is not yet".to_owned()),
            _ => Ok(()),
        })
        .await;
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
            Server::BackUp => self.backup = Some(self.server.back_up()),
            Server::Restore => {
                self.server.restore(self.backup.as_ref().expect("there was a backup before"));
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
}
