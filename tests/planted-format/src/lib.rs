//! A manifest format whose documents are a single text: `kind: Banner`, `spec: Welcome`.

#![allow(clippy::expect_used, reason = "names and paths that are written out here are well-formed")]

use std::sync::Arc;

use agent_model::{
    Declaration, DesiredStateBuilder, FileSpec, Invalid, Lowered, ManifestFormat, Mode, ResourceSpec,
    SpecDocument,
};
use semver::Version;

/// A text, which becomes the file `/etc/banner`.
pub struct Banner;

impl ManifestFormat for Banner {
    fn kind(&self) -> &'static str {
        "Banner"
    }

    fn schema_versions(&self) -> Vec<Version> {
        vec![Version::new(1, 0, 0)]
    }

    fn lower(&self, document: &SpecDocument<'_>) -> Result<Lowered, Invalid> {
        let text = document.spec.as_str().ok_or_else(|| Invalid::at("/spec", "expected a text"))?;
        let path = "/etc/banner".parse().expect("a path");
        let content = text.as_bytes().to_vec().into();
        let file = FileSpec { path, content, mode: Mode::default(), owner: None, group: None };
        let mut builder = DesiredStateBuilder::default();
        builder.declare(Declaration {
            pointer: "/spec".to_owned(),
            claim_pointer: "/spec".to_owned(),
            name: "banner".parse().expect("a name"),
            depends_on: Vec::new(),
            restart_on: Vec::new(),
            spec: Some(ResourceSpec::File(Arc::new(file))),
        });
        Ok(Lowered { state: builder.finish()?, ..Lowered::default() })
    }
}
