//! The spec of a `File` as documents of every format write it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Content, FileSpec, Mode, Principal};
use crate::{
    MaybeSealed, Problem, pointer_to,
    reader::{Field, Findings, ObjectReader, decoded_base64},
};

impl FileSpec {
    /// Reads the spec; `None` when something is wrong with it, which `findings` then holds.
    pub fn read(spec: Field<'_>, findings: &mut Findings) -> Option<Self> {
        spec.object(findings, |fields| {
            let path = fields.required("path", Field::parsed);
            // A path whose content cannot be read is claimed nevertheless, so that a conflict about
            // it is reported in the same go. The empty content goes no further: its problem is noted.
            let content = content(fields).unwrap_or_else(|| "".into());
            let mode = fields.optional("mode", Mode::read).unwrap_or(Mode::default_for(&content));
            let owner = fields.optional("owner", Principal::read);
            let group = fields.optional("group", Principal::read);
            if let Some(message) = open_to_others(&content, mode) {
                fields.findings.problem(pointer_to(&fields.pointer, "mode"), message);
            }
            Some(Self { path: path?, content, mode, owner, group })
        })
    }

    /// What is wrong with the spec, which was made by a program and may hold what no document can; pointers
    /// lead from the spec.
    pub fn problems(&self) -> Vec<Problem> {
        let problem = |message| Problem { pointer: "/mode".to_owned(), message };
        open_to_others(&self.content, self.mode).map(problem).into_iter().collect()
    }
}

/// A sealed content is for the file's owner alone: whoever lets others read it has made a mistake.
fn open_to_others(content: &MaybeSealed<Content>, mode: Mode) -> Option<String> {
    (content.sealed().is_some() && mode.is_open_to_others()).then(|| {
        format!(
            "{mode} would let others than its owner at what is sealed; leave the mode out (0600), or name another owner"
        )
    })
}

/// Writes what [`FileSpec::read`] reads: defaults are left out, and the content has the shorter of
/// its two forms.
impl Serialize for FileSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { path, content, mode, owner, group } = self;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("path", path)?;
        match content {
            MaybeSealed::Sealed(sealed) => fields.serialize_entry("content", &sealed.written())?,
            MaybeSealed::Plain(content) => match as_text(content.bytes()) {
                Some(text) => fields.serialize_entry("content", text)?,
                None => fields.serialize_entry("contentBase64", &STANDARD.encode(content.bytes()))?,
            },
        }
        if *mode != Mode::default_for(content) {
            fields.serialize_entry("mode", mode)?;
        }
        if let Some(owner) = owner {
            fields.serialize_entry("owner", owner)?;
        }
        if let Some(group) = group {
            fields.serialize_entry("group", group)?;
        }
        fields.end()
    }
}

/// The bytes as text, unless they are none or JSON's escapes would make that longer than base64.
fn as_text(bytes: &[u8]) -> Option<&str> {
    const ESCAPED_LEN: usize = r"\u0000".len();
    let text = std::str::from_utf8(bytes).ok()?;
    let is_escaped = |byte: &&u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    let escapes = bytes.iter().filter(is_escaped).count();
    (escapes * (ESCAPED_LEN - 1) <= bytes.len() / 3).then_some(text)
}

impl Mode {
    /// Reads a mode.
    pub fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        if field.value.is_number() {
            let message = "expected a string, found a number: put the mode in quotes, for example \"0644\"";
            findings.problem(field.pointer, message);
            return None;
        }
        field.parsed(findings)
    }
}

impl Principal {
    /// Reads a user or a group: a name, or a number with or without quotes.
    pub fn read(field: Field<'_>, findings: &mut Findings) -> Option<Self> {
        match field.value {
            Value::String(name) => field.parse(name, findings),
            Value::Number(id) if id.is_u64() => field.parse(&id.to_string(), findings),
            _ => field.mistyped("a name or a non-negative integer", findings),
        }
    }
}

impl Principal {
    /// What [`Principal::read`] reads, as a value.
    pub(crate) fn written(&self) -> Value {
        match self {
            Self::Id(id) => (*id).into(),
            Self::Name(name) => name.as_str().into(),
        }
    }
}

/// Writes what [`Principal::read`] reads.
impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

fn content(fields: &mut ObjectReader<'_, '_>) -> Option<MaybeSealed<Content>> {
    let (plain, base64) = (fields.take("content"), fields.take("contentBase64"));
    match (&plain, &base64) {
        (None, None) => {
            fields.findings.problem(&fields.pointer, "one of \"content\" and \"contentBase64\" is missing");
        }
        (Some(_), Some(_)) => {
            let message = "\"content\" and \"contentBase64\" exclude each other: keep one of them";
            fields.findings.problem(&fields.pointer, message);
        }
        _ => {}
    }
    let text = |field: Field<'_>, findings: &mut Findings| field.text(findings).map(Content::from);
    let plain = plain.and_then(|field| field.maybe_sealed(fields.findings, text));
    let base64 = base64.and_then(|field| decoded(&field, fields.findings));
    plain.or(base64.map(Into::into))
}

fn decoded(field: &Field<'_>, findings: &mut Findings) -> Option<Vec<u8>> {
    let text = field.unsealed(findings)?;
    decoded_base64(field, text, findings)
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*};
    use serde_json::json;

    use super::*;
    use crate::UnknownKeys;

    fn read(value: &Value) -> (Option<FileSpec>, Vec<String>) {
        let mut findings = Findings::new(UnknownKeys::AreProblems);
        let spec = FileSpec::read(Field { value, pointer: "/spec".to_owned() }, &mut findings);
        (spec, findings.into_parts().0.iter().map(ToString::to_string).collect())
    }

    fn principal() -> impl Strategy<Value = Option<Principal>> {
        option::of(prop_oneof![
            (0..u32::MAX).prop_map(Principal::Id),
            "[a-z_][a-z0-9_-]{0,30}".prop_map(Principal::Name)
        ])
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            path in "(/[a-zä .]{1,8}[a-z]){1,3}",
            content in prop_oneof![collection::vec(any::<u8>(), 0..64), ".{0,64}".prop_map(String::into_bytes)],
            mode in 0..=0o7777_u32,
            owner in principal(),
            group in principal(),
        ) {
            let path = path.parse().unwrap();
            let spec = FileSpec { path, content: content.into(), mode: Mode::from_bits(mode), owner, group };
            let (read, problems) = read(&json!(spec));
            prop_assert_eq!(problems, Vec::<String>::new());
            prop_assert_eq!(read, Some(spec));
        }
    }

    #[test]
    fn content_is_written_in_its_shorter_form() {
        let written = |content: &[u8]| json!(FileSpec::new("/a".parse().unwrap(), content.to_vec()));
        assert_eq!(written(b"a\n"), json!({"path": "/a", "content": "a\n"}));
        assert_eq!(written(b"\xff"), json!({"path": "/a", "contentBase64": "/w=="}));
        assert_eq!(written(&[1; 3]), json!({"path": "/a", "contentBase64": "AQEB"}));
        assert_eq!(written(b""), json!({"path": "/a", "content": ""}));
    }
}
