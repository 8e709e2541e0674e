//! `nats`: whether the servers are fit for a fleet, and what they are to know.

use std::path::Path;

use agent_model::Verdict;
use fleet::{
    Access, Endpoint, Fleet, Login,
    checking::check,
    operator::{self, push_all},
};
use nats_operator::{AccountToken, Folder, OwnUser, Renewed};

use super::{REQUEST_TIMEOUT, read_or_not};
use crate::{
    access,
    cli::{Connection, Nats},
    failure::Failure,
    outcome::Outcome,
    output::Output,
};

pub(super) async fn run(
    connection: &Connection,
    command: &Nats,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    match command {
        Nats::Check { operator } => test(connection, operator.as_deref(), output).await,
        Nats::Push { operator } => push(connection, operator, output).await,
        Nats::Renew { user, operator } => renew(connection, *user, operator, output).await,
    }
}

async fn test(
    connection: &Connection,
    operator: Option<&Path>,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let folder = operator.map(Folder::open).transpose()?;
    let mut access = access::of(connection)?;
    if let (Login::AsInUrls, Some(folder)) = (&access.login, &folder) {
        access.login = Login::Credentials(folder.platform_credentials());
    }
    let platform = connect(&access).await?;
    let mut outcome = Outcome::Done;
    for finding in check(&platform, &access, folder.as_ref()).await {
        if finding.verdict == Verdict::Failed {
            outcome = Outcome::Error;
        }
        output.line(finding)?;
    }
    Ok(outcome)
}

async fn push(connection: &Connection, operator: &Path, output: &mut Output) -> Result<Outcome, Failure> {
    let folder = Folder::open(operator)?;
    let pushed = push_accounts(connection, &folder).await?;
    tell_of_pushed(&folder, &pushed, output)?;
    Ok(Outcome::Done)
}

async fn push_accounts(connection: &Connection, folder: &Folder) -> Result<Vec<AccountToken>, Failure> {
    let login = Login::Credentials(folder.system_credentials());
    let system = connect(&Access { login, ..access::of(connection)? }).await?;
    Ok(push_all(&system, folder).await?)
}

fn tell_of_pushed(folder: &Folder, pushed: &[AccountToken], output: &mut Output) -> Result<(), Failure> {
    for account in pushed {
        read_or_not(output.line(format_args!("{} {} pushed", account.account, account.id)))?;
    }
    output.message(format_args!(
        "A server that loses its disk knows what its own copy of accounts.conf says: copy {} to each, beside its \
         nats-server.conf.",
        folder.accounts_configuration().display()
    ));
    Ok(())
}

/// The folder first, and the servers then: for those, the new credentials are good already. Printed is last, so that
/// output that cannot be written leaves no old credentials good.
async fn renew(
    connection: &Connection,
    user: OwnUser,
    operator: &Path,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let folder = Folder::open(operator)?;
    let Renewed { file, old, new } = operator::renew(&folder, user).await?;
    let pushed = push_accounts(connection, &folder).await;
    let printed = read_or_not(output.line(format_args!("{} renewed (key {new})", file.display())));
    let pushed = pushed.inspect_err(|_| {
        output.message(format_args!(
            "The old credentials (key {old}) are good until the servers know: run `harmonyctl nats push --operator {}`",
            operator.display()
        ));
    })?;
    printed?;
    tell_of_pushed(&folder, &pushed, output)?;
    read_or_not(output.line(format_args!("key {old} revoked")))?;
    output.message(match user {
        OwnUser::System => "Nothing else has these credentials but whoever you gave a copy.",
        OwnUser::Platform => "Give the new file to whatever writes documents: what has the old one is out.",
        OwnUser::Bootstrap => {
            "Put the new file into the image, and on devices that still ask: those that are let in do without."
        }
    });
    Ok(Outcome::Done)
}

async fn connect(access: &Access) -> Result<Fleet, Failure> {
    let endpoint = Endpoint { access: access.clone(), timeout: REQUEST_TIMEOUT };
    Ok(Fleet::connect(&endpoint).await?)
}
