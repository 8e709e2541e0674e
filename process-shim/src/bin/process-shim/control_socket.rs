//! The socket on which a program is told what to do: its standard input.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::process::Pid;
use serde::Serialize;

/// Longest message, in bytes: more than a command and its environment can have.
const MAX_MESSAGE: u64 = 4 << 20;

/// Takes the standard input for the socket that it is and puts `/dev/null` in its place, so that
/// nothing that is started inherits it.
pub(crate) fn take_stdin() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

/// Who has made the socket, and so is the one that started this program. Still known when it has ended,
/// and somebody else is the parent.
pub(crate) fn maker(socket: &UnixStream) -> io::Result<Pid> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.pid)
}

/// All that comes until the other side closes its half.
pub(crate) fn receive(socket: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    socket.take(MAX_MESSAGE).read_to_end(&mut message)?;
    Ok(message)
}

/// Sends one message and nothing after it.
pub(crate) fn send<T: Serialize>(socket: &mut UnixStream, message: &T) -> io::Result<()> {
    socket.write_all(&serde_json::to_vec(message)?)?;
    socket.shutdown(std::net::Shutdown::Write)
}
