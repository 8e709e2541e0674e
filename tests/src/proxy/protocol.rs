//! The messages of NATS's client protocol, as far as it takes to tell one from the next.

use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line that announces a message. A server's `INFO` grows with its cluster.
const MAX_LINE: usize = 64 * 1024;
/// Largest body of a message; a server's own default is 1 MiB.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// What is spoken on a cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// NATS's client protocol, message by message.
    Client,
    /// Whatever it is, nobody looks into it: what servers say to each other.
    Unknown,
}

impl Language {
    /// Takes the first message off the bytes that came so far; `None` while it is not complete.
    ///
    /// # Errors
    /// When this is not spoken here.
    pub(super) fn take(self, from: &mut BytesMut) -> Result<Option<Message>, NotTheProtocol> {
        match self {
            Self::Client => take(from),
            Self::Unknown if from.is_empty() => Ok(None),
            Self::Unknown => {
                Ok(Some(Message { bytes: from.split().freeze(), letter: None, content: Bytes::new() }))
            }
        }
    }
}

/// One message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// All of it, as it came.
    pub(super) bytes: Bytes,
    /// What it carries from a client to others or from others to a client; `None` for whatever client
    /// and server have to say to each other.
    pub(super) letter: Option<Letter>,
    /// What the letter says, without its headers; nothing where there is no letter.
    pub(super) content: Bytes,
}

/// What is on the envelope of a `PUB`, `HPUB`, `MSG` or `HMSG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: String,
    /// Where an answer is expected.
    pub(super) reply: Option<String>,
}

/// Why bytes are no messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotTheProtocol(String);

/// Takes the first message off the bytes that came so far; `None` while it is not complete.
///
/// # Errors
/// When no message begins like this: what comes after it cannot be told apart either.
fn take(from: &mut BytesMut) -> Result<Option<Message>, NotTheProtocol> {
    let Some(end) = from.windows(2).position(|pair| pair == b"\r\n") else {
        let length = from.len();
        return if length <= MAX_LINE {
            Ok(None)
        } else {
            Err(NotTheProtocol(format!("a line of {length}")))
        };
    };
    let line = std::str::from_utf8(&from[..end]).map_err(|error| NotTheProtocol(error.to_string()))?;
    let Some((letter, body)) = envelope(line)? else {
        let bytes = from.copy_to_bytes(end + 2);
        return Ok(Some(Message { bytes, letter: None, content: Bytes::new() }));
    };
    // A body has its own end of line.
    let body_ends = end + 2 + body.length;
    if from.len() < body_ends + 2 {
        return Ok(None);
    }
    if !from[body_ends..].starts_with(b"\r\n") {
        return Err(NotTheProtocol(format!("a body that does not end where {line:?} says")));
    }
    let bytes = from.copy_to_bytes(body_ends + 2);
    let content = bytes.slice(body_ends - body.length + body.headers..body_ends);
    Ok(Some(Message { bytes, letter: Some(letter), content }))
}

/// How long the parts of a letter are.
#[derive(Debug, Clone, Copy)]
struct Body {
    /// All of it, headers included.
    length: usize,
    headers: usize,
}

/// What a line announces: a letter and its body, if it does.
fn envelope(line: &str) -> Result<Option<(Letter, Body)>, NotTheProtocol> {
    let strange = || NotTheProtocol(line.to_owned());
    let mut words = line.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default().to_ascii_uppercase();
    let words: Vec<&str> = words.collect();
    // Words before the optional reply, and numbers after it, the last of which is the length.
    let (before, numbers) = match verb.as_str() {
        "PUB" => (1, 1),
        "HPUB" => (1, 2),
        "MSG" => (2, 1),
        "HMSG" => (2, 2),
        "INFO" | "CONNECT" | "SUB" | "UNSUB" | "PING" | "PONG" | "+OK" | "-ERR" => return Ok(None),
        _ => return Err(strange()),
    };
    let reply = match words.len().checked_sub(before + numbers) {
        Some(0) => None,
        Some(1) => Some(words[before].to_owned()),
        _ => return Err(strange()),
    };
    let number = |word: &&str| word.parse().ok().filter(|length: &usize| *length <= MAX_BODY);
    let length = words.last().and_then(number).ok_or_else(strange)?;
    let headers = match numbers {
        2 => number(&words[words.len() - 2]).filter(|headers| *headers <= length).ok_or_else(strange)?,
        _ => 0,
    };
    let letter = Letter { subject: words[0].to_owned(), reply };
    Ok(Some((letter, Body { length, headers })))
}

/// Whether a pattern of NATS, with `*` for a token and `>` for all that are left, covers a subject.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for token in pattern.split('.') {
        match (token, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, found) if found == Some(token) => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Message> {
        let mut from = BytesMut::from(bytes);
        let mut messages = Vec::new();
        while let Some(message) = take(&mut from).unwrap() {
            messages.push(message);
        }
        assert!(from.is_empty(), "{from:?} is left");
        messages
    }

    #[test]
    fn messages_are_told_apart_wherever_the_bytes_are_cut_and_pass_unaltered() {
        let stream =
            b"INFO {\"a\":1}\r\nCONNECT {}\r\nping\r\nPONG\r\n+OK\r\n-ERR 'no'\r\nSUB a.> 1\r\nUNSUB 1 2\r\n\
            PUB a 0\r\n\r\nPUB a.b  r.1 5\r\n1\r\n23\r\nHPUB c 12 14\r\nNATS/1.0\r\n\r\nxy\r\n\
            MSG a 1 2\r\n\r\n\r\nHMSG d 7 r 12 12\r\nNATS/1.0\r\n\r\n\r\n";
        let messages = all(stream);
        let bytes: Vec<u8> = messages.iter().flat_map(|message| message.bytes.clone()).collect();
        assert_eq!(bytes, stream);
        let letter = |subject: &str, reply: Option<&str>| {
            Some(Letter { subject: subject.to_owned(), reply: reply.map(str::to_owned) })
        };
        let contents: Vec<_> = messages.iter().map(|message| message.content.clone()).collect();
        assert_eq!(contents[..8], [const { Bytes::new() }; 8]);
        assert_eq!(contents[8..], ["", "1\r\n23", "xy", "\r\n", ""]);
        let letters: Vec<_> = messages.into_iter().map(|message| message.letter).collect();
        assert_eq!(letters[..8], [const { None }; 8]);
        assert_eq!(
            letters[8..],
            [
                letter("a", None),
                letter("a.b", Some("r.1")),
                letter("c", None),
                letter("a", None),
                letter("d", Some("r")),
            ]
        );
        for cut in 0..stream.len() {
            let mut from = BytesMut::from(&stream[..cut]);
            let mut found = Vec::new();
            for rest in [&[][..], &stream[cut..]] {
                from.extend_from_slice(rest);
                while let Some(message) = take(&mut from).unwrap() {
                    found.extend_from_slice(&message.bytes);
                }
            }
            assert_eq!(found, stream, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let long = "x".repeat(MAX_LINE + 1);
        for bytes in [
            "GET / HTTP/1.1\r\n",
            "PUB a\r\n",
            "PUB a b c 1\r\n",
            "PUB a -1\r\n",
            "PUB a 1\r\nabc",
            "HPUB a 13 12\r\n",
            "HPUB a b 12\r\n",
            "\r\n",
            &long,
        ] {
            assert!(take(&mut BytesMut::from(bytes)).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn patterns_cover_as_in_nats() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
            ("a.*", "a.b", true),
            ("*.b", "a.b", true),
            ("a.*", "a", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("$KV.actual-state.*", "$KV.actual-state.edge", true),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
