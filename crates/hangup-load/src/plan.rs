//! What is to be done, as it comes from the command line: JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A whole run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// Clients that behave.
    pub bench: Option<Bench>,
    /// Clients that do not.
    pub storm: Option<Storm>,
}

/// Where a server is, and how it is spoken to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Of its host, in the order in which they are tried.
    #[serde(default)]
    pub addresses: Vec<SocketAddr>,
    /// The Unix socket instead.
    pub unix: Option<PathBuf>,
    /// Why its host has no address.
    pub unresolved: Option<String>,
    /// The Host header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// More headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Of Socket.IO.
    #[serde(default)]
    pub transport: Transport,
    /// The version of Engine.IO: 4, or 3, with which Socket.IO 2 clients come.
    #[serde(default = "newest_engine_io")]
    pub engine_io: u8,
    /// Of Socket.IO.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// What a Socket.IO client sends when it connects to the namespace.
    pub auth: Option<Value>,
    /// Seconds for which anything is waited for.
    pub patience: f64,
}

impl Target {
    /// For which anything is waited for.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.patience)
    }
}

fn newest_engine_io() -> u8 {
    4
}

fn default_namespace() -> String {
    "/".to_owned()
}

/// What a server speaks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Requests and responses.
    Http,
    /// RFC 6455, and nothing on top of it.
    WebSocket,
    /// On Engine.IO.
    SocketIo,
}

/// What carries Engine.IO.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// From the first request on.
    #[default]
    WebSocket,
    /// HTTP requests, for good.
    Polling,
}

/// Clients that behave, stage after stage.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bench {
    /// What is said, with `{text}`, which is different each time, and `{id}`, a number.
    pub send: String,
    /// What an answer has in it.
    pub answer: String,
    /// Bytes of the text, at least.
    pub payload: usize,
    /// One after the other.
    pub stages: Vec<Stage>,
}

/// What so many clients do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// For the report.
    pub name: String,
    /// Of which sort it is.
    pub what: What,
    /// How many.
    pub clients: usize,
    /// How many of them at a time: of visits those that are there, else those that are connecting.
    pub at_once: usize,
    /// Messages of each visit.
    #[serde(default)]
    pub messages: u64,
    /// How long a crowd stays.
    #[serde(default)]
    pub seconds: f64,
    /// Seconds between a client's messages.
    #[serde(default)]
    pub interval: f64,
    /// Broadcasts that are under way at a time.
    #[serde(default)]
    pub window: usize,
}

/// Sorts of stages.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A client connects, sends its messages, and leaves.
    Visits,
    /// Clients connect, those of the stage before are among them, and send messages until it is over.
    Crowd,
    /// Clients connect and stay, and say no more than their protocol asks for.
    Hold,
    /// One client has its messages sent to all.
    Fanout,
}

/// Clients that do not behave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// What they do, and how many of them at a time.
    pub kinds: Vec<Share>,
    /// When they do it; empty: at each moment that there is for it.
    #[serde(default)]
    pub moments: Vec<Moment>,
    /// How many of those that leave come in a second, all together; 0: as many as can.
    pub rate: f64,
    /// How long it lasts.
    pub seconds: f64,
    /// Of what is left to chance.
    pub seed: u64,
    /// Seconds within which reconnecting clients come back; 0: all at the same moment.
    #[serde(default)]
    pub jitter: f64,
    /// Seconds between two waves of those that act together.
    pub wave: f64,
    /// Seconds between two bytes of a request that is sent byte by byte.
    pub drip: f64,
    /// Bytes of a body; with 0 requests are GETs.
    pub body: usize,
    /// Healthy clients beside it.
    pub probe: Option<Probe>,
}

/// How many clients are of a kind.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// What they do.
    pub kind: Kind,
    /// At a time.
    pub clients: usize,
}

/// What a client of a storm does.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Leaves by a reset.
    Rst,
    /// Leaves without a word.
    Fin,
    /// Says that it will send no more, and stays.
    Half,
    /// Says nothing more, and stays.
    Silent,
    /// Reads slowly.
    Slow,
    /// Sends its request byte by byte.
    Slowloris,
    /// Many do the same at the same moment: come, and leave by a reset.
    Burst,
    /// Many leave at the same moment, and come back.
    Reconnect,
}

/// At which place of the exchange.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Connected, and nothing sent.
    BeforeRequest,
    /// Within the first line or the headers.
    InHead,
    /// Within the body of a POST.
    InBody,
    /// The request is sent, and nothing of its answer read.
    BeforeResponse,
    /// Some of it is read.
    DuringResponse,
    /// The WebSocket is open, and the Socket.IO session on it.
    AfterUpgrade,
    /// Within a frame.
    MidFrame,
    /// The Socket.IO session is open, and a long poll is waiting.
    DuringPolling,
}

/// Healthy clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What they visit.
    pub target: Target,
    /// Seconds between two visits.
    pub every: f64,
    /// Seconds of visits before the storm.
    pub before: f64,
    /// And after it.
    pub after: f64,
}
