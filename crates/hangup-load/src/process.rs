//! What a process has used, from proc(5).

use std::fs::read_to_string;
use std::io::{Error, ErrorKind, Result};

/// Ticks of `utime` and `stime` in a second: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

/// Seconds on a CPU, to a hundredth, with those of threads that have ended. `pid` may be `self`.
pub(crate) fn cpu_seconds(pid: &str) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Option<f64> = fields.skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum();
    ticks.map(|ticks| ticks / TICKS).ok_or_else(|| malformed("stat"))
}

/// Bytes of memory that are resident.
pub(crate) fn resident(pid: &str) -> Result<u64> {
    let statm = read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE).ok_or_else(|| malformed("statm"))
}

fn malformed(name: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{name} is not as proc(5) says"))
}
