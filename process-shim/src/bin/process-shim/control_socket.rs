//! The socket on which a program is told what to do: its standard input.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use serde::{Serialize, de::DeserializeOwned};

/// Longest message, in bytes: more than a command and its environment can have.
const MAX_MESSAGE: u64 = 4 << 20;

/// Takes the standard input for the socket that it is and puts `/dev/null` in its place, so that
/// nothing that is started inherits it.
pub(crate) fn take_stdin() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

/// The one message that the other side has; it closes its half behind it.
pub(crate) fn receive<T: DeserializeOwned>(socket: &mut UnixStream) -> io::Result<T> {
    let mut message = Vec::new();
    socket.take(MAX_MESSAGE).read_to_end(&mut message)?;
    Ok(serde_json::from_slice(&message)?)
}

/// Sends one message and nothing after it.
pub(crate) fn send<T: Serialize>(socket: &mut UnixStream, message: &T) -> io::Result<()> {
    socket.write_all(&serde_json::to_vec(message)?)?;
    socket.shutdown(std::net::Shutdown::Write)
}
