//! What is counted: one table, from which the slots' layout, the names and the texts of every exporter follow.
//!
//! A word is one number of a slot. A counter has one word; a breakdown one for each combination of its labels; a
//! distribution, for each label, one per bucket and one for the sum.

pub use super::breakdown::{Breakdown, Label, Stack};
pub use super::counter::Counter;
pub use super::distribution::{Buckets, Distribution};

/// How many words a slot has values for.
pub(super) const WORDS: usize = {
    let last = Distribution::ALL[Distribution::ALL.len() - 1];
    last.first(0) + last.words()
};

/// `{stack="http",cause="reset"}` for each combination, in the order of their words; one empty text without labels.
fn combinations(labels: &[Label]) -> Vec<Vec<String>> {
    labels.iter().fold(vec![Vec::new()], |so_far, (label, values)| {
        let extended = so_far.iter().flat_map(|known| {
            values.iter().map(move |value| [&known[..], &[format!("{label}=\"{value}\"")]].concat())
        });
        extended.collect()
    })
}

fn series(name: &str, labels: &[String]) -> String {
    if labels.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", labels.join(","))
    }
}

/// The name of each word: a series of Prometheus's text format. Sums are of nanoseconds, or of bytes.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = Counter::ALL.iter().map(|counter| counter.name().to_owned()).collect();
    for breakdown in Breakdown::ALL {
        names.extend(combinations(breakdown.labels()).iter().map(|labels| series(breakdown.name(), labels)));
    }
    for distribution in Distribution::ALL {
        let (name, buckets) = (distribution.name(), distribution.buckets());
        for labels in combinations(distribution.labels()) {
            for bucket in 0..=buckets.bounds as usize {
                let bound = match buckets.bound(bucket) {
                    None => "+Inf".to_owned(),
                    Some(nanoseconds) if distribution.is_time() => (nanoseconds as f64 / 1e9).to_string(),
                    Some(bytes) => bytes.to_string(),
                };
                let labels = [&labels[..], &[format!("le=\"{bound}\"")]].concat();
                names.push(series(&format!("{name}_bucket"), &labels));
            }
            names.push(series(&format!("{name}_sum"), &labels));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_one_name() {
        let names = names();
        assert_eq!(names.len(), WORDS);
        let first = |name: &str| names.iter().position(|known| known == name).unwrap_or(usize::MAX);
        assert_eq!(first("peer_gone{stack=\"http\",cause=\"reset\"}"), Breakdown::PeerGone.first());
        assert_eq!(
            first("linger_duration_seconds_bucket{le=\"0.001048576\"}"),
            Distribution::LingerDuration.first(0)
        );
        assert_eq!(first("linger_duration_seconds_sum"), WORDS - 1);
        let mut unique = names.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
    }
}
