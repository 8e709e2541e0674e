//! The socket on which a program is told what to do: its standard input.

use std::{
    fs::File,
    io::{self, Read, Seek as _, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::{fs::MemfdFlags, process::Pid};
use serde::Serialize;

/// Longest message, in bytes: more than a command and its environment can have.
const MAX_MESSAGE: u64 = 4 << 20;

/// Takes the standard input for the socket that it is and puts `/dev/null` in its place, so that
/// nothing that is started inherits it.
pub(crate) fn take_stdin() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Puts a message in the place of the standard input, for the program that this one becomes. It is in memory only.
pub(crate) fn put_on_stdin(message: &impl Serialize) -> io::Result<()> {
    let mut file = File::from(rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(message)?)?;
    file.rewind()?;
    Ok(rustix::stdio::dup2_stdin(file)?)
}

/// Reads the standard input to its end and puts `/dev/null` in its place.
pub(crate) fn read_stdin() -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    io::stdin().take(MAX_MESSAGE).read_to_end(&mut message)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(message)
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
