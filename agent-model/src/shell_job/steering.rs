//! What makes a script do something else than whoever read its text would expect.
//!
//! A device that lists the scripts which may run lists their text. The same text can be made to do anything by
//! another interpreter (`["/bin/sh", "-c", "…"]`), or by a variable that decides which programs it finds
//! (`PATH`), what is loaded into them (`LD_PRELOAD`) or what is read first (`BASH_ENV`). No list of such variables is
//! ever complete. So a job steers its script unless the script's own text says otherwise: it may be read by the
//! interpreter that its first line names, and have the variables that it names itself.

use std::{borrow::Cow, collections::BTreeSet};

use super::{DEFAULT_INTERPRETER, ShellJobSpec};

/// Variables that decide what a shell finds, reads or loads, and which an honest script may name all the same.
const NEVER_HARMLESS: [&str; 12] = [
    "BASHOPTS",
    "BASH_ENV",
    "CDPATH",
    "ENV",
    "HOME",
    "IFS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PATH",
    "PS4",
    "SHELL",
    "SHELLOPTS",
];

impl ShellJobSpec {
    /// What of it makes its scripts do something else than their text alone says, each in words that follow "to".
    pub(super) fn steers(&self) -> Vec<Cow<'_, str>> {
        let scripts: Vec<&str> =
            [Some(&self.script), self.unless.as_ref()].into_iter().flatten().map(String::as_str).collect();
        let interpreted = scripts.iter().all(|script| is_read_by(script, &self.interpreter));
        let named: BTreeSet<&str> = scripts.iter().flat_map(|script| words(script)).collect();
        let of_variables = self.env.iter().map(|(name, _)| name);
        let steering = of_variables.filter(|name| NEVER_HARMLESS.contains(name) || !named.contains(name));
        let interpreter = (!interpreted).then(|| {
            Cow::from("have a script read by an interpreter that is neither /bin/sh -eu nor in the script's first line")
        });
        let variables = steering.map(|name| {
            Cow::from(format!("set the variable {name}, which its script does not name as its own"))
        });
        interpreter.into_iter().chain(variables).collect()
    }
}

/// Whether that is the interpreter of a script that says nothing of it, or the one in its first line.
fn is_read_by(script: &str, interpreter: &[String]) -> bool {
    let first_line = script.lines().next().unwrap_or_default();
    let is_default = interpreter.iter().map(String::as_str).eq(DEFAULT_INTERPRETER);
    is_default
        || first_line
            .strip_prefix("#!")
            .is_some_and(|own| own.split_ascii_whitespace().eq(interpreter.iter()))
}

/// All that could be the name of a variable.
fn words(script: &str) -> impl Iterator<Item = &str> {
    script.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steers(script: &str, interpreter: &[&str], variables: &[&str]) -> usize {
        let mut job = ShellJobSpec::new(script);
        if !interpreter.is_empty() {
            job.interpreter = interpreter.iter().map(ToString::to_string).collect();
        }
        variables.iter().for_each(|name| job.env.set(name, "x").unwrap());
        job.steers().len()
    }

    #[test]
    fn a_script_is_read_by_the_shell_or_by_what_its_first_line_names() {
        assert_eq!(steers("true", &[], &[]), 0);
        assert_eq!(steers("true", &["/bin/sh", "-eu"], &[]), 0);
        assert_eq!(steers("#!/usr/bin/python3 -I\npass", &["/usr/bin/python3", "-I"], &[]), 0);
        for interpreter in
            [&["/bin/sh", "-c", "evil"][..], &["/bin/sh"], &["/bin/sh", "-eu", "-c"], &["/usr/bin/python3"]]
        {
            assert_eq!(steers("#!/usr/bin/python3 -I\npass", interpreter, &[]), 1, "{interpreter:?}");
            assert_eq!(steers("true", interpreter, &[]), 1, "{interpreter:?}");
        }
    }

    #[test]
    fn a_script_may_have_the_variables_that_it_names_but_none_that_decides_what_it_runs() {
        assert_eq!(steers("echo \"$GREETING\" ${NAME:-x}", &[], &["GREETING", "NAME"]), 0);
        assert_eq!(steers("echo $GREETINGS", &[], &["GREETING"]), 1);
        assert_eq!(steers("PATH=/x:$PATH; IFS=; LD_PRELOAD=", &[], &["PATH", "IFS", "LD_PRELOAD"]), 3);
        assert_eq!(steers("true", &[], &["PYTHONPATH", "PERL5OPT", "ANYTHING"]), 3);
    }

    #[test]
    fn what_comes_before_the_script_is_under_the_same_rule() {
        let mut job = ShellJobSpec::new("#!/bin/bash\ntrue");
        job.interpreter = vec!["/bin/bash".to_owned()];
        assert_eq!(job.steers().len(), 0);
        job.unless = Some("test -e /x".to_owned());
        assert_eq!(job.steers().len(), 1);
    }
}
