//! The Score `Motd`: what a device says to whoever logs in.

use agent_model::{
    FileSpec, InvalidTargetPath,
    reader::{Field, Findings},
};
use agent_score_bridge::{Child, File, Files, Interpret, InterpretError, Score, WireForm};
use semver::Version;
use serde::Serialize;

/// What a device says before and after somebody logs in: its name, where it is and whom to call.
#[derive(Debug, Serialize)]
pub struct Motd {
    /// Where the device is.
    pub site: String,
    /// Whom to call.
    pub contact: String,
}

impl WireForm for Motd {
    const NAME: &'static str = "Motd";
    const VERSION: Version = Version::new(0, 1, 0);

    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
        body.object(findings, |fields| {
            let site = fields.required("site", line);
            let contact = fields.required("contact", line);
            Some(Self { site: site?, contact: contact? })
        })
    }
}

fn line(field: Field<'_>, findings: &mut Findings) -> Option<String> {
    let text = field.text(findings)?;
    let fits = text.len() <= 60 && !text.contains(char::is_control);
    if !fits {
        findings.problem(field.pointer, "expected one line of at most 60 bytes");
    }
    fits.then(|| text.to_owned())
}

impl<T: Files> Score<T> for Motd {
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
        Box::new(self)
    }
}

impl<T: Files> Interpret<T> for &Motd {
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
        let Motd { site, contact } = self;
        let no_hostname = || InterpretError::invalid("", "this device does not know its hostname");
        let hostname = topology.facts().get("hostname").ok_or_else(no_hostname)?;
        let text = format!("{hostname} at {site}; call {contact}\n");
        for (name, path) in [("before", "/etc/issue"), ("after", "/etc/motd")] {
            let path = path.parse().map_err(|error: InvalidTargetPath| InterpretError::invalid("", error))?;
            let file = File(FileSpec::new(path, text.as_str()));
            topology.interpret(&Child { name, ..Child::default() }, &file)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agent_model::{
        DeviceFacts, Invalid, Lowered, ManifestFormat, ResourceKind, SpecDocument, UnknownKeys,
    };
    use agent_score_bridge::{ScoreBridge, ScoreRegistry};
    use serde_json::{Value, json};

    use super::*;

    fn lower(with: Value) -> Result<Lowered, Invalid> {
        let bridge = ScoreBridge::new(ScoreRegistry::none().with::<Motd>(), [ResourceKind::File]);
        let spec = json!({"scores": [{"score": "Motd", "version": "0.1.0", "name": "motd", "with": with}]});
        let facts = DeviceFacts::from([("hostname".to_owned(), "gw-7".to_owned())]);
        let (schema_version, unknown_keys) = (&Version::new(0, 1, 0), UnknownKeys::AreProblems);
        bridge.lower(&SpecDocument { spec: &spec, schema_version, unknown_keys, facts: &facts })
    }

    #[test]
    fn the_banner_stands_in_a_file_for_before_and_one_for_after_the_login() {
        let lowered = lower(json!({"site": "Basel", "contact": "ops@example.com"})).unwrap();
        let names: Vec<&str> = lowered.state.resources().iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["motd-before", "motd-after"]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_with_its_place() {
        let invalid = lower(json!({"site": "two\nlines", "phone": "1"})).unwrap_err().to_string();
        for place in ["/spec/scores/0/with/site: expected", "\"contact\" is missing", "/with/phone:"] {
            assert!(invalid.contains(place), "{place} is not in {invalid}");
        }
    }
}
