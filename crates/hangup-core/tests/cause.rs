//! Every errno in every operation and state, against the rules that [`classify`] promises.

use hangup_core::cause::{classify, Cause, Op, State};

const ERRNOS: std::ops::RangeInclusive<i32> = 1..=133; // Linux: EPERM to EHWPOISON

/// What an errno means on an established connection that we have not touched.
const ON_AN_OPEN_STREAM: &[(Cause, &[i32])] = &[
    (Cause::Interrupted, &[libc::EINTR]),
    (Cause::WouldBlock, &[libc::EAGAIN, libc::EWOULDBLOCK]),
    (Cause::Exhausted, &[libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]),
    (Cause::OwnershipViolation, &[libc::EBADF, libc::ENOTSOCK]),
    (Cause::PeerGone, &[libc::EPIPE, libc::ESHUTDOWN, libc::ECONNRESET, libc::ECONNABORTED]),
    (
        Cause::PathBroken,
        &[
            libc::ETIMEDOUT,
            libc::EHOSTUNREACH,
            libc::EHOSTDOWN,
            libc::ENETUNREACH,
            libc::ENETDOWN,
            libc::ENETRESET,
            libc::ENONET,
        ],
    ),
];

/// accept(2): "Linux accept() passes already-pending network errors on the new socket"; and EPERM from firewalls.
const OF_A_CONNECTION_TO_BE_ACCEPTED: &[i32] = &[
    libc::ENETDOWN,
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::EHOSTDOWN,
    libc::ENONET,
    libc::EHOSTUNREACH,
    libc::EOPNOTSUPP,
    libc::ENETUNREACH,
    libc::ECONNABORTED,
    libc::ECONNRESET,
    libc::ECONNREFUSED,
    libc::ETIMEDOUT,
    libc::EPERM,
    libc::EADDRNOTAVAIL,
];

fn on_an_open_stream(errno: i32) -> Cause {
    let row = ON_AN_OPEN_STREAM.iter().find(|(_, errnos)| errnos.contains(&errno));
    row.map_or(Cause::Misuse, |(cause, _)| *cause)
}

/// The verdict, derived from the tables in the order in which a reader would ask.
fn expected(op: Op, errno: i32, state: State) -> Cause {
    let on_open = on_an_open_stream(errno);
    let says_nothing_about_the_peer =
        [Cause::Interrupted, Cause::WouldBlock, Cause::Exhausted, Cause::OwnershipViolation];
    let our_own_end =
        [libc::EPIPE, libc::ESHUTDOWN].contains(&errno) && [Op::Send, Op::Sendfile].contains(&op);
    match (op, state) {
        _ if says_nothing_about_the_peer.contains(&on_open) => on_open,
        (Op::Accept, _) if OF_A_CONNECTION_TO_BE_ACCEPTED.contains(&errno) => Cause::WouldBlock,
        (Op::Accept, _) => Cause::Misuse,
        (_, State::Closing) => Cause::ClosedHere,
        (_, State::WriteShut) if our_own_end => Cause::ClosedHere,
        (Op::Shutdown, _) if errno == libc::ENOTCONN => Cause::PeerGone,
        _ => on_open,
    }
}

fn every_case() -> impl Iterator<Item = (Op, i32, State)> {
    let pairs = Op::ALL.into_iter().flat_map(|op| State::ALL.map(|state| (op, state)));
    pairs.flat_map(|(op, state)| ERRNOS.map(move |errno| (op, errno, state)))
}

#[test]
fn every_errno_has_the_verdict_of_the_tables() {
    assert_eq!(every_case().count(), 7 * 3 * 133);
    for (op, errno, state) in every_case() {
        assert_eq!(classify(op, errno, state), expected(op, errno, state), "{op:?} {errno} {state:?}");
    }
}

#[test]
fn a_bad_descriptor_is_never_the_peers_doing() {
    for (op, errno, state) in
        every_case().filter(|(_, errno, _)| [libc::EBADF, libc::ENOTSOCK].contains(errno))
    {
        assert_eq!(classify(op, errno, state), Cause::OwnershipViolation, "{op:?} {state:?}");
    }
}

#[test]
fn nothing_that_fails_while_we_close_is_the_peers_doing() {
    for (op, errno, _) in every_case() {
        let cause = classify(op, errno, State::Closing);
        assert!(!matches!(cause, Cause::PeerGone | Cause::PathBroken), "{op:?} {errno}");
    }
}

#[test]
fn a_pipe_broken_by_our_own_shutdown_is_ours() {
    for op in Op::ALL.into_iter().filter(|op| op.sends()) {
        assert_eq!(classify(op, libc::EPIPE, State::WriteShut), Cause::ClosedHere);
        assert_eq!(classify(op, libc::EPIPE, State::Open), Cause::PeerGone);
        assert_eq!(classify(op, libc::ECONNRESET, State::WriteShut), Cause::PeerGone);
    }
}

#[test]
fn waiting_and_signals_mean_the_same_everywhere() {
    for (op, errno, state) in every_case() {
        let cause = classify(op, errno, state);
        assert_eq!(cause == Cause::Interrupted, errno == libc::EINTR, "{op:?} {errno} {state:?}");
        if errno == libc::EAGAIN {
            assert_eq!(cause, Cause::WouldBlock);
        }
        let is_shortage = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&errno);
        assert_eq!(cause == Cause::Exhausted, is_shortage, "{op:?} {errno} {state:?}");
    }
}

#[test]
fn accept_takes_no_offence_at_the_connection_it_could_not_have() {
    for (errno, state) in
        OF_A_CONNECTION_TO_BE_ACCEPTED.iter().flat_map(|e| State::ALL.map(|state| (*e, state)))
    {
        assert_eq!(classify(Op::Accept, errno, state), Cause::WouldBlock, "{errno} {state:?}");
    }
}

#[test]
fn numbers_that_linux_does_not_use_are_passed_on() {
    for errno in [i32::MIN, -1, 0, 41, 58, 134, 512, i32::MAX] {
        for (op, state) in Op::ALL.into_iter().flat_map(|op| State::ALL.map(|state| (op, state))) {
            let closing = state == State::Closing && op != Op::Accept;
            let expected = if closing { Cause::ClosedHere } else { Cause::Misuse };
            assert_eq!(classify(op, errno, state), expected, "{op:?} {errno} {state:?}");
        }
    }
}

#[test]
fn names_are_labels_and_all_different() {
    let every = every_case().map(|(op, errno, state)| classify(op, errno, state).name());
    let mut names: Vec<_> = every.chain(Op::ALL.map(Op::name)).collect();
    assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 8 + Op::ALL.len()); // TimedOut and Busy never come from an errno
}
