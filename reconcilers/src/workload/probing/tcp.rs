//! A probe that connects.

use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Connects; `port` is what the declaration calls the address.
pub(super) async fn connect(address: SocketAddr, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| format!("port {port}: {error}"))
}
