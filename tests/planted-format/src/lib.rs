//! A manifest format whose documents are a single text: `kind: Banner`, `spec: Welcome`.

#![allow(clippy::expect_used, reason = "names and paths that are written out here are well-formed")]

use agent_model::{
    Declaration, DesiredStateBuilder, FileSpec, Invalid, Lowered, ManifestFormat, SpecDocument,
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
        let file = FileSpec::new("/etc/banner".parse().expect("a path"), text);
        let mut builder = DesiredStateBuilder::default();
        builder.declare(Declaration::new("/spec", "banner".parse().expect("a name"), file));
        Ok(Lowered { state: builder.finish()?, ..Lowered::default() })
    }
}
