//! `hangup-load`: many WebSocket clients from one thread, for benchmarks.
//!
//! # Promised
//! Every figure is counted at the client: a client is connected when the server has said so in its own protocol, and an
//! echo has happened when its answer was read. One line of JSON on standard output. A client that fails is counted,
//! and the exit code is 1 then.
//!
//! # How
//! One task per client on one thread. First all clients connect, `--connecting` at a time; then each of them sends an
//! event, waits for its answer, and sends the next, for `--seconds`.
//!
//! # Not promised
//! Loopback only. One core is enough for about 100,000 echoes/s; a server that is faster is measured as that.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command's output

mod client;
mod load;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// What is spoken on the WebSocket.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Speaks {
    /// Engine.IO 4 and Socket.IO 5: the event `echo`, answered by an event `echo`.
    SocketIo,
    /// Text messages, echoed.
    Plain,
}

/// What is loaded, and how.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The server's address, on loopback.
    address: SocketAddr,
    /// The WebSocket's path.
    #[arg(long, default_value = "/socket.io/?EIO=4&transport=websocket")]
    path: String,
    /// What is spoken on the WebSocket.
    #[arg(long, value_enum, default_value = "socket-io")]
    speaks: Speaks,
    /// How many clients.
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// How many of them may be connecting at a time.
    #[arg(long, default_value_t = 32)]
    connecting: usize,
    /// For how long they echo.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Bytes of the text in each event.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Seconds after which a client that hears nothing has failed.
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.address.ip().is_loopback() {
        eprintln!("hangup-load: {} is not a loopback address", arguments.address);
        return ExitCode::from(2);
    }
    let (Ok(seconds), Ok(patience)) =
        (Duration::try_from_secs_f64(arguments.seconds), Duration::try_from_secs_f64(arguments.patience))
    else {
        eprintln!("hangup-load: --seconds and --patience take seconds");
        return ExitCode::from(2);
    };
    let target = client::Target {
        address: arguments.address,
        url: format!("ws://{}{}", arguments.address, arguments.path),
        speaks: arguments.speaks,
        patience,
    };
    let plan = load::Plan {
        clients: arguments.clients,
        connecting: arguments.connecting,
        seconds,
        payload: arguments.payload,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("hangup-load: {error}");
            return ExitCode::FAILURE;
        }
    };
    let report = runtime.block_on(load::run(target, &plan));
    println!("{}", report.to_json());
    ExitCode::from(u8::from(report.failed() > 0))
}
