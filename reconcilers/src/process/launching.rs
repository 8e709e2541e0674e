//! Making a program, or a probe, of what is declared.

use std::{collections::BTreeMap, path::PathBuf};

use agent_model::{Failure, ProcessSpec, StopSignal, Unsealer};
use process_shim::{MARKER, ProcessFolder, Program};

use crate::held::{Account, launching::PATH};

/// The number of a signal on this device.
pub(super) fn number(signal: StopSignal) -> i32 {
    use rustix::process::Signal;

    let signal = match signal {
        StopSignal::Term => Signal::TERM,
        StopSignal::Int => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
        StopSignal::Hup => Signal::HUP,
        StopSignal::Kill => Signal::KILL,
        StopSignal::Usr1 => Signal::USR1,
        StopSignal::Usr2 => Signal::USR2,
        StopSignal::Winch => Signal::WINCH,
    };
    signal.as_raw()
}

/// The program of a declaration with all that it starts with. Looks up users, and so may block.
pub(super) fn program(
    spec: &ProcessSpec,
    folder: &ProcessFolder,
    control_groups: Vec<PathBuf>,
    unsealer: &dyn Unsealer,
) -> Result<Program, Failure> {
    let account = Account::of(spec.user.as_ref(), spec.group.as_ref())?;
    let mut environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]);
    environment.extend(account.variables());
    environment.extend(spec.env.opened(unsealer)?);
    environment.insert(MARKER.to_owned(), folder.path().display().to_string());
    Ok(Program {
        command: spec.command.clone(),
        environment,
        workdir: spec.workdir.as_ref().map_or_else(|| "/".into(), |path| path.as_str().into()),
        credentials: account.credentials(),
        open_files: spec.limits.open_files,
        control_groups,
        inside: None,
    })
}
