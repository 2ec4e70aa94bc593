//! Tracks which changes children have asked their predecessors to follow, and which predecessors still have to.

use std::collections::{BTreeSet, HashMap};

/// A child's number, in the order of starts.
pub(super) type Id = u64;

/// An answer that a child waits for, with the child's own number of the change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) to: Id,
    pub(super) number: String,
}

#[derive(Debug)]
struct PendingChange {
    by: Id,
    number: String,
    of: BTreeSet<Id>,
}

/// Changes that predecessors are following, by the ticket that was sent to them.
#[derive(Debug, Default)]
pub(super) struct Relay {
    asked: HashMap<u64, PendingChange>,
    last: u64,
}

impl Relay {
    /// Notes that `by` asks others to follow a change. Returns their ticket, or the answer if there are no others.
    pub(super) fn ask(&mut self, by: Id, number: &str, of: impl Iterator<Item = Id>) -> Result<u64, Answer> {
        let of: BTreeSet<_> = of.collect();
        let number = number.to_owned();
        if of.is_empty() {
            return Err(Answer { to: by, number });
        }
        self.last += 1;
        self.asked.insert(self.last, PendingChange { by, number, of });
        Ok(self.last)
    }

    /// Notes that a predecessor has followed the change with this ticket. Returns the answer if it was the last one.
    pub(super) fn followed(&mut self, child: Id, ticket: u64) -> Option<Answer> {
        let asked = self.asked.get_mut(&ticket)?;
        asked.of.remove(&child);
        if !asked.of.is_empty() {
            return None;
        }
        self.asked.remove(&ticket).map(|asked| Answer { to: asked.by, number: asked.number })
    }

    /// Notes that a child has ended, and neither gets answers nor delays them. Returns the answers now complete.
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
