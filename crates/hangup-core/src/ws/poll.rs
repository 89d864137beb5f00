//! How the task of a WebSocket is polled.
//!
//! By hand: what `select!` makes and drops at each message costs more than the message.

use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::{sleep_until, Instant, Sleep};

use super::sending::{Flushed, FAIR};
use super::strand::Ending;
use super::task::Task;
use crate::fd::{Lease, Patience};

/// Where the timer waits while nothing is due.
const FAR: Duration = Duration::from_secs(86_400);

impl Task {
    /// Until it is over: why; None if it departs.
    pub(super) async fn live(&mut self, io: AsyncFd<Lease>, early: Vec<u8>) -> Option<(u16, String, Ending)> {
        self.feed(&early);
        drop(early);
        let socket = Arc::clone(&self.socket);
        let mut changed = pin!(socket.changed());
        let mut timer = pin!(sleep_until(Instant::now() + FAR));
        let over = poll_fn(|context| loop {
            let mut moved = self.poll_read(&io, context);
            moved |= self.poll_write(&io, context);
            if changed.as_mut().poll(context).is_ready() {
                changed.set(socket.changed());
                self.call_if_unparked();
                moved = true;
            }
            moved |= self.poll_time(timer.as_mut(), context);
            if let Some(over) = self.over() {
                return Poll::Ready(Some(over));
            }
            if self.departs() {
                return Poll::Ready(None);
            }
            if !moved {
                return Poll::Pending;
            }
        })
        .await?;
        if over.2 != Ending::Transport && self.socket.doom().is_none() {
            self.socket.guarded().close_to_leases();
            crate::linger::close_after(io.into_inner());
        }
        Some(over)
    }

    /// Reads what there is. True if something else may have become possible.
    fn poll_read(&mut self, io: &AsyncFd<Lease>, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while self.is_reading() {
            match io.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    if self.read() {
                        ready.clear_ready();
                    }
                }
                Poll::Ready(Err(_)) => self.socket.end(Ending::Transport),
                Poll::Pending => break,
            }
            moved = true;
            if self.socket.doom().is_some() {
                break;
            }
        }
        moved
    }

    /// Sends what waits, as far as the kernel has room. True if something else may have become possible.
    fn poll_write(&mut self, io: &AsyncFd<Lease>, context: &mut Context<'_>) -> bool {
        if self.socket.outbox().is_empty() {
            return false;
        }
        match io.poll_write_ready(context) {
            Poll::Ready(Ok(mut ready)) => {
                self.socket.blocked.store(false, Ordering::Release);
                match self.socket.flush(FAIR, Patience::Never) {
                    Ok(Flushed::Full) => ready.clear_ready(),
                    Ok(Flushed::All | Flushed::Some) => {}
                    Ok(Flushed::Elsewhere) => return false, // who is at it wakes us, if something is left
                    Err(error) => self.socket.give_up_sending(&error),
                }
            }
            Poll::Ready(Err(_)) => self.socket.end(Ending::Transport),
            Poll::Pending => return false,
        }
        true
    }

    /// Does what is due. The timer is only ever set earlier, and once it has gone off: most deadlines move away.
    fn poll_time(&mut self, mut timer: Pin<&mut Sleep>, context: &mut Context<'_>) -> bool {
        if let Some(due) = self.deadline().filter(|due| *due < timer.deadline()) {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.pass();
        timer.reset(self.deadline().unwrap_or_else(|| Instant::now() + FAR));
        true
    }
}
