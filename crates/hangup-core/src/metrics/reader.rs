//! Reading a family's counters: one's own, or that of any process one may look into.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::family::{self, header, Phase, MAGIC, NAME, VERSION};
use super::owner::Owner;
use super::page::{self, LAYOUT};
use super::slot::{Layout, Slot, NOBODY};
use super::table::{names, WORDS};
use crate::fd::sys::SharedWords;

/// The counters of a family. All lists are as long as `names`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// What each number is: see [`names`].
    pub names: Vec<String>,
    /// Of all processes, dead or alive.
    pub total: Vec<u64>,
    /// Of those that are dead.
    pub dead: Vec<u64>,
    /// Those that live and have counted something, or were told to.
    pub processes: Vec<Process>,
}

/// A process of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// How far it is, as it says.
    pub phase: Phase,
    /// What it counted.
    pub values: Vec<u64>,
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum Refusal {
    /// The process does not exist, or may not be looked into.
    Closed(io::Error),
    /// It has no counters.
    Absent,
    /// They are laid out in a way that this version does not know.
    Unknown(u64),
}

/// The counters of the family of process `pid`.
pub fn read(pid: u32) -> Result<Family, Refusal> {
    let words = open(pid)?;
    if words[header::MAGIC].load(Ordering::Acquire) != MAGIC {
        return Err(Refusal::Absent); // being made at this moment
    }
    match words[header::VERSION].load(Ordering::Relaxed) {
        VERSION => read_words(&words).ok_or(Refusal::Unknown(VERSION)),
        other => Err(Refusal::Unknown(other)),
    }
}

/// The counters of the calling process's family; what it counts for itself is added.
pub fn read_own() -> Family {
    let empty =
        || Family { names: names(), total: vec![0; WORDS], dead: vec![0; WORDS], processes: Vec::new() };
    let mut family = family::words().and_then(|words| read_words(words)).unwrap_or_else(empty);
    if !family::is_in_a_slot() {
        let values: Vec<u64> = (0..WORDS).map(page::own).collect();
        if values.iter().any(|value| *value > 0) {
            add(&mut family.total, &values);
            family.processes.push(Process { pid: std::process::id(), phase: Phase::Unknown, values });
        }
    }
    family
}

fn open(pid: u32) -> Result<SharedWords, Refusal> {
    let mut refusal = Refusal::Absent;
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).map_err(Refusal::Closed)? {
        let path: PathBuf = entry.map_err(Refusal::Closed)?.path();
        let is_ours = fs::read_link(&path).is_ok_and(|link| {
            link.to_str()
                .and_then(|link| link.strip_prefix("/memfd:"))
                .is_some_and(|rest| rest.starts_with(NAME))
        });
        if is_ours {
            let file: OwnedFd = File::open(&path).map_err(Refusal::Closed)?.into();
            match SharedWords::map(&file, false) {
                Ok(words) => return Ok(words),
                Err(_) => refusal = Refusal::Unknown(0), // not sealed: somebody else's, of the same name
            }
        }
    }
    Err(refusal)
}

/// None if the header contradicts itself.
pub(super) fn read_words(words: &[AtomicU64]) -> Option<Family> {
    let told = |word: usize| usize::try_from(words[word].load(Ordering::Acquire)).unwrap_or(usize::MAX);
    let layout =
        Layout { values: told(header::VALUES), bases: told(header::BASES), count: told(header::NAMES) };
    let (size, first) = (told(header::SLOT_WORDS), told(header::FIRST_SLOT));
    let end = layout.values.max(layout.bases).checked_add(layout.count)?;
    let text = told(header::NAMES_BYTES);
    // A slot begins with its header's words; those are no values.
    if end > size
        || layout.values.min(layout.bases) < LAYOUT.values
        || first > words.len()
        || text.div_ceil(8) > first.checked_sub(header::TEXT)?
    {
        return None;
    }
    let text: Vec<u8> = words[header::TEXT..header::TEXT + text.div_ceil(8)]
        .iter()
        .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
        .take(text)
        .collect();
    let names: Vec<String> = String::from_utf8(text).ok()?.lines().map(str::to_owned).collect();
    if names.len() != layout.count {
        return None;
    }
    let mut family =
        Family { names, total: vec![0; layout.count], dead: vec![0; layout.count], processes: Vec::new() };
    let used = told(header::USED).min(told(header::SLOTS));
    for slot in words[first..].chunks_exact(size).take(used) {
        family.add_slot(Slot::new(slot, layout));
    }
    Some(family)
}

impl Family {
    fn add_slot(&mut self, slot: Slot<'_>) {
        let reading = slot.read();
        let owner = Owner::from_word(reading.owner);
        add(&mut self.total, &reading.values);
        if reading.owner == NOBODY || !owner.is_alive() {
            return add(&mut self.dead, &reading.values);
        }
        let own = reading.values.iter().zip(&reading.bases).map(|(value, base)| value.saturating_sub(*base));
        let phase = Phase::told(reading.phase);
        self.processes.push(Process { pid: owner.pid(), phase, values: own.collect() });
        add(&mut self.dead, &reading.bases);
    }
}

fn add(sums: &mut [u64], values: &[u64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = sum.saturating_add(*value);
    }
}
