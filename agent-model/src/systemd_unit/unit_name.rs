//! The names of units and of what is put beside them.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::TargetPath;

/// Longest name, in bytes: systemd has 255, of which a folder of drop-ins needs two for its `.d`.
const MAX_LEN: usize = 253;
/// Where units are written: the folder that systemd.unit(5) gives to administrators.
const FOLDER: &str = "/etc/systemd/system";
/// The types of units that have a file, by systemd.unit(5).
const TYPES: [&str; 9] =
    ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"];
/// Units that end what the device does when they are started: by systemd.special(7).
const ENDING: [&str; 16] = [
    "ctrl-alt-del.target",
    "emergency.target",
    "exit.target",
    "factory-reset.target",
    "final.target",
    "halt.target",
    "hibernate.target",
    "hybrid-sleep.target",
    "kexec.target",
    "poweroff.target",
    "reboot.target",
    "rescue.target",
    "shutdown.target",
    "sleep.target",
    "suspend.target",
    "umount.target",
];

/// A unit of systemd by its whole name: `app.service`, `app@one.service`, or the template `app@.service`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName {
    file: TargetPath,
    drop_ins: TargetPath,
}

/// Why a text names no unit that can be managed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not the name of a unit: {problem}")]
pub struct InvalidUnitName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
    /// What is wrong with it, and what would be right.
    pub problem: &'static str,
}

impl UnitName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.file.file_name()
    }

    /// Where its file is written.
    pub fn file(&self) -> &TargetPath {
        &self.file
    }

    /// The folder that its drop-ins are written to.
    pub fn drop_ins(&self) -> &TargetPath {
        &self.drop_ins
    }

    /// Whether it is a template, of which nothing runs but its instances.
    pub fn is_template(&self) -> bool {
        self.as_str().rsplit_once('.').is_some_and(|(prefix, _)| prefix.find('@') == Some(prefix.len() - 1))
    }

    /// The unit whose file, drop-in or folder of drop-ins lies at that path.
    pub fn owning(path: &TargetPath) -> Option<Self> {
        let below = path.as_str().strip_prefix(FOLDER)?.strip_prefix('/')?;
        let first = below.split('/').next()?;
        first.strip_suffix(".d").unwrap_or(first).parse().ok()
    }
}

impl FromStr for UnitName {
    type Err = InvalidUnitName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |problem| InvalidUnitName { given: text.chars().take(80).collect(), problem };
        problem_of(text).map_or(Ok(()), |problem| Err(invalid(problem)))?;
        let path = |path: String| path.parse().map_err(|_| invalid("it is no file name"));
        Ok(Self { file: path(format!("{FOLDER}/{text}"))?, drop_ins: path(format!("{FOLDER}/{text}.d"))? })
    }
}

fn problem_of(text: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'\\' | b'@');
    if text.contains('/') {
        return Some(
            "name the unit and not its file: it is written to /etc/systemd/system; systemd-escape turns a path into a name",
        );
    }
    if text.len() > MAX_LEN {
        return Some(
            "it must not be longer than 253 bytes, so that a folder of drop-ins can be named after it",
        );
    }
    if !text.bytes().all(plain) {
        return Some(
            "use the characters A-Z a-z 0-9 : - _ . \\ @ only; systemd-escape makes a name of anything",
        );
    }
    let Some((prefix, unit_type)) = text.rsplit_once('.') else {
        return Some("it must end with the unit's type, for example .service");
    };
    match unit_type {
        "device" | "scope" => return Some("devices and scopes are made by programs and have no file"),
        unit_type if !TYPES.contains(&unit_type) => {
            return Some(
                "it must end with .service, .socket, .timer, .path, .mount, .automount, .swap, .target or .slice",
            );
        }
        _ => {}
    }
    if prefix.is_empty() || prefix.starts_with('@') {
        return Some("something must stand before its type and before an @");
    }
    ENDING.contains(&text).then_some(
        "starting it would end what the device does, the agent included; no document can ask for that",
    )
}

impl TryFrom<String> for UnitName {
    type Error = InvalidUnitName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a drop-in: a file name that ends with `.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DropInName(Arc<str>);

/// Why a text is no name of a drop-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} is not the name of a drop-in: it must end with .conf, or systemd does not read it; use 6 to 200 of the \
     characters A-Z a-z 0-9 : - _ . @, the first of them a letter or digit, for example \"10-limits.conf\""
)]
pub struct InvalidDropInName {
    /// What was given, shortened to a length fit for a message.
    pub given: String,
}

impl DropInName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DropInName {
    type Err = InvalidDropInName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'@');
        let valid = (6..=200).contains(&text.len())
            && text.ends_with(".conf")
            && text.bytes().all(plain)
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidDropInName { given: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for DropInName {
    type Error = InvalidDropInName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DropInName> for String {
    fn from(name: DropInName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Borrow<str> for DropInName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DropInName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(name: &str) -> String {
        name.parse::<UnitName>().map(|name| name.to_string()).unwrap_err().problem.to_owned()
    }

    #[test]
    fn a_unit_has_a_name_that_systemd_takes() {
        let longest = format!("{}.service", "x".repeat(253 - 8));
        for name in [
            "app.service",
            "a@b.service",
            "a@.timer",
            r"dev-disk\x2dby.swap",
            "a@b@c.path",
            "-.mount",
            &longest,
        ] {
            assert_eq!(name.parse::<UnitName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        let too_long = format!("x{longest}");
        for (name, remedy) in [
            ("", "must end with the unit's type"),
            ("app", "must end with the unit's type"),
            ("app.conf", "must end with .service, .socket"),
            (".service", "before its type"),
            ("@x.service", "before an @"),
            ("../app.service", "not its file"),
            ("/etc/systemd/system/app.service", "not its file"),
            ("a b.service", "systemd-escape"),
            ("ä.service", "systemd-escape"),
            ("a\0.service", "systemd-escape"),
            ("a\n.service", "systemd-escape"),
            ("--now.service --force", "systemd-escape"),
            ("dev-sda.device", "have no file"),
            ("run-1.scope", "have no file"),
            ("reboot.target", "end what the device does"),
            (&too_long, "longer than 253"),
        ] {
            assert!(problem(name).contains(remedy), "{name:?}: {}", problem(name));
        }
    }

    #[test]
    fn only_what_has_nothing_behind_its_at_sign_is_a_template() {
        for (name, template) in
            [("a@.service", true), ("a@b.service", false), ("a.service", false), ("a@b@.service", false)]
        {
            assert_eq!(name.parse::<UnitName>().unwrap().is_template(), template, "{name}");
        }
    }

    #[test]
    fn the_files_of_a_unit_are_told_from_others() {
        let owning = |path: &str| UnitName::owning(&path.parse().unwrap()).map(|unit| unit.to_string());
        let app = Some("app.service".to_owned());
        assert_eq!(owning("/etc/systemd/system/app.service"), app);
        assert_eq!(owning("/etc/systemd/system/app.service.d"), app);
        assert_eq!(owning("/etc/systemd/system/app.service.d/10-a.conf"), app);
        for path in [
            "/etc/systemd/system",
            "/etc/systemd/system/a.wants/b.service",
            "/usr/lib/systemd/system/app.service",
        ] {
            assert_eq!(owning(path), None, "{path}");
        }
    }

    #[test]
    fn a_drop_in_has_a_name_that_systemd_reads() {
        for name in ["a.conf", "10-limits.conf", "a@b:c_d.conf"] {
            assert!(name.parse::<DropInName>().is_ok(), "{name}");
        }
        for name in [
            "",
            ".conf",
            "a",
            "a.conf~",
            "a/b.conf",
            "../a.conf",
            ".a.conf",
            "-a.conf",
            "a b.conf",
            "a\0.conf",
        ] {
            assert!(name.parse::<DropInName>().is_err(), "{name:?}");
        }
    }
}
