//! What a process has used, from proc(5).

use std::fs::read_to_string;
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

/// Ticks of `utime` and `stime` in a second: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// Seconds on a CPU, to a hundredth, with those of threads that have ended. `pid` may be `self`.
pub fn cpu_seconds(pid: &str) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: Option<f64> = fields.skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum();
    ticks.map(|ticks| ticks / TICKS).ok_or_else(|| malformed("stat"))
}

/// Bytes of memory that are resident.
pub fn resident(pid: &str) -> Result<u64> {
    let statm = read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.map(|pages| pages * PAGE).ok_or_else(|| malformed("statm"))
}

/// The server and what it has used since, if its process is known.
#[derive(Debug)]
pub struct Watched {
    pid: Option<String>,
    cpu_seconds: f64,
    resident: u64,
    most_resident: u64,
    sampled: Instant,
}

impl Watched {
    /// From now on. Without `pid` nothing is watched.
    pub fn new(pid: Option<u32>) -> Result<Self> {
        let pid = pid.map(|pid| pid.to_string());
        let (cpu_seconds, resident) = match &pid {
            Some(pid) => (cpu_seconds(pid)?, resident(pid)?),
            None => (0.0, 0),
        };
        Ok(Self { pid, cpu_seconds, resident, most_resident: resident, sampled: Instant::now() })
    }

    /// Notes its memory, if it has not just been noted.
    pub fn sample(&mut self) -> Result<()> {
        if let Some(pid) = &self.pid {
            if self.sampled.elapsed() > SAMPLE_EVERY {
                self.most_resident = self.most_resident.max(resident(pid)?);
                self.sampled = Instant::now();
            }
        }
        Ok(())
    }

    /// What it has used since.
    pub fn to_json(&self) -> Result<Value> {
        let Some(pid) = &self.pid else { return Ok(Value::Null) };
        let resident = resident(pid)?;
        Ok(json!({
            "cpu_seconds": cpu_seconds(pid)? - self.cpu_seconds,
            "resident_before": self.resident,
            "resident_after": resident,
            "resident_at_most": self.most_resident.max(resident),
        }))
    }
}

fn malformed(name: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{name} is not as proc(5) says"))
}
