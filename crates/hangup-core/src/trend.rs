//! Where a count of descriptors is going.
//!
//! # How
//! The slope is the median of the slopes between all pairs of samples (Theil 1950, Sen 1968): up to a quarter of the
//! samples may be bursts without moving it. What is forecast is a line through the latest samples' median.
//!
//! # Not promised
//! A forecast of less than [`LEAST`] samples, or of a count that does not grow.

use std::collections::VecDeque;

/// Samples that are kept: 2,016 pairs.
pub const KEPT: usize = 64;
/// Samples without which nothing is said.
pub const LEAST: usize = 5;

/// Samples of a count, with their times in seconds.
#[derive(Debug, Default)]
pub struct Trend {
    samples: VecDeque<(f64, f64)>,
}

impl Trend {
    /// Adds a sample, later than those before.
    pub fn add(&mut self, seconds: f64, count: f64) {
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back((seconds, count));
    }

    /// When the latest sample was taken.
    pub fn latest(&self) -> Option<f64> {
        self.samples.back().map(|(seconds, _)| *seconds)
    }

    /// Growth per second; 0 if too little is known.
    pub fn slope(&self) -> f64 {
        if self.samples.len() < LEAST {
            return 0.0;
        }
        let mut slopes = Vec::with_capacity(self.samples.len() * (self.samples.len() - 1) / 2);
        for (number, (late, high)) in self.samples.iter().enumerate() {
            let earlier = self.samples.iter().take(number).filter(|(early, _)| early < late);
            slopes.extend(earlier.map(|(early, low)| (high - low) / (late - early)));
        }
        median(slopes)
    }

    /// Seconds from the latest sample until the count is `limit`; `None` if it does not grow.
    pub fn seconds_until(&self, limit: f64) -> Option<f64> {
        let slope = self.slope();
        let latest = self.latest()?;
        if slope <= 0.0 {
            return None;
        }
        let here = median(self.samples.iter().map(|(at, count)| count + slope * (latest - at)).collect());
        Some(((limit - here) / slope).max(0.0))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::Trend;

    fn after(counts: impl IntoIterator<Item = f64>) -> Trend {
        let mut trend = Trend::default();
        counts.into_iter().enumerate().for_each(|(second, count)| trend.add(second as f64, count));
        trend
    }

    #[test]
    fn a_steady_leak_is_forecast_to_the_second() {
        let left = after((0..50).map(|second| 100.0 + 4.0 * f64::from(second))).seconds_until(500.0);
        assert!(left.is_some_and(|left| (left - 51.0).abs() < 1e-9), "{left:?}");
    }

    #[test]
    fn bursts_do_not_move_it() {
        let burst = |second: u32| if second % 6 == 0 { 300.0 } else { 0.0 };
        let trend = after((0..60).map(|second| 2.0 * f64::from(second) + burst(second)));
        assert!((trend.slope() - 2.0).abs() < 0.2, "{}", trend.slope());
        assert!(trend.seconds_until(318.0).is_some_and(|left| (90.0..110.0).contains(&left)));
    }

    #[test]
    fn what_does_not_grow_runs_out_never() {
        assert_eq!(after([7.0; 20]).seconds_until(100.0), None);
        assert_eq!(after((0..20).map(|second| 90.0 - f64::from(second))).seconds_until(100.0), None);
        assert_eq!(after([1.0, 50.0]).seconds_until(100.0), None);
    }
}
