//! What a child has asked of its predecessors, and who of them has yet to do it.

use std::collections::{BTreeSet, HashMap};

/// A child, by the order of their starts.
pub(super) type Id = u64;

/// An answer that a child waits for: its own number of the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) to: Id,
    pub(super) number: String,
}

#[derive(Debug)]
struct Asked {
    by: Id,
    number: String,
    of: BTreeSet<Id>,
}

/// Changes that predecessors follow at the moment, by the ticket they know them by.
#[derive(Debug, Default)]
pub(super) struct Relay {
    asked: HashMap<u64, Asked>,
    last: u64,
}

impl Relay {
    /// A child asks these to follow a change: the ticket to ask them with, or the answer if there are none.
    pub(super) fn ask(&mut self, by: Id, number: &str, of: impl Iterator<Item = Id>) -> Result<u64, Answer> {
        let of: BTreeSet<_> = of.collect();
        let number = number.to_owned();
        if of.is_empty() {
            return Err(Answer { to: by, number });
        }
        self.last += 1;
        self.asked.insert(self.last, Asked { by, number, of });
        Ok(self.last)
    }

    /// A predecessor has followed the change with this ticket: the answer, if it was the last of them.
    pub(super) fn followed(&mut self, child: Id, ticket: u64) -> Option<Answer> {
        let asked = self.asked.get_mut(&ticket)?;
        asked.of.remove(&child);
        if !asked.of.is_empty() {
            return None;
        }
        self.asked.remove(&ticket).map(|asked| Answer { to: asked.by, number: asked.number })
    }

    /// A child has ended: nothing is waited for any more from it, nor answered to it.
    pub(super) fn ended(&mut self, child: Id) -> Vec<Answer> {
        self.asked.retain(|_, asked| asked.by != child);
        let tickets: Vec<_> = self.asked.keys().copied().collect();
        tickets.into_iter().filter_map(|ticket| self.followed(child, ticket)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(to: Id, number: &str) -> Answer {
        Answer { to, number: number.to_owned() }
    }

    #[test]
    fn the_last_predecessor_to_follow_brings_the_answer() {
        let mut relay = Relay::default();
        assert_eq!(relay.ask(3, "1", std::iter::empty()), Err(answer(3, "1")));
        let first = relay.ask(3, "2", [1, 2].into_iter()).unwrap();
        let second = relay.ask(3, "3", [1, 2].into_iter()).unwrap();
        assert_eq!(relay.followed(1, first), None);
        assert_eq!(relay.followed(1, first), None);
        assert_eq!(relay.followed(2, second), None);
        assert_eq!(relay.followed(2, first), Some(answer(3, "2")));
        assert_eq!(relay.followed(2, first), None);
        assert_eq!(relay.ended(1), [answer(3, "3")]);
    }

    #[test]
    fn a_child_that_ended_is_not_answered() {
        let mut relay = Relay::default();
        let ticket = relay.ask(2, "1", [1].into_iter()).unwrap();
        assert_eq!(relay.ended(2), []);
        assert_eq!(relay.followed(1, ticket), None);
    }
}
