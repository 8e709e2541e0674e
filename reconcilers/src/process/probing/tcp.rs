//! A probe that connects.

use std::net::Ipv4Addr;

use tokio::net::TcpStream;

/// Connects to the loopback address.
pub(super) async fn connect(port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| format!("port {port}: {error}"))
}
