//! `hangup-load`: many WebSocket clients from one thread, for benchmarks.
//!
//! By itself it measures connects and echoes, `fanout` broadcasts, and `peer` is the least server that broadcasts.
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
mod connection;
mod fanout;
mod load;
mod peer;
mod sequence;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use crate::client::Target;

/// What is spoken on the WebSocket.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Speaks {
    /// Engine.IO 4 and Socket.IO 5: the event `echo`, answered by an event `echo`.
    SocketIo,
    /// Text messages, echoed.
    Plain,
}

/// What is done; echoes by default.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    #[command(flatten)]
    echo: Option<Echo>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Broadcasts to clients that read.
    Fanout(fanout::Arguments),
    /// Serves broadcasts by one send(2) for each recipient.
    Peer(peer::Arguments),
}

/// What is loaded, and how.
#[derive(Args, Debug)]
struct Echo {
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
    let done = match (arguments.mode, arguments.echo) {
        (Some(Mode::Fanout(arguments)), _) => {
            target(arguments.address, &arguments.path, Speaks::SocketIo, arguments.patience)
                .and_then(|target| fanout::run(&target, &arguments).map_err(|failure| failure.to_string()))
        }
        (Some(Mode::Peer(arguments)), _) => {
            peer::run(&arguments).map(|()| (Value::Null, 0)).map_err(|error| error.to_string())
        }
        (None, Some(arguments)) => echo(&arguments),
        (None, None) => unreachable!("clap asks for an address or a mode"),
    };
    match done {
        Ok((report, failed)) => {
            println!("{report}");
            ExitCode::from(u8::from(failed > 0))
        }
        Err(problem) => {
            eprintln!("hangup-load: {problem}");
            ExitCode::from(2)
        }
    }
}

fn echo(arguments: &Echo) -> Result<(Value, u64), String> {
    let target = target(arguments.address, &arguments.path, arguments.speaks, arguments.patience)?;
    let plan = load::Plan {
        clients: arguments.clients,
        connecting: arguments.connecting,
        seconds: duration(arguments.seconds)?,
        payload: arguments.payload,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.map_err(|error| error.to_string())?.block_on(load::run(target, &plan));
    Ok((report.to_json(), report.failed() as u64))
}

fn target(address: SocketAddr, path: &str, speaks: Speaks, patience: f64) -> Result<Target, String> {
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not a loopback address"));
    }
    let patience = duration(patience)?;
    Ok(Target { address, url: format!("ws://{address}{path}"), speaks, patience })
}

fn duration(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
