//! Reads the spec of a `File`.

use agent_model::{FileSpec, Mode, Principal, TargetPath};
use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::reader::{Field, Findings, ObjectReader};

pub(super) fn read(spec: Field<'_>, findings: &mut Findings) -> Option<FileSpec> {
    spec.object(findings, |fields| {
        let path = fields.required("path", path);
        // A path whose content cannot be read is claimed nevertheless, so that a conflict about it
        // is reported in the same go. The empty content goes no further: its problem is noted.
        let content = content(fields).unwrap_or_default().into();
        let mode = fields.optional("mode", mode).unwrap_or_default();
        let owner = fields.optional("owner", principal);
        let group = fields.optional("group", principal);
        Some(FileSpec { path: path?, content, mode, owner, group })
    })
}

fn path(field: Field<'_>, findings: &mut Findings) -> Option<TargetPath> {
    let pointer = field.pointer.clone();
    let path: TargetPath = field.parsed(findings)?;
    if path.is_reserved() {
        let message = "names of the form .harmony-<16 hex digits>.tmp are the agent's own, for files that it is about to \
                       put in place; choose another name";
        findings.problem(pointer, message);
        return None;
    }
    Some(path)
}

fn content(fields: &mut ObjectReader<'_, '_>) -> Option<Vec<u8>> {
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
    let plain = plain.and_then(|field| text(&field, fields.findings)).map(|text| text.as_bytes().to_vec());
    let base64 = base64.and_then(|field| decoded(&field, fields.findings));
    plain.or(base64)
}

fn text<'v>(field: &Field<'v>, findings: &mut Findings) -> Option<&'v str> {
    if field.value.get("sealed").is_some() {
        findings.problem(&field.pointer, "sealed values are not supported by this agent; give a string");
        return None;
    }
    field.text(findings)
}

fn decoded(field: &Field<'_>, findings: &mut Findings) -> Option<Vec<u8>> {
    let text = text(field, findings)?;
    let problem = match STANDARD.decode(text) {
        Ok(bytes) => return Some(bytes),
        Err(DecodeError::InvalidByte(at, b'=')) => format!("= at offset {at} is not at the end"),
        Err(DecodeError::InvalidByte(at, _)) => {
            let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
            format!("{character:?} at offset {at} is none of A-Z a-z 0-9 + /")
        }
        Err(DecodeError::InvalidLength(length)) => {
            format!("{length} characters make no whole number of bytes; is it cut off?")
        }
        Err(DecodeError::InvalidLastSymbol(at, _)) => {
            format!("the last character, at offset {at}, has bits to spare; is it cut off?")
        }
        Err(DecodeError::InvalidPadding) => "it must be filled up with = to a multiple of four".to_owned(),
    };
    findings.problem(&field.pointer, format!("not standard base64: {problem}"));
    None
}

fn mode(field: Field<'_>, findings: &mut Findings) -> Option<Mode> {
    if field.value.is_number() {
        let message = "expected a string, found a number: put the mode in quotes, for example \"0644\"";
        findings.problem(field.pointer, message);
        return None;
    }
    field.parsed(findings)
}

fn principal(field: Field<'_>, findings: &mut Findings) -> Option<Principal> {
    match field.value {
        Value::String(name) => field.parse(name, findings),
        Value::Number(id) if id.is_u64() => field.parse(&id.to_string(), findings),
        _ => field.mistyped("a name or a non-negative integer", findings),
    }
}
