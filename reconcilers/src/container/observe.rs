//! Looks at what there is of containers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use agent_model::{ContainerSpec, Digest, Failure, Goal, ResourceName, Target};
use bollard::{
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary},
    query_parameters::{InspectContainerOptions, ListContainersOptions},
};
use futures_util::{StreamExt, stream};

use super::{
    Device, apply, bind_source, creation,
    engine::{Abilities, Engine, LOOK, Refusal},
    failures,
    labels::{self, Mark},
    observation::{ContainerObservation, Ended, Found, Image, Running, Slot, State, run_of},
    pulled_images::LEAST,
    pulling,
    record::ContainerRecord,
};
use crate::workload::{health::Health, probing::Known, words};

/// So many containers are looked at at once.
const AT_ONCE: usize = 8;

type ContainerTarget = Target<ContainerSpec, ContainerRecord>;

/// All containers that the runtime has, by their names.
pub(super) struct Listed {
    all: Vec<ContainerSummary>,
}

impl Listed {
    pub(super) async fn read(engine: &Engine) -> Result<Self, Refusal> {
        let options = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let all =
            engine.ask(LOOK, |client| async move { client.list_containers(Some(options)).await }).await?;
        Ok(Self { all })
    }

    /// The ids of the images that they are made from.
    pub(super) fn images(&self) -> BTreeSet<String> {
        self.all.iter().filter_map(|container| container.image_id.clone()).collect()
    }

    /// The resources that this agent made containers for.
    pub(super) fn marked(&self, device: &Device) -> BTreeSet<ResourceName> {
        let mark = |container: &ContainerSummary| Some(mark_of(device, container)?.resource);
        self.all.iter().filter_map(mark).collect()
    }

    /// The id of the container under that name, if it was made for that declaration.
    pub(super) fn made_for(&self, device: &Device, name: &ResourceName, digest: &Digest) -> Option<String> {
        let container = self.named(name.as_str())?;
        let mark = mark_of(device, container)?;
        (mark.resource == *name && mark.digest == digest.to_string()).then(|| container.id.clone())?
    }

    fn named(&self, name: &str) -> Option<&ContainerSummary> {
        let is_it = |known: &String| known.trim_start_matches('/') == name;
        self.all.iter().find(|container| container.names.iter().flatten().any(is_it))
    }
}

fn mark_of(device: &Device, container: &ContainerSummary) -> Option<Mark> {
    Mark::read(&device.agent, container.labels.as_ref().unwrap_or(&HashMap::new()))
}

/// What is there of one container, before anything that runs is asked how it is.
pub(super) struct Look {
    current: Slot,
    previous: Slot,
    leftovers: Vec<String>,
}

/// Looks at what there is of each of these.
pub(super) async fn look(
    device: &Arc<Device>,
    listed: &Listed,
    names: &[ResourceName],
) -> Vec<Result<Look, Failure>> {
    let looks: Vec<_> = names.iter().map(|name| look_at(device, listed, name)).collect();
    stream::iter(looks).buffered(AT_ONCE).collect().await
}

async fn look_at(device: &Device, listed: &Listed, name: &ResourceName) -> Result<Look, Failure> {
    let previous_name = labels::previous_name(name);
    let current = slot(device, listed, name.as_str(), name).await?;
    let previous = slot(device, listed, &previous_name, name).await?;
    let known = |id: &str| [&current, &previous].iter().any(|slot| slot.ours().is_some_and(|it| it.id == id));
    let made_for_it = listed
        .all
        .iter()
        .filter(|container| mark_of(device, container).is_some_and(|mark| mark.resource == *name));
    let leftovers =
        made_for_it.filter_map(|container| container.id.clone()).filter(|id| !known(id)).collect();
    Ok(Look { current, previous, leftovers })
}

async fn slot(
    device: &Device,
    listed: &Listed,
    name: &str,
    resource: &ResourceName,
) -> Result<Slot, Failure> {
    let Some(container) = listed.named(name) else { return Ok(Slot::Empty) };
    let id = container.id.clone().unwrap_or_default();
    let Some(mark) = mark_of(device, container).filter(|mark| mark.resource == *resource) else {
        let of = container.labels.as_ref().and_then(|labels| labels.get(labels::AGENT));
        let whose = of.map(|agent| format!(" of agent {agent}")).unwrap_or_default();
        let image = container.image.as_deref().unwrap_or("an unknown image");
        let short: String = id.chars().take(12).collect();
        return Ok(Slot::Stranger { who: format!("container {short}{whose} (from {image})") });
    };
    inspect(device, &id, &mark.digest, container.image_id.clone().unwrap_or_default()).await
}

async fn inspect(device: &Device, id: &str, digest: &str, image: String) -> Result<Slot, Failure> {
    let asked = id.to_owned();
    let ask = |client: bollard::Docker| async move {
        client.inspect_container(&asked, None::<InspectContainerOptions>).await
    };
    let found = match device.engine.ask(LOOK, ask).await {
        Ok(found) => found,
        // It went between the two questions.
        Err(refusal) if refusal.is_not_found() => return Ok(Slot::Empty),
        Err(refusal) => return Err(refusal.into_failure("say how it is")),
    };
    let state = state_of(device, id, &found);
    let image = found.image.unwrap_or(image);
    Ok(Slot::Ours(Found { id: id.to_owned(), digest: digest.to_owned(), image, state }))
}

fn state_of(device: &Device, id: &str, found: &ContainerInspectResponse) -> State {
    use ContainerStateStatusEnum as Status;

    let Some(state) = &found.state else { return State::Leaving };
    let started_at = state.started_at.clone().unwrap_or_default();
    match state.status.unwrap_or(Status::EMPTY) {
        Status::CREATED | Status::EMPTY => State::Created,
        Status::RUNNING | Status::RESTARTING | Status::STOPPING if device.stops.is_stopping(id) => {
            State::Stopping
        }
        // What the runtime once began to stop runs until it has: one that ended meanwhile goes on with nothing, and
        // says so for ever.
        Status::RUNNING | Status::RESTARTING | Status::STOPPING => State::Running(Running {
            up_for: time(&started_at).map(ago).unwrap_or_default(),
            started_at,
            address: address(found),
            health: Health::Starting { message: String::new() },
        }),
        Status::PAUSED => State::Paused,
        Status::REMOVING | Status::DEAD => State::Leaving,
        Status::EXITED => {
            let finished = state.finished_at.as_deref().and_then(time);
            let ran_for = match (time(&started_at), finished) {
                (Some(started), Some(finished)) => finished.duration_since(started).unwrap_or_default(),
                _ => Duration::ZERO,
            };
            let ended_ago =
                device.ends.ended_ago(run_of(id, &started_at), finished.map(ago).unwrap_or_default());
            State::Ended(Ended {
                started_at,
                exit_code: state.exit_code.unwrap_or(-1),
                out_of_memory: state.oom_killed.unwrap_or(false),
                ran_for,
                ended_ago,
            })
        }
    }
}

/// What runs, by its id; `None` for what does not.
pub(super) fn running(device: &Device, found: &ContainerInspectResponse) -> Option<(String, Running)> {
    let id = found.id.clone()?;
    match state_of(device, &id, found) {
        State::Running(running) => Some((id, running)),
        _ => None,
    }
}

/// A time as runtimes write it; `None` for one that stands for never.
fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok().filter(|time| *time > SystemTime::UNIX_EPOCH)
}

fn ago(time: SystemTime) -> Duration {
    SystemTime::now().duration_since(time).unwrap_or_default()
}

fn address(found: &ContainerInspectResponse) -> Option<IpAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    let mut networks: Vec<_> = networks.iter().collect();
    networks.sort_by_key(|(name, _)| *name);
    networks.into_iter().find_map(|(_, network)| {
        [&network.ip_address, &network.global_ipv6_address]
            .into_iter()
            .flatten()
            .find_map(|ip| ip.parse().ok())
    })
}

/// Completes a look with what the declaration needs, and with what has been learnt of what runs.
pub(super) async fn complete(
    device: &Arc<Device>,
    target: &ContainerTarget,
    name: &ResourceName,
    look: Look,
) -> Result<ContainerObservation, Failure> {
    let Look { mut current, previous, leftovers } = look;
    let mut observed = ContainerObservation {
        current: Slot::Empty,
        previous,
        leftovers,
        image: Image::NotNeeded,
        not_started: None,
        unusable: None,
        unenforced: Vec::new(),
        boot: device.boot.clone(),
    };
    if let Goal::Present { spec, digest } = &target.goal {
        let digest = digest.to_string();
        let abilities =
            device.engine.abilities().await.map_err(|refusal| refusal.into_failure("say what it can do"))?;
        observed.unenforced = creation::unenforced(spec, &abilities);
        if !observed.unenforced.is_empty() && !device.tolerates_unenforceable_limits {
            return Err(words::limits_refused(&observed.unenforced));
        }
        observed.not_started = device.not_started.of(name, &digest);
        match &mut current {
            Slot::Ours(found) if found.digest == digest => {
                if let State::Running(running) = &mut found.state {
                    running.health = attend(device, name, spec, &found.id, running, target.record.as_ref());
                }
            }
            Slot::Ours(_) | Slot::Empty => {
                observed.image = image(device, name, spec).await?;
                observed.unusable = unusable(device, &abilities, spec).await?;
            }
            Slot::Stranger { .. } => {}
        }
    }
    observed.current = current;
    Ok(observed)
}

/// Has the probes of what runs asked. Returns how it is, as far as is known.
pub(super) fn attend(
    device: &Device,
    name: &ResourceName,
    spec: &Arc<ContainerSpec>,
    id: &str,
    running: &Running,
    record: Option<&ContainerRecord>,
) -> Health {
    let run = run_of(id, &running.started_at);
    let known = record.filter(|record| record.run.as_ref() == Some(&run));
    let known =
        known.map_or(Known::default(), |record| Known { started: record.started, ready: record.ready });
    device.supervision.supervise(name, id, running, spec, known)
}

async fn image(device: &Device, name: &ResourceName, spec: &ContainerSpec) -> Result<Image, Failure> {
    let reference = spec.image.as_str();
    if device.pulls.is_under_way(name, reference) {
        return Ok(device.pulls.state(name, reference, |_| Image::Absent));
    }
    let id = pulling::image_id(&device.engine, reference).await?;
    Ok(device.pulls.state(name, reference, |fresh| match id {
        Some(id) => Image::Present { id, fresh },
        None => Image::Absent,
    }))
}

/// Why what is declared could not be created even if its image were there.
async fn unusable(
    device: &Arc<Device>,
    runtime: &Abilities,
    spec: &Arc<ContainerSpec>,
) -> Result<Option<Failure>, Failure> {
    if let Some(lack) = apply::lack_of_space(runtime, LEAST) {
        return Ok(Some(lack));
    }
    let (device, spec) = (Arc::clone(device), Arc::clone(spec));
    let resolved =
        tokio::task::spawn_blocking(move || bind_source::resolve_all(&spec, &device.protected).err());
    resolved.await.map_err(|error| failures::interrupted(&error))
}

/// Of which image each resource that has yet to be created waits.
pub(super) fn awaited<'a>(
    observed: impl Iterator<Item = (&'a ContainerTarget, &'a ResourceName, &'a ContainerObservation)>,
) -> BTreeMap<ResourceName, String> {
    let waits = observed.filter_map(|(target, name, observed)| match (&target.goal, &observed.image) {
        (Goal::Absent, _) | (_, Image::NotNeeded) => None,
        (Goal::Present { spec, .. }, _) => Some((name.clone(), spec.image.to_string())),
    });
    waits.collect()
}
