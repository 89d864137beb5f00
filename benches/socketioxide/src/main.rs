//! The same service on socketioxide: `broadcast` is answered by `news` to everybody.

use axum::serve::{Listener, ListenerExt};
use serde_json::Value;
use socketioxide::extract::{Data, SocketRef};
use socketioxide::SocketIo;
use tokio::net::TcpListener;

/// One thread: the benchmark gives a server one core.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("echo", async |socket: SocketRef, Data(data): Data<Value>| {
            socket.emit("echo", &data).ok();
        });
        socket.on("broadcast", async |io: SocketIo, Data(data): Data<Value>| {
            io.emit("news", &data).await.ok();
        });
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?.tap_io(|stream| {
        stream.set_nodelay(true).ok(); // without it some broadcasts wait 40 ms for the client's acknowledgement
    });
    println!("Listening at: http://{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().layer(layer)).await
}
