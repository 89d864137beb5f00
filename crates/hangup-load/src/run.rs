//! A run: its thread, how it is stopped, and what it has counted so far.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::plan::Plan;
use crate::{bench, storm};

/// Load that is under way, or over.
#[derive(Debug)]
pub struct Load {
    counted: Counted,
    stopping: watch::Sender<bool>,
    over: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<JoinHandle<Result<(), String>>>>,
}

#[derive(Clone, Debug)]
enum Counted {
    Bench(Arc<Mutex<bench::Report>>),
    Storm(Arc<Mutex<storm::Report>>),
}

/// Says that a thread is over, also if it panics.
struct Over(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Over {
    fn drop(&mut self) {
        *self.0 .0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0 .1.notify_all();
    }
}

impl Load {
    /// Starts what is planned, on a thread of its own.
    ///
    /// # Errors
    /// The plan is not one; a thread cannot be started.
    pub fn start(plan: &str) -> Result<Self, String> {
        let plan: Plan = serde_json::from_str(plan).map_err(|error| error.to_string())?;
        let counted = match (&plan.bench, &plan.storm) {
            (Some(_), None) => Counted::Bench(Arc::new(Mutex::new(bench::Report::new()))),
            (None, Some(storm)) => {
                storm.check(plan.target.protocol, plan.target.transport)?;
                Counted::Storm(Arc::new(Mutex::new(storm::Report::new(storm))))
            }
            _ => return Err("either a bench or a storm".to_owned()),
        };
        let (stopping, mut is_stopping) = watch::channel(false);
        let over = Arc::new((Mutex::new(false), Condvar::new()));
        let (ended, counting) = (Over(Arc::clone(&over)), counted.clone());
        let run = move || {
            let _ended = ended;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            let stopped = async { drop(is_stopping.wait_for(|stop| *stop).await) };
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = work(plan, counting) => {}
                    () = stopped => {}
                }
            });
            Ok(())
        };
        let thread = std::thread::Builder::new().name("hangup-load".to_owned()).spawn(run);
        let thread = thread.map_err(|error| error.to_string())?;
        Ok(Self { counted, stopping, over, thread: Mutex::new(Some(thread)) })
    }

    /// Waits until it is over, for so long at most. Whether it is.
    ///
    /// # Errors
    /// It ended otherwise than it should.
    pub fn wait(&self, limit: Duration) -> Result<bool, String> {
        let over = self.over.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.over.1.wait_timeout_while(over, limit, |over| !*over);
        let (over, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !*over {
            return Ok(false);
        }
        drop(over);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(true),
            Some(Ok(Err(reason))) => Err(reason),
            Some(Err(_)) => Err("the thread that makes the load has panicked".to_owned()),
        }
    }

    /// Ends it at once: connections are dropped.
    pub fn stop(&self) {
        let _ = self.stopping.send(true); // unless it is over
    }

    /// What has been counted so far.
    pub fn report(&self) -> Value {
        match &self.counted {
            Counted::Bench(report) => report.lock().unwrap_or_else(PoisonError::into_inner).to_json(),
            Counted::Storm(report) => report.lock().unwrap_or_else(PoisonError::into_inner).to_json(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join(); // it was asked for nothing more
        }
    }
}

async fn work(plan: Plan, counted: Counted) {
    match (plan.bench, plan.storm, counted) {
        (Some(bench), _, Counted::Bench(report)) => bench::run(plan.target, &bench, report).await,
        (_, Some(storm), Counted::Storm(report)) => storm::run(plan.target, storm, report).await,
        _ => unreachable!("Load::start pairs them"),
    }
}
