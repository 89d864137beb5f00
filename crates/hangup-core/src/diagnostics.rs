//! What the core has to say, for whoever logs it: its `tracing` events, in the order in which they came.
//!
//! # Promised
//! * Whoever says something waits neither for a reader nor for an interpreter, on whatever thread.
//! * For a level that nobody asked for nothing is formatted, and no clock is read: an event costs one load.
//! * What does not fit is counted.
//!
//! # How
//! A subscriber of `tracing` puts each event into a bounded queue, and signals an eventfd that the reader waits for.
//! The queue's lock is held for the queue's operation alone, and is the last one that anybody takes; fork(2) takes it
//! too (see [`crate::fork`]).
//!
//! # Not promised
//! Spans: the connection is a field of each event. In a forked child nothing is said until somebody there listens.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::SystemTime;

use rustix::event::{eventfd, EventfdFlags};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::ledger::{self, Equipment};

/// Events that wait for the reader.
const CAPACITY: usize = 4096;

/// The levels, from none to all.
const LEVELS: [LevelFilter; 6] = [
    LevelFilter::OFF,
    LevelFilter::ERROR,
    LevelFilter::WARN,
    LevelFilter::INFO,
    LevelFilter::DEBUG,
    LevelFilter::TRACE,
];

/// What was said.
#[derive(Debug)]
pub struct Diagnostic {
    /// How important it is.
    pub level: Level,
    /// What it is about: `hangup::websocket` and the like.
    pub target: &'static str,
    /// In words.
    pub message: String,
    /// And in figures.
    pub fields: Vec<(&'static str, String)>,
    /// When.
    pub time: SystemTime,
    /// The name of the thread, if it has one.
    pub thread: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Said {
    waiting: VecDeque<Diagnostic>,
    lost: u64,
    signal: Option<(OwnedFd, Equipment)>,
}

static SAID: Mutex<Said> = Mutex::new(Said { waiting: VecDeque::new(), lost: 0, signal: None });
/// Index of [`LEVELS`].
static LEVEL: AtomicUsize = AtomicUsize::new(0);

/// An eventfd that is readable while something waits; whoever reads it calls [`take`] afterwards. Not to be called by
/// two threads at the same time.
///
/// Fails if there are no descriptors left.
pub fn listen() -> io::Result<RawFd> {
    static ONCE: Once = Once::new();
    // Refused only if somebody has done so before: the symbols of this library are its own.
    ONCE.call_once(|| drop(tracing::subscriber::set_global_default(Listener)));
    if let Some((signal, _)) = &locked().signal {
        return Ok(signal.as_raw_fd());
    }
    let signal = eventfd(0, EventfdFlags::CLOEXEC)?;
    let number = signal.as_raw_fd();
    let listed = ledger::global().equip(number, "eventfd"); // before the last lock is taken
    locked().signal = Some((signal, listed));
    Ok(number)
}

/// What is of interest from now on.
pub fn set_level(level: LevelFilter) {
    let place = LEVELS.iter().position(|one| *one == level).unwrap_or_default();
    if LEVEL.swap(place, Ordering::Relaxed) != place {
        tracing::callsite::rebuild_interest_cache();
    }
}

/// What was said since the last call, and how many events did not fit.
pub fn take() -> (Vec<Diagnostic>, u64) {
    let mut said = locked();
    (said.waiting.drain(..).collect(), std::mem::take(&mut said.lost))
}

/// The lock, for fork(2).
pub(crate) fn locked() -> MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a forked child: what waits is the parent's to say. The eventfd stays open, because the parent's reader may know
/// its number here, too.
pub(crate) fn forget_in_child() {
    let mut said = locked();
    said.waiting.clear();
    said.lost = 0;
    std::mem::forget(said.signal.take());
    LEVEL.store(0, Ordering::Relaxed);
}

fn level() -> LevelFilter {
    LEVELS[LEVEL.load(Ordering::Relaxed)]
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level())
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        if !self.enabled(metadata) {
            return; // in a forked child the cache of interests is the parent's
        }
        let mut words = Words::default();
        event.record(&mut words);
        let diagnostic = Diagnostic {
            level: *metadata.level(),
            target: metadata.target(),
            message: words.message,
            fields: words.fields,
            time: SystemTime::now(),
            thread: std::thread::current().name().map(str::to_owned),
        };
        let mut said = locked();
        if said.waiting.len() >= CAPACITY {
            said.lost += 1;
        } else {
            said.waiting.push_back(diagnostic);
        }
        if let Some((signal, _)) = &said.signal {
            // Full after 2^64 events that nobody read: then it is readable anyway.
            let _ = rustix::io::write(signal, &1_u64.to_ne_bytes());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Words {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" {
            self.message = value;
        } else {
            self.fields.push((field.name(), value));
        }
    }
}
