//! The vocabulary of the agent: what a device should be, what to do about it, and what to say.
//!
//! Everything here is plain data and pure decisions. There is no IO, no async runtime and no
//! NATS, so every crate can share these types without dragging in the others.
//!
//! ```text
//! format ──lower──▶ DesiredState ──▶ Reconciler: observe ─▶ plan ─▶ apply ──▶ AgentStatus
//! ```
//!
//! The two seams of the design are the traits [`ManifestFormat`] and [`Reconciler`].

mod agent_id;
mod ask;
mod causes;
mod claim;
mod container;
mod cycles;
mod desired_state;
mod difference;
mod digest;
mod facts;
mod failure;
mod file;
mod finding;
mod format;
mod generation;
mod invalid;
mod plan;
mod process;
mod quantity;
pub mod reader;
mod reconciler;
mod refusal;
mod resource;
mod resource_name;
mod rollback;
mod sealed;
mod shell_job;
pub mod status;
mod suggestion;
mod systemd_unit;
mod target_path;
mod timestamp;
mod user_key;
mod workload;
mod written;

pub use agent_id::{AgentId, InvalidAgentId};
pub use ask::Ask;
pub use causes::with_causes;
pub use claim::{Claim, InvalidClaim};
pub use container::{
    Capability, ContainerFolder, ContainerSpec, ContainerUser, ImageReference, InvalidCapability,
    InvalidContainerUser, InvalidImageReference, InvalidNetworkName, InvalidVolumeName, Mount, MountSource,
    Network, NetworkName, PortMapping, PullPolicy, TransportProtocol, VolumeName,
};
pub use cycles::cycles;
pub use desired_state::{Declaration, DesiredState, DesiredStateBuilder, MAX_RESOURCES};
pub use difference::Difference;
pub use digest::{Digest, InvalidDigest};
pub use facts::{COMMON_FACTS, DeviceFacts};
pub use failure::{Failure, Retry};
pub use file::{Content, FileSpec, InvalidMode, InvalidPrincipal, Mode, Principal};
pub use finding::{Finding, Verdict};
pub use format::{Lowered, ManifestFormat, SpecDocument, UnknownKeys};
pub use generation::{Generation, InvalidGeneration};
pub use invalid::{Invalid, Problem, json_type, pointer_to};
pub use plan::{Conclusion, Plan, Standing, Step};
pub use process::{DEFAULT_STOP_TIMEOUT, ProcessSpec};
pub use quantity::parse_size;
pub use reconciler::{Goal, Reconciler, Target};
pub use refusal::RefusalReason;
pub use resource::{Resource, ResourceKind, ResourceSpec};
pub use resource_name::{InvalidResourceName, ResourceName};
pub use rollback::{ROLLBACK, read_rollback, written_deadline};
pub use sealed::{
    CannotUnseal, InvalidSealingKey, KeyedDigest, MaybeSealed, SEALED, SealedValue, SealingKey, Unsealer,
};
pub use shell_job::{DEFAULT_JOB_TIMEOUT, ShellJobSpec};
pub use suggestion::{Suggestions, did_you_mean};
pub use systemd_unit::{
    DropInName, InvalidDropInName, InvalidUnitName, InvalidUnitText, MAX_DROP_INS, SystemdUnitSpec, UnitName,
    UnitState, UnitText,
};
pub use target_path::{InvalidTargetPath, TargetPath};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use user_key::{InvalidUserKey, UserKey};
pub use workload::{
    Environment, HttpScheme, InvalidStopSignal, InvalidVariable, Limits, LogBounds, Probe, ProbeAction,
    Probes, RestartPolicy, StopSignal,
};
