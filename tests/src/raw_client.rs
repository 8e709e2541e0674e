//! A client that sends what no library would: headers that are none.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::nats_server::NatsServer;

/// A connection to a server, as nobody in particular.
#[derive(Debug)]
pub struct RawClient {
    link: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects.
    pub async fn connect(server: &NatsServer) -> Self {
        let link = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let mut client = Self { link: BufReader::new(link) };
        client.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n").await;
        client
    }

    /// Publishes with these bytes for headers, and waits until the server has taken it.
    pub async fn publish(&mut self, subject: &[u8], headers: &[u8], payload: &[u8]) {
        let sizes = format!(" {} {}\r\n", headers.len(), headers.len() + payload.len());
        self.send(&[b"HPUB ", subject, sizes.as_bytes(), headers, payload, b"\r\n"].concat()).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).await.unwrap();
        self.link.write_all(b"PING\r\n").await.unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.link.read_line(&mut line).await.unwrap(), 0, "the server hung up");
            assert!(!line.starts_with("-ERR"), "{line}");
            if line == "PONG\r\n" {
                return;
            }
        }
    }
}
