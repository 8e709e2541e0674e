//! The fleet that a schedule is carried out on: servers, and devices each with a cable of its own to each of them.

mod at_rest;
mod server_side;

use std::time::Duration;

use async_nats::HeaderMap;

use self::server_side::ServerSide;
use super::{
    DEVICES, Seed,
    action::{Action, Cable, Server},
    eyes::{Eyes, watch_cable},
    paper::Paper,
    scene::{Scene, Whereabouts},
};
use crate::{
    agent::Agent,
    coordinator::{Body, Event},
    eventually::eventually,
    folder_copy::copy_folder,
    platform::{DESIRED_STATE, Platform},
    proxy::{Interception, Proxy},
};

/// How often devices look for what nobody hinted at, where servers are cut off from each other.
const RESYNC: Duration = Duration::from_secs(15);

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
    /// To each server, and treated alike: which server it is at is up to the device.
    cables: Vec<Proxy>,
    /// What is tampered with on them, until they are plugged in again.
    tampering: Vec<Interception>,
    /// How many clones it ever had.
    clones: usize,
    clone: Option<Agent>,
}

impl Device {
    /// One that does not run yet.
    async fn new(device: usize, ports: &[u16], resyncs: bool) -> Self {
        let mut cables = Vec::new();
        for port in ports {
            cables.push(Proxy::start(*port).await);
        }
        let agent = agent_on(device, &cables, resyncs);
        Self { agent, armed: false, cables, tampering: Vec::new(), clones: 0, clone: None }
    }

    async fn treat_cable(&mut self, cable: Cable) {
        match cable {
            Cable::Plugged => {
                self.cables.iter().for_each(Proxy::plug);
                // Late, and perhaps of an agent that is no more.
                for kept in self.tampering.drain(..) {
                    kept.let_go().await;
                }
            }
            Cable::Cut => self.cables.iter().for_each(Proxy::cut),
            Cable::Flows(to_server, to_client) => {
                self.cables.iter().for_each(|cable| cable.set(to_server, to_client));
            }
            Cable::Tampers(target, fate) => {
                let tampered = self.cables.iter().map(|cable| cable.intercept(target.messages(), fate));
                self.tampering.extend(tampered);
            }
        }
    }
}

/// The agent of a device, or of its clone, on these cables.
fn agent_on(device: usize, cables: &[Proxy], resyncs: bool) -> Agent {
    let urls: Vec<String> = cables.iter().map(Proxy::url).collect();
    let agent = Agent::new(&agent(device), &urls.join(","));
    if resyncs { agent.with("resync_interval", &format!("{}s", RESYNC.as_secs())) } else { agent }
}

/// The whole.
#[derive(Debug)]
pub(super) struct Field {
    seed: Seed,
    /// What was done so far.
    done: Vec<String>,
    devices: Vec<Device>,
    eyes: Eyes,
    scene: Scene,
    platform: Platform,
    server_side: ServerSide,
    /// Whether devices look often for what nobody hinted at.
    resyncs: bool,
}

impl Field {
    /// Starts the servers, and devices with running agents.
    pub(super) async fn start(seed: Seed, resyncs: bool) -> Self {
        let server_side = ServerSide::start(seed.servers).await;
        let platform = server_side.connect().await;
        let scene = Scene::default();
        let mut field = Self {
            seed,
            done: Vec::new(),
            devices: Vec::new(),
            eyes: Eyes::open(&platform, &scene).await,
            scene,
            platform,
            server_side,
            resyncs,
        };
        field.server_side.provision(&field.platform).await;
        let ports = field.server_side.ports();
        for number in 0..DEVICES {
            let device = Device::new(number, &ports, resyncs).await;
            device.cables.iter().for_each(|cable| watch_cable(cable, number, &field.scene));
            let whereabouts = Whereabouts::of(&device.agent, number == 0);
            field.scene.bodies.lock().insert(Body::original(number), Some(whereabouts));
            field.devices.push(device);
            field.start_agent(number);
        }
        field
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
            Action::Server(what, away) => self.take_servers_away(*what, *away).await,
            Action::LoseMember(member, loss) => {
                let place = self.server_side.lose(*member, *loss, &self.platform).await;
                self.done.push(format!("it is member {place} that is lost"));
            }
            Action::RegainMember => self.server_side.regain().await,
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

    /// Writes one to each device. Tells how much was seen before.
    pub(super) async fn write_to_all(&mut self, papers: &[Paper]) -> usize {
        self.done.push("write a last document to each device".to_owned());
        let before = self.scene.coordinator.lock().seen();
        for (device, paper) in papers.iter().enumerate() {
            self.write(device, paper).await;
        }
        before
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
        let Device { agent: original, cables, clones, clone, .. } = &mut self.devices[device];
        let mut copy = agent_on(device, cables, self.resyncs);
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

    async fn take_servers_away(&mut self, what: Server, away: Duration) {
        self.server_side.take_away(what).await;
        if matches!(what, Server::Restore | Server::Empty) {
            self.note(Event::StoreReplaced);
            self.scene.next.lock().begin_anew();
        }
        tokio::time::sleep(away).await;
        self.server_side.bring_back(&self.platform).await;
        if what == Server::Empty {
            self.server_side.provision(&self.platform).await;
        }
    }
}
