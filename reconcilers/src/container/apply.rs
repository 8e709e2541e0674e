//! Does what was decided about a container.

use std::{path::Path, sync::Arc};

use agent_model::{ContainerSpec, Digest, Failure, Goal, ResourceName, Target};
use bollard::{
    Docker,
    errors::Error,
    models::ContainerCreateBody,
    query_parameters::{
        CreateContainerOptions, InspectContainerOptions, KillContainerOptions, RemoveContainerOptions,
        RenameContainerOptions, StartContainerOptions,
    },
};
use crash_point::crash_point;

use super::{
    Device, bind_source, creation,
    engine::{Abilities, LOOK, Refusal, WORK},
    failures::{self, NAME_IS_TAKEN},
    labels::{self, Mark},
    observe, pull_failures,
    pulled_images::MARGIN,
    record::ContainerRecord,
    step::ContainerStep,
};

/// Words by which runtimes say that a port is taken: docker, podman, and the kernel through either.
const PORT_TAKEN: [&str; 3] = ["port is already allocated", "address already in use", "bind: address"];
/// Words by which podman, which answers with 500, says that a name is taken.
const NAME_TAKEN: [&str; 2] = ["is already in use", "already in use by"];

pub(super) async fn apply(
    device: &Arc<Device>,
    name: &ResourceName,
    target: &Target<ContainerSpec, ContainerRecord>,
    step: &ContainerStep,
) -> Result<(), Failure> {
    crash_point();
    match (step, &target.goal) {
        (ContainerStep::Pull { reference }, _) => {
            room(device).await?;
            device.pulls.begin(name, reference);
            Ok(())
        }
        (ContainerStep::Create { .. }, Goal::Present { spec, digest }) => {
            let cut_off = target.record.as_ref().is_some_and(|record| record.creating);
            noting(device, name, digest, create(device, name, spec, digest, cut_off).await)
        }
        (ContainerStep::StartNew { .. }, Goal::Present { spec, digest }) => {
            noting(device, name, digest, start_declared(device, name, spec, name.as_str()).await)
        }
        (ContainerStep::Start { id, .. }, Goal::Present { spec, digest }) => {
            noting(device, name, digest, start_declared(device, name, spec, id).await)
        }
        (
            ContainerStep::Create { .. } | ContainerStep::StartNew { .. } | ContainerStep::Start { .. },
            Goal::Absent,
        ) => Err(failures::wrong_claim()),
        (ContainerStep::StartBroughtBack { id }, _) => {
            start(device, id).await?;
            device.not_started.forget(name);
            device.wakes.wake(name);
            Ok(())
        }
        (ContainerStep::Resume { id }, _) => {
            let id = id.clone();
            act(device, "let it go on", |client| async move { client.unpause_container(&id).await }).await?;
            device.wakes.wake(name);
            Ok(())
        }
        (ContainerStep::Stop { id, .. }, _) => {
            device.stops.begin(name, id);
            Ok(())
        }
        (ContainerStep::SetAside { id }, _) => rename(device, id, &labels::previous_name(name)).await,
        (ContainerStep::BringBack { id }, _) => rename(device, id, name.as_str()).await,
        (ContainerStep::Remove { id, .. }, _) => {
            remove(device, id).await?;
            crash_point();
            device.wakes.wake(name);
            Ok(())
        }
    }
}

/// Remembers why what is declared does not start, so that a pass can bring back what it replaced.
fn noting(
    device: &Device,
    name: &ResourceName,
    digest: &Digest,
    result: Result<(), Failure>,
) -> Result<(), Failure> {
    match &result {
        Ok(()) => device.not_started.forget(name),
        // Neither a runtime that is not there nor what has the name says anything about what is declared.
        Err(failure) if ["RuntimeUnavailable", NAME_IS_TAKEN].contains(&failure.reason.as_ref()) => {}
        Err(failure) => device.not_started.note(name, &digest.to_string(), failure),
    }
    result
}

/// Whether there is room to pull into, by removing what nobody uses where need be.
async fn room(device: &Device) -> Result<(), Failure> {
    let abilities = device
        .engine
        .abilities()
        .await
        .map_err(|refusal| refusal.into_failure("say where it keeps images"))?;
    if lack_of_space(&abilities, MARGIN).is_some() {
        device.collect_images(true).await;
    }
    lack_of_space(&abilities, MARGIN).map_or(Ok(()), Err)
}

/// What is wrong where less than so many bytes are free for images and containers; `None` also where nobody can tell.
pub(super) fn lack_of_space(runtime: &Abilities, needed: u64) -> Option<Failure> {
    let folder = runtime.storage.as_deref()?;
    let free = free(folder).filter(|free| *free < needed)?;
    Some(failures::no_space(&folder.display(), free, needed))
}

/// The free space of the file system that a folder is on, in bytes; `None` where nobody can tell, as of a runtime
/// whose folders are not the agent's.
pub(super) fn free(folder: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(folder).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Creates it. `cut_off` tells that this was asked for before, and that there was no answer.
async fn create(
    device: &Arc<Device>,
    name: &ResourceName,
    spec: &Arc<ContainerSpec>,
    digest: &Digest,
    cut_off: bool,
) -> Result<(), Failure> {
    let abilities =
        device.engine.abilities().await.map_err(|refusal| refusal.into_failure("say what it can do"))?;
    let sources = {
        let (device, spec) = (Arc::clone(device), Arc::clone(spec));
        // Looked at again at the last moment: what is mounted is what was judged.
        tokio::task::spawn_blocking(move || bind_source::resolve_all(&spec, &device.protected))
            .await
            .map_err(|error| failures::interrupted(&error))??
    };
    let mark = Mark { resource: name.clone(), digest: digest.to_string() };
    let env = spec.env.opened(&*device.unsealer)?;
    let body = creation::request(spec, &env, &sources, mark.labels(&device.agent), &abilities);
    let mut created = ask_to_create(device, name, body.clone()).await;
    if cut_off
        && created.as_ref().is_err_and(|failure| failure.reason == NAME_IS_TAKEN)
        && clear_remains(device, name).await?
    {
        created = ask_to_create(device, name, body).await;
    }
    created
}

async fn ask_to_create(
    device: &Device,
    name: &ResourceName,
    body: ContainerCreateBody,
) -> Result<(), Failure> {
    let options =
        CreateContainerOptions { name: Some(name.to_string()), ..CreateContainerOptions::default() };
    let created = device
        .engine
        .ask(WORK, |client| async move { client.create_container(Some(options), body).await })
        .await;
    crash_point();
    match created {
        Ok(created) => {
            for warning in created.warnings {
                tracing::warn!(%name, warning = failures::quoted(&warning), "the runtime warns");
            }
            device.pulls.over(name);
            Ok(())
        }
        Err(Refusal::Unavailable(failure)) => Err(failure),
        Err(Refusal::Answer { status, message }) => {
            let is_taken = status == 409 || NAME_TAKEN.iter().any(|words| message.contains(words));
            Err(match () {
                () if is_taken => failures::name_taken(&message),
                () if pull_failures::is_no_space(&message) => failures::ran_out_of_space("create", &message),
                () => failures::not_created(&message),
            })
        }
    }
}

/// Removes what a creation that was cut off has left behind, and says whether there was any. Podman puts the name down
/// with its storage before it knows of a container: where it is killed in between, the name is taken by what is
/// in none of its lists. Without force, which what was never mounted does not need.
async fn clear_remains(device: &Device, name: &ResourceName) -> Result<bool, Failure> {
    let holder = name.to_string();
    let ask = |client: Docker| async move {
        client.inspect_container(&holder, None::<InspectContainerOptions>).await
    };
    match device.engine.ask(LOOK, ask).await {
        Err(refusal) if refusal.is_not_found() => {}
        Err(refusal) => return Err(refusal.into_failure("say what has its name")),
        Ok(_) => return Ok(false),
    }
    tracing::warn!(%name, "removing what is left of a creation that was cut off");
    let (holder, options) = (name.to_string(), RemoveContainerOptions::default());
    let ask = |client: Docker| async move { client.remove_container(&holder, Some(options)).await };
    match device.engine.ask(WORK, ask).await {
        Err(refusal) if !refusal.is_not_found() => {
            Err(refusal.into_failure("remove what is left of a creation that was cut off"))
        }
        _ => Ok(true),
    }
}

/// Starts what is declared, and begins to find out how it is: no later pass has to come for that.
async fn start_declared(
    device: &Arc<Device>,
    name: &ResourceName,
    spec: &Arc<ContainerSpec>,
    id: &str,
) -> Result<(), Failure> {
    start(device, id).await?;
    crash_point();
    let id = id.to_owned();
    let ask =
        |client: Docker| async move { client.inspect_container(&id, None::<InspectContainerOptions>).await };
    // Where it cannot be looked at, a pass will tell.
    let running = match device.engine.ask(LOOK, ask).await {
        Ok(found) => observe::running(device, &found),
        Err(_) => None,
    };
    match running {
        Some((id, running)) => drop(observe::attend(device, name, spec, &id, &running, None)),
        None => device.wakes.wake(name),
    }
    Ok(())
}

async fn start(device: &Device, id: &str) -> Result<(), Failure> {
    let id = id.to_owned();
    let ask =
        |client: Docker| async move { client.start_container(&id, None::<StartContainerOptions>).await };
    match device.engine.ask(WORK, ask).await {
        Ok(()) => Ok(()),
        Err(Refusal::Unavailable(failure)) => Err(failure),
        Err(Refusal::Answer { message, .. }) => {
            let is_taken = PORT_TAKEN.iter().any(|words| message.contains(words));
            Err(match () {
                () if is_taken => failures::port_taken(&message),
                () if pull_failures::is_no_space(&message) => failures::ran_out_of_space("start", &message),
                () => failures::not_started(&message),
            })
        }
    }
}

async fn rename(device: &Device, id: &str, to: &str) -> Result<(), Failure> {
    let (id, options) = (id.to_owned(), RenameContainerOptions { name: to.to_owned() });
    act(device, "rename it", |client| async move { client.rename_container(&id, options).await }).await
}

async fn remove(device: &Device, id: &str) -> Result<(), Failure> {
    // Removing what runs would wait for it to stop.
    let killed = {
        let (id, options) = (id.to_owned(), KillContainerOptions { signal: "SIGKILL".to_owned() });
        device.engine.ask(WORK, |client| async move { client.kill_container(&id, Some(options)).await }).await
    };
    if let Err(Refusal::Unavailable(failure)) = killed {
        return Err(failure);
    }
    crash_point();
    let (id, options) = (id.to_owned(), RemoveContainerOptions { v: true, force: true, link: false });
    let removed = device
        .engine
        .ask(WORK, |client| async move { client.remove_container(&id, Some(options)).await })
        .await;
    match removed {
        Err(refusal) if !refusal.is_not_found() => Err(refusal.into_failure("remove it")),
        _ => Ok(()),
    }
}

async fn act<F: Future<Output = Result<(), Error>>>(
    device: &Device,
    what: &str,
    action: impl FnOnce(Docker) -> F,
) -> Result<(), Failure> {
    device.engine.ask(WORK, action).await.map_err(|refusal| refusal.into_failure(what))
}
