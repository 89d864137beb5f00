//! Accepting without dying of `EMFILE`.
//!
//! # Promised
//! * When the process runs out of descriptors, or comes within `reserve` of its limit, accepting
//!   pauses: clients wait in the kernel's backlog, live connections keep working, and the event loop
//!   that polls [`Acceptor::poll_fd`] sleeps instead of spinning.
//! * The reserve grows by what others open in a second, if they go on as they did: a leak is met before it has won.
//! * Accepting resumes at once when hangup closes a descriptor (during such a leak: several, or any after [`HOLD`]), and within [`RETRY`] when somebody
//!   else does.
//! * Clients are handed over with their request, if that is asked for (see [`arrivals`](crate::arrivals)).
//! * An episode is reported once, by [`Accepted::episode_began`].
//!
//! # How
//! The event loop does not poll the listener but an epoll instance that holds the listener, or,
//! during a pause, a timer. Both were opened before descriptors ran short. It holds the clients whose request
//! has not arrived as well.
//!
//! # Not promised
//! Nothing is done about a limit below what the process needs to serve one client. Kernels before 6.2 tell the lowest free
//! number alone: what foreign code opened high above it is not seen there.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{
    timerfd_create, timerfd_settime, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};

use rustix::net::SocketAddrAny;
use tracing::info;

use crate::arrivals::{Arrivals, Client};
use crate::cause::{classify, Cause, Op, State};
use crate::error::{Error, Result};
use crate::fd::sys;
use crate::ledger::{self, Counter, Equipment};
use crate::trend::Trend;
use crate::{census, metrics, table};

/// How long a pause waits for descriptors that are not hangup's before it looks again.
pub const RETRY: Duration = Duration::from_millis(20);
/// Two shortages this far apart are two episodes, however little was returned between them.
pub const EPISODE_GAP: Duration = Duration::from_secs(5);
/// For how long after a pause began more than one descriptor must return before it ends, while others open more and more.
pub const HOLD: Duration = Duration::from_millis(250);
/// The reserve is for what others open in this time, besides.
const AHEAD: Duration = Duration::from_secs(1);
/// How often it is looked at how much others have opened.
const SAMPLE: Duration = Duration::from_millis(100);
/// Clients that are taken in, and wait for their request, before the event loop has its turn again.
const FAIR: usize = 64;

/// Acceptors of this process that may be paused.
static ACCEPTORS: Mutex<Vec<Weak<Acceptor>>> = Mutex::new(Vec::new());
static PAUSED: AtomicUsize = AtomicUsize::new(0);

/// What [`Acceptor::accept`] found.
#[derive(Debug, Default)]
pub struct Accepted {
    /// A client and its address, or `None`: nobody is waiting, or accepting is paused. Poll again.
    pub client: Option<Client>,
    /// A shortage began with this call. Reported once for each episode, which lasts until the backlog was
    /// emptied and `reserve` descriptors, or half of those open, were returned.
    pub episode_began: bool,
}

/// A shortage of descriptors, from its first pause until there is room again.
#[derive(Clone, Copy, Debug)]
struct Episode {
    /// How many descriptors of ours were open when it began.
    crowd: usize,
    /// When accepting last paused.
    paused: Instant,
}

/// A listener that can pause.
#[derive(Debug)]
pub struct Acceptor {
    _lines: [Equipment; 3],
    listener: OwnedFd,
    epoll: OwnedFd,
    timer: OwnedFd,
    reserve: u64,
    /// What is open besides connections, by the seconds since the first moment.
    trend: Mutex<(Instant, Trend)>,
    paused: AtomicBool,
    /// Held while `paused` and the timer change together.
    transition: Mutex<()>,
    episode: Mutex<Option<Episode>>,
    /// Those whose request has not arrived, if it is waited for.
    arrivals: Option<Mutex<Arrivals>>,
    /// When the timer goes off for them.
    alarm: Mutex<Option<Instant>>,
}

impl Acceptor {
    /// Duplicates the listener with number `listener`, makes it non-blocking, and keeps `reserve`
    /// descriptors free for everything else that the process opens. Opens three descriptors. `patience`: how long the head
    /// of a client's first request may take; None hands clients over without it.
    pub fn new(listener: RawFd, reserve: u64, patience: Option<Duration>) -> Result<Arc<Self>> {
        let failed = |errno| Error::new(classify(Op::Inspect, errno, State::Open), Op::Inspect, errno);
        let os = |error: rustix::io::Errno| failed(error.raw_os_error());
        let listener = sys::duplicate(listener).map_err(failed)?;
        sys::set_nonblocking(listener.as_raw_fd(), true).map_err(failed)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(os)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(os)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(0), epoll::EventFlags::IN).map_err(os)?;
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(1), epoll::EventFlags::IN).map_err(os)?;
        let line = |fd: &OwnedFd, kind| ledger::global().equip(fd.as_raw_fd(), kind);
        let acceptor = Arc::new(Self {
            _lines: [line(&listener, "listener"), line(&epoll, "epoll"), line(&timer, "timerfd")],
            listener,
            epoll,
            timer,
            reserve,
            trend: Mutex::new((Instant::now(), Trend::default())),
            paused: AtomicBool::new(false),
            transition: Mutex::new(()),
            episode: Mutex::new(None),
            arrivals: patience.map(|limit| Mutex::new(Arrivals::new(limit))),
            alarm: Mutex::new(None),
        });
        metrics::settle();
        registry().push(Arc::downgrade(&acceptor));
        Ok(acceptor)
    }

    /// What an event loop polls for reading, instead of the listener.
    pub fn poll_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }

    /// The listening socket itself, for options and addresses.
    pub fn listener_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Whether accepting is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Takes the next client, without waiting.
    pub fn accept(&self) -> Result<Accepted> {
        let Some(arrivals) = &self.arrivals else { return self.take_in(&mut None) };
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.look(&self.epoll);
        let accepted = match arrivals.next() {
            Some(client) => Ok(Accepted { client: Some(client), episode_began: false }),
            None if arrivals.is_leaving() => Ok(Accepted::default()),
            None => self.take_in(&mut Some(&mut *arrivals)),
        };
        self.set_alarm(arrivals.due());
        accepted
    }

    /// Accepts nobody any more; those who were accepted have at most `limit` for their request. The event loop is
    /// woken until [`Acceptor::is_awaited`] is false, and once more. Idempotent.
    pub fn leave(&self, limit: Duration) {
        let Some(arrivals) = &self.arrivals else { return };
        let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if !arrivals.is_leaving() {
            arrivals.leave(limit);
            self.stop_polling();
        }
        self.set_alarm(arrivals.due());
    }

    /// Whether somebody was accepted and not handed over.
    pub fn is_awaited(&self) -> bool {
        let arrivals = self.arrivals.as_ref().map(|a| a.lock().unwrap_or_else(PoisonError::into_inner));
        arrivals.is_some_and(|arrivals| !arrivals.is_empty())
    }

    fn stop_polling(&self) {
        let _transition = self.transition.lock().unwrap_or_else(PoisonError::into_inner);
        if self.paused.swap(false, Ordering::AcqRel) {
            PAUSED.fetch_sub(1, Ordering::AcqRel);
            self.rest(Duration::ZERO);
        } else {
            let _ = epoll::delete(&self.epoll, &self.listener); // it is in the set, or was never
        }
    }

    fn take_in(&self, arrivals: &mut Option<&mut Arrivals>) -> Result<Accepted> {
        if self.is_paused() && !self.may_resume() {
            return Ok(Accepted::default());
        }
        for _ in 0..FAIR {
            match sys::accept(self.listener.as_fd()) {
                Ok(client) => {
                    ledger::count(Counter::Accepted);
                    // This client is served; the pause begins behind it.
                    let episode_began =
                        if self.has_room() || arrivals.as_mut().is_some_and(|a| a.drop_oldest()) {
                            self.look_for_the_end_of_the_episode();
                            false
                        } else {
                            self.pause()
                        };
                    let client = match arrivals {
                        Some(arrivals) => arrivals.take(&self.epoll, client),
                        None => Some(client),
                    };
                    if client.is_some() || episode_began || self.is_paused() {
                        return Ok(Accepted { client, episode_began });
                    }
                }
                Err(errno) => match classify(Op::Accept, errno, State::Open) {
                    Cause::Interrupted => {}
                    Cause::WouldBlock => {
                        self.look_for_the_end_of_the_episode();
                        return Ok(Accepted::default());
                    }
                    Cause::Exhausted if arrivals.as_mut().is_some_and(|a| a.drop_oldest()) => {}
                    Cause::Exhausted => return Ok(Accepted { client: None, episode_began: self.pause() }),
                    cause => return Err(Error::new(cause, Op::Accept, errno)),
                },
            }
        }
        Ok(Accepted::default())
    }

    /// Has the event loop come back when something is due among the arrivals.
    fn set_alarm(&self, due: Option<Instant>) {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_set = alarm.is_some_and(|at| at > now && due.is_none_or(|due| at <= due));
        let _transition = self.transition.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_paused() {
            *alarm = None; // the timer is the pause's, which is shorter
        } else if !is_set && (due.is_some() || alarm.is_some()) {
            let rest = due.map(|due| due.saturating_duration_since(now).max(Duration::from_nanos(1)));
            self.rest(rest.unwrap_or_default());
            *alarm = due;
        }
    }

    /// Whether the next client would get a number below the reserve. The number that the last one got does
    /// not tell: it may have been a hole, with nothing free behind it.
    ///
    /// The reserve is for those who are being served: without any, the last descriptor may be used, so that
    /// a process whose own files fill the limit goes on serving as well as it can.
    fn has_room(&self) -> bool {
        self.has_room_beyond(0)
    }

    /// `slack`: what must be free besides while others open more and more.
    fn has_room_beyond(&self, slack: u64) -> bool {
        let Ok(lowest) = sys::lowest_free(self.timer.as_fd()) else { return false };
        let (lowest, limit, used) = (lowest as u64, table::limit(), census::count());
        let outlook = self.outlook(used.unwrap_or(lowest), limit);
        // Of ours, what is open can be waited for; what others will have opened is gone meanwhile.
        let open = ledger::global().open() as u64;
        let reserve =
            self.reserve.min(limit / 4).min(open) + if open * outlook > 0 { outlook + slack } else { 0 };
        match used {
            None => lowest.saturating_add(reserve) < limit,
            Some(used) => {
                used.saturating_add(reserve) < limit || census::has_free(lowest..limit, reserve + 1)
            }
        }
    }

    /// How many descriptors others will have opened in a moment, if they go on as they did.
    fn outlook(&self, used: u64, limit: u64) -> u64 {
        let mut trend = self.trend.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, trend) = &mut *trend;
        let now = since.elapsed().as_secs_f64();
        if trend.latest().is_none_or(|latest| now - latest >= SAMPLE.as_secs_f64()) {
            trend.add(now, used as f64 - ledger::global().open() as f64);
        }
        ((trend.slope() * AHEAD.as_secs_f64()).max(0.0) as u64).min(limit / 8)
    }

    /// Stops polling the listener. True if an episode began.
    fn pause(&self) -> bool {
        let _transition = self.transition.lock().unwrap_or_else(PoisonError::into_inner);
        self.pause_now()
    }

    fn pause_now(&self) -> bool {
        self.rest(RETRY);
        if self.paused.swap(true, Ordering::AcqRel) {
            return false;
        }
        PAUSED.fetch_add(1, Ordering::AcqRel);
        // Fails only for a descriptor that is not in the set: ours is, from `new` on.
        let _ = epoll::delete(&self.epoll, &self.listener);
        let mut episode = self.current_episode();
        if let Some(episode) = episode.as_mut() {
            episode.paused = Instant::now();
            return false;
        }
        *episode = Some(Episode { crowd: ledger::global().open(), paused: Instant::now() });
        ledger::count(Counter::AcceptPauses);
        info!(target: "hangup::acceptor", owned = ledger::global().open(), "pauses for want of descriptors");
        true
    }

    fn was_paused_just_now(&self) -> bool {
        self.current_episode().is_some_and(|episode| episode.paused.elapsed() < HOLD)
    }

    /// Ends the episode if nobody is waiting and there is room again.
    fn look_for_the_end_of_the_episode(&self) {
        let mut episode = self.current_episode();
        let Some(current) = *episode else { return };
        let caught_up = sys::wait_ready(self.listener.as_raw_fd(), false, Some(Duration::ZERO)) == Ok(false);
        let returned = (self.reserve as usize).min(current.crowd / 2).max(1);
        let room = ledger::global().open() + returned <= current.crowd;
        if caught_up && (room || current.paused.elapsed() > EPISODE_GAP) {
            *episode = None;
        }
    }

    fn current_episode(&self) -> MutexGuard<'_, Option<Episode>> {
        self.episode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_resume(&self) -> bool {
        let _transition = self.transition.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.has_room_beyond(if self.was_paused_just_now() { self.reserve / 4 } else { 0 });
        if !room {
            self.rest(RETRY);
        } else if self.paused.swap(false, Ordering::AcqRel) {
            PAUSED.fetch_sub(1, Ordering::AcqRel);
            self.rest(Duration::ZERO);
            let data = epoll::EventData::new_u64(1);
            // Fails for want of kernel memory alone; then the timer makes the event loop come back.
            if epoll::add(&self.epoll, &self.listener, data, epoll::EventFlags::IN).is_err() {
                self.pause_now();
            }
        }
        room
    }

    /// A descriptor was returned: looks again now, if it is paused.
    fn look_again(&self) {
        // Whoever is in between has either seen the descriptor, or arms the timer itself.
        let Ok(_transition) = self.transition.try_lock() else { return };
        if self.is_paused() {
            self.rest(Duration::from_nanos(1));
        }
    }

    /// Arms the timer; zero disarms it.
    fn rest(&self, pause: Duration) {
        let it_value = Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: pause.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        // Fails only for a bad descriptor or time; both are ours.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if self.is_paused() {
            PAUSED.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A descriptor of ours was closed: paused acceptors look again now.
pub(crate) fn descriptor_returned() {
    if PAUSED.load(Ordering::Acquire) == 0 {
        return;
    }
    let mut acceptors = registry();
    acceptors.retain(|acceptor| acceptor.strong_count() > 0);
    acceptors.iter().filter_map(Weak::upgrade).for_each(|acceptor| acceptor.look_again());
}

fn registry() -> MutexGuard<'static, Vec<Weak<Acceptor>>> {
    ACCEPTORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clients that were accepted and not handed over: their numbers, their addresses, and since when.
pub(crate) fn arriving() -> Vec<(RawFd, Option<SocketAddrAny>, Option<Instant>)> {
    let acceptors: Vec<_> = registry().iter().filter_map(Weak::upgrade).collect();
    let mut all = Vec::new();
    for arrivals in acceptors.iter().filter_map(|acceptor| acceptor.arrivals.as_ref()) {
        let arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(arrivals.present().map(|((fd, peer), since)| (fd.as_raw_fd(), peer.clone(), since)));
    }
    all
}

/// The registry's lock, held across fork(2).
pub(crate) struct ForkLock {
    _registry: MutexGuard<'static, Vec<Weak<Acceptor>>>,
}

pub(crate) fn lock_for_fork() -> ForkLock {
    ForkLock { _registry: registry() }
}
