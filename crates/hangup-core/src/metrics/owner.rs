//! Which process a slot is of: its number and when it started, so that a recycled number is nobody.

/// Clock ticks since boot take 42 bits: more than a thousand years of them.
const STARTED: u64 = (1 << 42) - 1;

/// A process, in one word; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u64);

impl Owner {
    /// Of the calling process; None without proc(5).
    pub(crate) fn this() -> Option<Self> {
        let (state_and_start, pid) = (stat("self")?, std::process::id());
        Some(Self::new(pid, state_and_start.1))
    }

    fn new(pid: u32, started: u64) -> Self {
        Self(u64::from(pid) << 42 | started & STARTED)
    }

    pub(crate) fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    pub(crate) fn pid(self) -> u32 {
        (self.0 >> 42) as u32
    }

    /// Whether it runs still. A zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        let found = stat(&self.pid().to_string());
        found.is_some_and(|(state, started)| {
            !matches!(state, 'Z' | 'X') && started & STARTED == self.0 & STARTED
        })
    }
}

/// State and start of a process: fields 3 and 22 of proc_pid_stat(5).
fn stat(process: &str) -> Option<(char, u64)> {
    let text = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.rsplit_once(')')?.1.split_whitespace(); // its name may hold anything
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_as_well() {
        let this = Owner::this().expect("proc(5)");
        assert_eq!(this.pid(), std::process::id());
        assert!(this.is_alive());
        assert!(!Owner::new(this.pid(), 1).is_alive(), "somebody else had this number");
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("true").spawn().expect("true(1)");
        let owner = || stat(&child.id().to_string()).map(|(_, started)| Owner::new(child.id(), started));
        let owner = owner().expect("not reaped, so listed");
        while owner.is_alive() {
            std::thread::yield_now();
        }
        child.wait().expect("ended");
    }
}
