//! `harmony-agent policy`: what documents may do on this device.

use std::fmt::Write as _;

use agent_core::{
    authoring::{AuthoredDocument, Completion},
    dispatcher::Formats,
    envelope::Refusal,
    policy::{DevicePolicy, Ruling, Switch, Verdict},
    protected_paths::ProtectedPaths,
    state_dir::StateLayout,
};
use agent_model::{DesiredState, Generation, ResourceKind, Timestamp};

use crate::{
    Agent, CommandError, Exit,
    accounts::DeviceAccounts,
    cli::{DocumentArgs, PolicyCommand, PolicyFile, PolicyShowArgs, Settings},
    configuration::Ground,
    document_file, facts, say, wiring,
};

pub(crate) fn policy(command: PolicyCommand, program: Agent) -> Result<Exit, CommandError> {
    match command {
        PolicyCommand::Show(args) => show(args),
        PolicyCommand::Explain(args) => explain(args, program),
    }
}

fn show(args: PolicyShowArgs) -> Result<Exit, CommandError> {
    let PolicyShowArgs { config, policy: PolicyFile { policy } } = args;
    let ground = Ground::load(config, &Settings { policy, ..Settings::default() })?;
    let mut text = format!("# {}\n", source(&ground));
    for (key, value) in ground.policy.lines() {
        let _ = writeln!(text, "{key} = {value}");
    }
    say(&text);
    Ok(Exit::Done)
}

fn explain(args: DocumentArgs, program: Agent) -> Result<Exit, CommandError> {
    let document = document_file::read(&args.file)?;
    let (config, given) = args.settings();
    let ground = Ground::load(config, &given)?;
    // Read as if every format were enabled, so that what its documents come to can be judged as well.
    let (formats, _) = program.scores.join(program.formats, Switch::Enabled, ResourceKind::ALL.into_iter());
    let desired = lower(&document, &formats)
        .map_err(|refusal| CommandError::Usage(format!("{}: {refusal}", document.source)))?;

    let mut text = format!("# {}\n", source(&ground));
    let Ground { policy, state_dir, root, own_files, .. } = ground;
    let own = wiring::own_paths(&StateLayout::of(state_dir), own_files);
    let policy = DevicePolicy::new(policy, ProtectedPaths::new(root, own), DeviceAccounts);
    // What lies in a file is not signed.
    let judging = policy.judging(None);
    let mut denied = false;
    if let Some((kind, switch)) = document.kind().and_then(|kind| policy.rules().formats.get_key_value(kind))
    {
        denied = *switch == Switch::Disabled;
        line(
            &mut text,
            denied,
            "the document",
            &format!("be a {kind}"),
            &format!("formats.{kind} = \"{switch:?}\""),
            None,
        );
    }
    for resource in desired.resources() {
        let name = format!("{} {}", resource.kind(), resource.name);
        for Ruling { asked, rule, verdict } in judging.rulings(resource) {
            let (is_denied, why) = match verdict {
                Verdict::Allowed => (false, None),
                Verdict::Denied(why) => (true, why),
            };
            denied |= is_denied;
            line(&mut text, is_denied, &name, &asked.to_string(), &policy.show(rule), why.as_deref());
        }
    }
    say(&text);
    Ok(if denied { Exit::NotConverged } else { Exit::Done })
}

fn line(text: &mut String, denied: bool, who: &str, asks: &str, rule: &str, why: Option<&str>) {
    let verdict = if denied { "DENIED" } else { "allowed" };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let _ = writeln!(text, "{verdict:<8} {who:<24} {asks:<40} {rule}{why}");
}

/// What the document asks for on this device, whoever it is for and whenever.
fn lower(document: &AuthoredDocument, formats: &Formats) -> Result<DesiredState, Refusal> {
    let completion = Completion {
        schema_version: document_file::schema_version(document, formats),
        generation: Generation::FIRST,
        issued_at: Timestamp::now(),
    };
    let envelope = document.open(&completion)?;
    Ok(formats.lower(&envelope, &facts::device_facts())?.state)
}

fn source(ground: &Ground) -> String {
    match &ground.policy_file {
        Some(file) => file.display().to_string(),
        None => "the policy that is built in".to_owned(),
    }
}
