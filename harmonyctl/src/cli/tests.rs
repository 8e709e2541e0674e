use std::{collections::BTreeMap, ffi::OsStr, path::PathBuf, time::Duration};

use clap::CommandFactory as _;

use super::*;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words.split(' '))
}

fn every_command() -> Vec<clap::Command> {
    let mut commands = vec![Cli::command()];
    let mut next = 0;
    while let Some(command) = commands.get(next) {
        let within: Vec<_> = command.get_subcommands().cloned().collect();
        commands.extend(within);
        next += 1;
    }
    commands
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn documented_examples_are_accepted() {
    let mut examples = 0;
    for command in every_command() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(|line| line.strip_prefix("  harmonyctl ")) {
            let words = line.split(['>', '|']).next().unwrap_or_default().trim_end();
            parse(&format!("harmonyctl {words}")).unwrap_or_else(|error| panic!("{line}: {error}"));
            examples += 1;
        }
    }
    assert!(examples >= 10, "only {examples} examples were found");
}

/// Options that are given on the command line or not at all. A variable is set once and meant for many commands: it must
/// not make another command of one, nor have it replace, remove or let in more than its words say, nor keep it from being
/// run at all.
const NOT_IN_THE_ENVIRONMENT: [(&str, &str); 23] = [
    ("apply", "force"),
    ("approve", "all"),
    ("approve", "from"),
    ("approve", "key"),
    ("approve", "watch"),
    ("convert", "filename"),
    ("convert", "from"),
    ("convert", "output"),
    ("convert", "to"),
    ("delete", "teardown"),
    ("deny", "key"),
    ("diff", "output"),
    ("get", "raw"),
    ("get", "revision"),
    ("init", "operator"),
    ("keygen", "force"),
    ("label", "in-advance"),
    ("label", "overwrite"),
    ("replace", "key"),
    ("revoke", "key"),
    ("seal", "output"),
    ("seal", "to"),
    ("skew", "output"),
];

#[test]
fn every_option_can_be_given_in_the_environment_but_for_a_few() {
    let mut options = 0;
    for command in every_command() {
        for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
            let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long)) else {
                continue;
            };
            if NOT_IN_THE_ENVIRONMENT.contains(&(command.get_name(), long)) {
                assert_eq!(option.get_env(), None, "{long}");
                continue;
            }
            let variable = format!("HARMONYCTL_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(option.get_env(), Some(OsStr::new(&variable)), "{long}");
            options += 1;
        }
    }
    assert!(options >= 12, "only {options} options were found");
}

#[test]
fn a_variable_holds_the_same_for_each_command_that_takes_it() {
    let mut kinds = BTreeMap::new();
    for command in every_command() {
        for option in command.get_arguments() {
            // How something is printed: what those that read know differs, what is meant does not.
            let Some(variable) = option.get_env().filter(|variable| *variable != "HARMONYCTL_OUTPUT") else {
                continue;
            };
            let kind = option.get_value_parser().type_id();
            let known = *kinds.entry(variable.to_owned()).or_insert(kind);
            assert_eq!(kind, known, "{variable:?} of {}", command.get_name());
        }
    }
    assert!(kinds.len() >= 12, "{kinds:?}");
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    for words in ["harmonyctl --offline-after 30s get agents", "harmonyctl get agents --offline-after 30s"] {
        assert_eq!(parse(words).unwrap().connection.offline_after, Duration::from_secs(30));
    }
}

#[test]
fn files_may_be_repeated_and_must_be_given() {
    let Command::Apply(apply) = parse("harmonyctl apply -f a -f -").unwrap().command else {
        panic!("not apply");
    };
    assert_eq!(apply.files.filename, [PathBuf::from("a"), PathBuf::from("-")]);
    assert_eq!(apply.waiting.limit.timeout, Duration::from_secs(300));
    for words in
        ["harmonyctl apply", "harmonyctl get", "harmonyctl wait agent/a --for=Ready", "harmonyctl logs"]
    {
        assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words}");
    }
}
