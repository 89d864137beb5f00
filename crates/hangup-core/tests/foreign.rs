//! What appears and goes among the descriptors that are not hangup's. One test: others would open descriptors beside it.
#![cfg(not(loom))]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use hangup_core::foreign::{is_open, Foreign};

#[test]
fn a_look_tells_what_came_what_went_and_what_changed_hands() {
    let mut foreign = Foreign::default();
    let (all, _) = foreign.look();
    assert!(all.iter().any(|(fd, _)| *fd == 1));
    assert_eq!(foreign.look(), (vec![], vec![]));

    let file = File::open("/dev/null").expect("it is there");
    let number = file.as_raw_fd();
    let (appeared, gone) = foreign.look();
    assert_eq!(appeared.iter().map(|(fd, _)| *fd).collect::<Vec<_>>(), [number]);
    assert_eq!(gone, []);
    assert!(is_open(number, appeared[0].1));

    // Long afterwards it is still known, and its number can change hands.
    for _ in 0..200 {
        assert_eq!(foreign.look(), (vec![], vec![]));
    }
    drop(file);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    assert_eq!(ours.as_raw_fd(), number);
    assert!(!is_open(number, appeared[0].1));
    let (mut new, mut old) = (vec![], vec![]);
    for _ in 0..64 {
        let (appeared, gone) = foreign.look();
        new.extend(appeared);
        old.extend(gone);
    }
    assert_eq!(old, appeared, "it is asked who it is, sooner or later");
    assert_eq!(new.iter().map(|(fd, _)| *fd).filter(|fd| *fd == number).count(), 1);
    assert_eq!(new.len(), 2);

    drop((ours, theirs));
    let (appeared, mut gone) = foreign.look();
    gone.sort_unstable();
    new.sort_unstable();
    assert_eq!((appeared, gone), (vec![], new));
    assert_eq!(foreign.len(), all.len());
}
