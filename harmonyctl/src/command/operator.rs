//! `init --operator`: what servers in operator mode need.

use std::path::Path;

use nats_operator::{Change, Folder};

use super::read_or_not;
use crate::{failure::Failure, outcome::Outcome, output::Output};

pub(super) fn make(folder: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let (folder, made) = Folder::make(folder)?;
    for made in &made {
        let change = match made.change {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Unchanged => "unchanged",
        };
        read_or_not(output.line(format_args!("{} {change}", made.file.display())))?;
    }
    let path = folder.path().display();
    if made.iter().any(|made| made.change == Change::Updated) {
        output.message(format_args!(
            "Accounts have changed. Tell the servers that run: harmonyctl nats push --operator {path}"
        ));
    }
    output.message(format_args!(
        "Keep {path} to yourself and have a copy of it: whoever has it is the operator, and nobody is without it.\n\
         \n\
         1. Start the server, after a look at its configuration (address, TLS):\n\
         \u{20}    nats-server --config {}\n\
         \u{20}  On another host it needs nothing but the folder {}; the paths in it are then others.\n\
         2. Make the buckets and the stream:\n\
         \u{20}    harmonyctl --creds {} init\n\
         3. See that all is well:\n\
         \u{20}    harmonyctl nats check --operator {path}\n\
         4. See who asks with {}, and let each in whose key is the one that the device prints:\n\
         \u{20}    harmonyctl --creds {} agents list\n\
         \u{20}    harmonyctl agents approve ID --key KEY --operator {path}",
        folder.server_configuration().display(),
        folder.path().join("server").display(),
        folder.platform_credentials().display(),
        folder.bootstrap_credentials().display(),
        folder.platform_credentials().display(),
    ));
    Ok(Outcome::Done)
}
