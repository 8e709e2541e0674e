//! The way to the runtime's socket: one connection for each question, of which no more is read than the agent can bear.
//!
//! bollard keeps an answer, and each line of a stream, as a whole before it reads it. Whatever answers at the socket is not
//! to fill the device's memory with that.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bollard::{BollardRequest, errors::Error};
use hyper::{
    Response,
    body::Incoming,
    client::conn::http1,
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
};

/// What requests are addressed to; a socket has no name.
pub(super) const ADDRESS: &str = "http://runtime";
const HOST_NAME: HeaderValue = HeaderValue::from_static("runtime");
/// Most that is read of an answer, in bytes: a list of some 5,000 containers.
const LONGEST_ANSWER: usize = 16 << 20;
/// Most that is read of a stream of news, of which one line at a time is kept: hours of what docker tells of a pull. A
/// stream of events that has brought as much ends with an error and is opened again.
const MOST_NEWS: usize = 64 << 20;
/// What is answered with a stream of news, without the version that stands before it.
const NEWS: [&str; 2] = ["/events", "/images/create"];

/// Asks what listens at that socket.
pub(super) async fn ask(socket: PathBuf, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let is_news = NEWS.iter().any(|news| request.uri().path().ends_with(news));
    let most = if is_news { MOST_NEWS } else { LONGEST_ANSWER };
    let stream = Bounded { stream: UnixStream::connect(&socket).await?, most, left: most };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer, or when nobody waits for it any more. What goes wrong with it is told with the answer.
    tokio::spawn(connection.with_upgrades());
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = path.clone().into();
    }
    request.headers_mut().insert(HOST, HOST_NAME);
    Ok(sender.send_request(request).await?)
}

/// A stream of which so much can be read.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    most: usize,
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        match self.left.checked_sub(buffer.filled().len() - before) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Ok(()))
            }
            None => {
                // An error means that nothing was read.
                buffer.set_filled(before);
                Poll::Ready(Err(io::Error::other(format!("it says more than {} MiB", self.most >> 20))))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn as_much_is_read_as_may_be_and_not_a_byte_more() {
        let read = async |left| {
            let mut text = Vec::new();
            Bounded { stream: &b"0123456789"[..], most: left, left }
                .read_to_end(&mut text)
                .await
                .map(|_| text)
        };
        assert_eq!(read(10).await.unwrap(), b"0123456789");
        assert!(read(9).await.unwrap_err().to_string().contains("more than"));
    }
}
