//! What clients say, and how its answer is told from everything else that is said.

use crate::plan::Bench;

const TEXT: &str = "{text}";
const ID: &str = "{id}";

/// How messages are made.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    send: String,
    answer: String,
    payload: usize,
    /// Different in each run: a server's other clients may be saying the same.
    run: u32,
}

/// A message, and what its answer contains.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) said: String,
    pub(crate) answer: String,
}

impl Template {
    pub(crate) fn new(bench: &Bench) -> Self {
        let (send, answer) = (bench.send.clone(), bench.answer.clone());
        Self { send, answer, payload: bench.payload, run: fastrand::u32(..) }
    }

    /// The message of a number, which no other message of this run has.
    pub(crate) fn message(&self, number: u64) -> Message {
        let mut text = format!("{}{number}-", self.mark());
        text.extend(std::iter::repeat_n('x', self.payload.saturating_sub(text.len())));
        let filled = |template: &str| template.replace(TEXT, &text).replace(ID, &number.to_string());
        Message { said: filled(&self.send), answer: filled(&self.answer) }
    }

    /// The number of the message whose text this contains.
    pub(crate) fn number_in(&self, said: &str) -> Option<u64> {
        let (_, behind) = said.split_once(&self.mark())?;
        behind.split_once('-')?.0.parse().ok()
    }

    fn mark(&self) -> String {
        format!("hangup-{:x}-", self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_recognised_by_its_text() {
        let template = Template {
            send: "42[\"echo\",\"{text}\"]".into(),
            answer: "{text}".into(),
            payload: 40,
            run: 10,
        };
        let message = template.message(7);
        assert_eq!(message.answer.len(), 40);
        assert_eq!(template.number_in(&message.said), Some(7));
        assert_eq!(template.number_in("42[\"echo\",\"hangup-b-7-\"]"), None);
        assert_eq!(template.number_in("hangup-a-"), None);
    }

    #[test]
    fn an_acknowledgement_is_recognised_by_its_number() {
        let template =
            Template { send: "42{id}[\"save\"]".into(), answer: "43{id}[".into(), payload: 0, run: 1 };
        let message = template.message(12);
        assert_eq!((message.said.as_str(), message.answer.as_str()), ("4212[\"save\"]", "4312["));
    }
}
