//! The memory file of a family, and a process's place in it.
//!
//! ```text
//! page 0 ... 7: header, and a name for each word of a slot
//! page 8 ...  : slots
//! ```

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::owner::Owner;
use super::page::{LAYOUT, PAGE};
use super::slot::{Slot, NOBODY};
use super::table::{names, Counter, WORDS};
use crate::fd::sys::{memory_file, SharedWords, PAGE_WORDS};

/// What the file is called in `/proc/<pid>/fd`.
pub(super) const NAME: &str = "hangup-metrics";
/// The first word.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"hangup\0m");
/// How the rest is laid out: the header, and slots with values, bases and owner as in [`super::slot`]. What the
/// values are is said by their names.
pub(super) const VERSION: u64 = 1;
/// How many processes count at the same time.
const SLOTS: usize = 512;
const HEADER_PAGES: usize = 8;

/// The header's words.
pub(super) mod header {
    pub(in super::super) const MAGIC: usize = 0;
    pub(in super::super) const VERSION: usize = 1;
    pub(in super::super) const SLOT_WORDS: usize = 2;
    pub(in super::super) const SLOTS: usize = 3;
    pub(in super::super) const FIRST_SLOT: usize = 4;
    pub(in super::super) const VALUES: usize = 5;
    pub(in super::super) const BASES: usize = 6;
    pub(in super::super) const NAMES: usize = 7;
    pub(in super::super) const NAMES_BYTES: usize = 8;
    /// Slots behind this were never used: to look at them would cost memory.
    pub(in super::super) const USED: usize = 9;
    /// Where the names begin; each ends with a newline.
    pub(in super::super) const TEXT: usize = 16;
}

/// A family's memory.
#[derive(Debug)]
struct Family {
    file: OwnedFd,
    words: SharedWords,
}

/// Where a process counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the slot with this number.
    Slot(usize),
    /// For itself, and why.
    Private(&'static str),
}

/// What stands behind the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// What the linker put there.
    Static,
    /// Memory that can be seen under another address while it is exchanged.
    Anonymous,
    Slot,
}

#[derive(Debug)]
struct Book {
    family: Option<&'static Family>,
    place: Option<Place>,
    behind: Behind,
}

static BOOK: Mutex<Book> = Mutex::new(Book { family: None, place: None, behind: Behind::Static });
/// The number of the family's file, -1 while there is none; and when it was made, in nanoseconds since the epoch.
static FILE: AtomicI32 = AtomicI32::new(-1);
static MADE: AtomicU64 = AtomicU64::new(0);
/// Whether the place is decided.
static SETTLED: AtomicBool = AtomicBool::new(false);

/// Decides, before the first descriptor of this process is counted, where.
pub(crate) fn settle() {
    if !SETTLED.load(Ordering::Relaxed) {
        join();
    }
}

/// Makes a family, of which those are who are forked from now on. Nothing, in one that has been made. False if the
/// kernel has no descriptor or memory for it.
pub fn found() -> bool {
    founded(&mut locked()).is_some()
}

/// Takes a slot in the family, which is made if there is none; the second time, nothing.
pub fn join() -> Place {
    let mut book = locked();
    let place = book.place.unwrap_or_else(|| match take_slot(&mut book) {
        Ok(number) => Place::Slot(number),
        Err(reason) => Place::Private(reason),
    });
    book.place = Some(place);
    SETTLED.store(true, Ordering::Relaxed);
    place
}

/// How far a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Phase {
    /// It has said nothing.
    Unknown,
    /// It serves.
    Serving,
    /// It serves those it has, and leaves.
    Leaving,
}

impl Phase {
    pub(super) fn told(word: u64) -> Self {
        [Phase::Serving, Phase::Leaving]
            .into_iter()
            .find(|phase| *phase as u64 == word)
            .unwrap_or(Phase::Unknown)
    }

    /// Stable lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Unknown => "unknown",
            Phase::Serving => "serving",
            Phase::Leaving => "leaving",
        }
    }
}

/// Tells those who read how far this process is.
pub fn announce(phase: Phase) {
    let book = locked();
    if let (Some(family), Some(Place::Slot(number))) = (book.family, book.place) {
        family.slot(number).announce(phase as u64);
    }
}

/// The slot of a process that is dead is nobody's from now on. True if it had one.
pub fn retire(pid: u32) -> bool {
    let Some(family) = locked().family else { return false };
    (0..family.used()).any(|number| {
        let slot = family.slot(number);
        let owner = slot.owner();
        let known = Owner::from_word(owner);
        owner != NOBODY && known.pid() == pid && !known.is_alive() && slot.retire(owner)
    })
}

/// The family's memory, if this process is in one.
pub(super) fn words() -> Option<&'static SharedWords> {
    locked().family.map(|family| &family.words)
}

/// The slots that were ever used; none without a family.
pub(super) fn slots() -> impl Iterator<Item = Slot<'static>> {
    let family = locked().family;
    family.into_iter().flat_map(|family| (0..family.used()).map(|number| family.slot(number)))
}

/// Whether what this process counts is in its family's memory.
pub(super) fn is_in_a_slot() -> bool {
    locked().behind == Behind::Slot
}

/// The family's file, and when it was made, in nanoseconds since the epoch. Takes no lock.
pub(crate) fn file() -> Option<(RawFd, u64)> {
    let number = FILE.load(Ordering::Acquire);
    (number >= 0).then(|| (number, MADE.load(Ordering::Relaxed)))
}

fn founded(book: &mut Book) -> Option<&'static Family> {
    if book.family.is_none() {
        book.family = Family::new().ok().map(|family| &*Box::leak(Box::new(family)));
        if let Some(family) = book.family {
            MADE.store(crate::fd::sys::coarse_now(), Ordering::Relaxed);
            FILE.store(family.file.as_raw_fd(), Ordering::Release);
        }
    }
    book.family
}

fn take_slot(book: &mut Book) -> Result<usize, &'static str> {
    let family = founded(book).ok_or("the kernel has no descriptor or memory for it")?;
    let owner = Owner::this().ok_or("there is no /proc")?;
    detach(book)?;
    let number = family.claim(owner).ok_or("no slot is free")?;
    if move_to(family, number) {
        book.behind = Behind::Slot;
        return Ok(number);
    }
    family.slot(number).retire(owner.word());
    Err("the kernel has no memory for it")
}

/// From memory of its own to a slot, while others count.
fn move_to(family: &Family, number: usize) -> bool {
    let Ok(former) = PAGE.second_view() else { return false };
    let slot = family.slot(number);
    let mut moved = [0; WORDS];
    let move_what_is_new = |moved: &mut [u64; WORDS]| {
        for (word, moved) in moved.iter_mut().enumerate() {
            let value = former[LAYOUT.values + word].load(Ordering::Relaxed);
            slot.value(word).fetch_add(value - *moved, Ordering::Relaxed);
            *moved = value;
        }
    };
    move_what_is_new(&mut moved);
    let offset = (HEADER_PAGES + number) * size_of_val(&PAGE);
    let replaced = PAGE.replace(Some((&family.file, offset as u64))).is_ok();
    if replaced {
        move_what_is_new(&mut moved); // counted in between; nobody sees the former memory any more
    }
    replaced
}

/// Puts memory behind the page that can be exchanged while others count, with what was counted.
fn detach(book: &mut Book) -> Result<(), &'static str> {
    if book.behind != Behind::Static {
        return Ok(());
    }
    let counted: Vec<u64> = (0..WORDS).map(super::page::own).collect();
    renew(book)?;
    for (word, value) in counted.into_iter().enumerate() {
        PAGE.0[LAYOUT.values + word].fetch_add(value, Ordering::Relaxed);
    }
    Ok(())
}

fn renew(book: &mut Book) -> Result<(), &'static str> {
    PAGE.replace(None).map_err(|_| "memory pages are not of 4 KiB, or there is none")?;
    book.behind = Behind::Anonymous;
    Ok(())
}

/// While the process has one thread: makes the later exchange exact.
pub(crate) fn prepare() {
    let _ = detach(&mut locked()); // told by `join`
}

/// In a forked child: what was counted is the parent's. `inherited` descriptors were not adopted here, but are open.
pub(crate) fn leave_the_parent_s(inherited: usize) {
    let mut book = locked();
    book.place = None;
    SETTLED.store(false, Ordering::Relaxed);
    if renew(&mut book).is_err() {
        if book.behind != Behind::Static {
            return; // without memory it goes on where its parent counts
        }
        for word in &PAGE.0 {
            word.store(0, Ordering::Relaxed); // a copy that nobody else sees
        }
    }
    PAGE.0[LAYOUT.values + Counter::Adopted as usize].store(inherited as u64, Ordering::Relaxed);
}

impl Family {
    fn new() -> Result<Self, i32> {
        let names = names().iter().flat_map(|name| [name, "\n"]).collect::<String>();
        let size = (HEADER_PAGES + SLOTS) * size_of_val(&PAGE);
        let file = memory_file(NAME, size as u64)?;
        let words = SharedWords::map(&file, true)?;
        let set = |word: usize, value: usize| words[word].store(value as u64, Ordering::Relaxed);
        set(header::SLOT_WORDS, PAGE_WORDS);
        set(header::SLOTS, SLOTS);
        set(header::FIRST_SLOT, HEADER_PAGES * PAGE_WORDS);
        set(header::VALUES, LAYOUT.values);
        set(header::BASES, LAYOUT.bases);
        set(header::NAMES, WORDS);
        set(header::NAMES_BYTES, names.len());
        for (word, bytes) in
            words[header::TEXT..HEADER_PAGES * PAGE_WORDS].iter().zip(names.as_bytes().chunks(8))
        {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        words[header::VERSION].store(VERSION, Ordering::Relaxed);
        words[header::MAGIC].store(MAGIC, Ordering::Release); // last: now it can be read
        Ok(Self { file, words })
    }

    fn slot(&self, number: usize) -> Slot<'_> {
        let first = (HEADER_PAGES + number) * PAGE_WORDS;
        Slot::new(&self.words[first..first + PAGE_WORDS], LAYOUT)
    }

    fn used(&self) -> usize {
        (self.words[header::USED].load(Ordering::Acquire) as usize).min(SLOTS)
    }

    /// One that nobody has, else that of a process that is dead: whoever cannot see all processes would rather not
    /// judge that.
    fn claim(&self, owner: Owner) -> Option<usize> {
        let free = |number: &usize| self.slot(*number).claim(NOBODY, owner.word());
        let left = |number: &usize| {
            let former = self.slot(*number).owner();
            former != NOBODY
                && !Owner::from_word(former).is_alive()
                && self.slot(*number).claim(former, owner.word())
        };
        let number = (0..SLOTS).find(free).or_else(|| (0..SLOTS).find(left))?;
        let used: &AtomicU64 = &self.words[header::USED];
        used.fetch_max(number as u64 + 1, Ordering::Release);
        Some(number)
    }
}

fn locked() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The book's lock, held across fork(2).
pub(crate) struct ForkLock {
    _book: MutexGuard<'static, Book>,
}

pub(crate) fn lock_for_fork() -> ForkLock {
    ForkLock { _book: locked() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_all_slots_are_taken_a_dead_process_s_is_taken_over() {
        let family = Family::new().expect("memory");
        let this = Owner::this().expect("proc(5)");
        for number in 0..SLOTS {
            assert_eq!(family.claim(this), Some(number));
            family.slot(number).value(0).store(1, Ordering::Relaxed);
        }
        assert_eq!(family.claim(this), None);
        let dead = Owner::from_word(this.word() ^ 1); // of another start
        assert!(family.slot(7).retire(this.word()) && family.slot(7).claim(NOBODY, dead.word()));
        assert_eq!(family.claim(this), Some(7));
        let reading = family.slot(7).read();
        assert_eq!((reading.owner, reading.values[0], reading.bases[0]), (this.word(), 1, 1));
    }

    #[test]
    fn a_file_of_another_layout_is_refused() {
        let family = Family::new().expect("memory");
        let told = || super::super::reader::read_words(&family.words);
        assert!(told().is_some_and(|read| read.names == names() && read.processes.is_empty()));
        for nonsense in [u64::MAX, 0] {
            family.words[header::BASES].store(nonsense, Ordering::Relaxed);
            assert!(told().is_none());
        }
        for word in [header::VALUES, header::NAMES, header::NAMES_BYTES, header::SLOT_WORDS] {
            family.words[word].store(0, Ordering::Relaxed);
        }
        assert!(told().is_none(), "slots without words");
    }
}
