//! Ends a run on a server in one round trip: stops its last old container, tags the version as the latest, and prunes.
//!
//! Each part is the same script as on its own, so it checks the server's mark again. The answer says how far the script
//! came. The remaining parts can run on their own.

use std::fmt;
use std::mem::take;
use std::str::FromStr;

use super::Scope;
use super::answer::Unreadable;
use super::app::{Stop, Stopped, Tag};
use super::prune::{Left, Prune};
use crate::plan::step::Step;
use crate::shell::Script;

const STOPPED: &str = "@stopped";
const TAGGED: &str = "@tagged";
const PRUNED: &str = "@pruned";

/// The remaining steps, in the order of execution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finish {
    pub stop: Option<Stop>,
    pub tag: Option<Tag>,
    pub prune: Option<Prune>,
}

impl Finish {
    /// The steps, each with the line that reports its success.
    fn parts(&self) -> impl Iterator<Item = (Step, &'static str)> {
        let stop = self.stop.clone().map(|stop| (Step::Stop(stop), STOPPED));
        let tag = self.tag.clone().map(|tag| (Step::Tag(tag), TAGGED));
        let prune = self.prune.clone().map(|prune| (Step::Prune(prune), PRUNED));
        stop.into_iter().chain(tag).chain(prune)
    }

    pub fn scope(&self) -> Option<&Scope> {
        let of_stop = self.stop.as_ref().map(|stop| &stop.scope);
        of_stop.or(self.tag.as_ref().map(|tag| &tag.scope)).or(self.prune.as_ref().map(|prune| &prune.scope))
    }

    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// Prints an [`Answer`]. A part that fails ends the script with its status.
    pub fn script(&self) -> Script {
        Script::new(
            self.parts()
                .map(|(part, done)| format!("{}echo {done}\n", part.script().text))
                .collect::<String>(),
        )
    }

    pub fn describe(&self) -> String {
        self.parts().map(|(part, _)| part.describe()).collect::<Vec<_>>().join(", ")
    }

    /// The steps that this answer doesn't report as done.
    #[must_use]
    pub fn rest(mut self, answer: &Answer) -> Self {
        self.stop = self.stop.filter(|_| answer.stopped.is_none());
        self.tag = self.tag.filter(|_| !answer.tagged);
        self.prune = self.prune.filter(|_| answer.pruned.is_none());
        self
    }

    /// The first remaining step, for display.
    pub fn next(&self) -> String {
        self.parts().next().map(|(part, _)| part.describe()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub stopped: Option<Stopped>,
    pub tagged: bool,
    pub pruned: Option<Left>,
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (mut answer, mut part) = (Self::default(), String::new());
        for line in text.lines() {
            match line.trim_end() {
                STOPPED => answer.stopped = Some(take(&mut part).parse()?),
                TAGGED => (answer.tagged, part) = (true, String::new()),
                PRUNED => answer.pruned = Some(take(&mut part).parse()?),
                line => part.extend([line, "\n"]),
            }
        }
        Ok(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stopped.iter().try_for_each(|stopped| writeln!(f, "{stopped}{STOPPED}"))?;
        if self.tagged {
            writeln!(f, "{TAGGED}")?;
        }
        self.pruned.iter().try_for_each(|left| writeln!(f, "{left}{PRUNED}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_part_says_is_not_taken_for_anothers() {
        let said = "@left cords/a\n@stopped\n@instead gone\n@tagged\n@left assets/b\n@pruned\n";
        let answer: Answer = said.parse().unwrap();
        assert_eq!(answer.stopped.and_then(|stopped| stopped.left).as_deref(), Some("cords/a"));
        assert_eq!((answer.tagged, answer.pruned), (true, Some(Left(vec!["assets/b".into()]))));
    }

    #[test]
    fn a_part_without_its_last_line_was_not_done() {
        let answer: Answer = "@left cords/a\n@stopped\n@instead gone\n".parse().unwrap();
        assert!(answer.stopped.is_some() && !answer.tagged && answer.pruned.is_none());
        assert_eq!("@left cords/a".parse::<Answer>().unwrap(), Answer::default());
    }
}
