//! The end of what a container printed.

use agent_model::{ContainerSpec, Digest, ResourceName};
use bollard::{Docker, query_parameters::LogsOptions};
use futures_util::TryStreamExt;

use super::{Device, engine::LOOK, observe::Listed};
use crate::workload::printed::{Masked, visible};

/// So many lines …
const LINES: &str = "20";
/// … and about as many bytes are asked for. A line may be of any length.
const BYTES: usize = 64 << 10;

/// The last lines of the container that was made for that declaration, without the values of its environment; `None`
/// where there is none, or the runtime does not tell.
pub(super) async fn log_tail(
    device: &Device,
    name: &ResourceName,
    spec: &ContainerSpec,
    digest: &Digest,
) -> Option<String> {
    let masked = Masked::values_of(&spec.env, &*device.unsealer)?;
    let id = Listed::read(&device.engine).await.ok()?.made_for(device, name, digest)?;
    let printed = device.engine.ask(LOOK, |client| async move { printed(client, &id).await }).await.ok()?;
    let text: Vec<String> = String::from_utf8_lossy(&printed).lines().map(visible).collect();
    Some(masked.left_out_of(&text.join("\n"))).filter(|text| !text.is_empty())
}

async fn printed(client: Docker, id: &str) -> Result<Vec<u8>, bollard::errors::Error> {
    let options =
        LogsOptions { stdout: true, stderr: true, tail: LINES.to_owned(), ..LogsOptions::default() };
    let mut pieces = std::pin::pin!(client.logs(id, Some(options)));
    let mut printed = Vec::new();
    while let Some(piece) = pieces.try_next().await? {
        printed.extend_from_slice(&piece.into_bytes());
        // The last are wanted, and come last.
        let excess = printed.len().saturating_sub(BYTES);
        printed.drain(..excess);
    }
    Ok(printed)
}
