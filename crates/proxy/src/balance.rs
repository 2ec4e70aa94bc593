//! Chooses the target for a request: round robin over the healthy targets. Reads go to readers if one is healthy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::target::{InvalidTarget, Target};

/// The targets of one deploy: writers get all kinds of requests, readers only reads.
#[derive(Debug, Default)]
pub struct Balancer {
    writers: Vec<Arc<Target>>,
    readers: Vec<Arc<Target>>,
    next_writer: AtomicUsize,
    next_reader: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// To a reader if one is healthy, else to a writer.
    Read,
    /// To writers only.
    Write,
}

impl Balancer {
    pub fn new(writers: &[String], readers: &[String], workers: usize) -> Result<Self, InvalidTarget> {
        let targets = |names: &[String]| {
            names.iter().map(|name| Target::new(name, workers).map(Arc::new)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { writers: targets(writers)?, readers: targets(readers)?, ..Self::default() })
    }

    /// Returns the next healthy target, or `None` if there is none.
    pub fn pick(&self, class: Class) -> Option<&Arc<Target>> {
        let reader = match class {
            Class::Read => next(&self.readers, &self.next_reader),
            Class::Write => None,
        };
        reader.or_else(|| next(&self.writers, &self.next_writer))
    }

    pub fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// Writers, then readers.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.writers.iter().chain(&self.readers)
    }

    pub fn writer_names(&self) -> Vec<String> {
        self.writers.iter().map(|t| t.name().to_string()).collect()
    }

    pub fn reader_names(&self) -> Vec<String> {
        self.readers.iter().map(|t| t.name().to_string()).collect()
    }
}

fn next<'a>(targets: &'a [Arc<Target>], at: &AtomicUsize) -> Option<&'a Arc<Target>> {
    if let [target] = targets {
        return target.is_healthy().then_some(target);
    }
    let start = at.fetch_add(1, Ordering::Relaxed);
    let mut healthy = targets.iter().filter(|t| t.is_healthy());
    let count = healthy.clone().count();
    healthy.nth(start.checked_rem(count)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Health;

    fn balancer(writers: &[&str], readers: &[&str]) -> Balancer {
        let names = |of: &[&str]| of.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let balancer = Balancer::new(&names(writers), &names(readers), 1).unwrap();
        balancer.targets().for_each(|t| _ = t.set_health(Health::Healthy));
        balancer
    }

    fn picks(balancer: &Balancer, class: Class, count: usize) -> Vec<String> {
        (0..count).filter_map(|_| balancer.pick(class)).map(|t| t.name().to_string()).collect()
    }

    #[test]
    fn round_robin_skips_what_is_unhealthy() {
        let b = balancer(&["w1", "w2", "w3"], &[]);
        assert_eq!(picks(&b, Class::Write, 4), ["w1", "w2", "w3", "w1"]);
        b.targets().nth(1).unwrap().set_health(Health::Unhealthy);
        let mut seen = picks(&b, Class::Read, 10);
        seen.sort();
        assert_eq!(seen, [vec!["w1"; 5], vec!["w3"; 5]].concat());
        b.targets().for_each(|t| _ = t.set_health(Health::Unhealthy));
        assert_eq!(picks(&b, Class::Read, 1), Vec::<String>::new());
    }

    #[test]
    fn reads_go_to_readers_and_fall_back_to_writers() {
        let b = balancer(&["ww"], &["r1", "r2"]);
        assert_eq!(picks(&b, Class::Read, 3), ["r1", "r2", "r1"]);
        assert_eq!(picks(&b, Class::Write, 2), ["ww", "ww"]);
        b.targets().skip(1).for_each(|t| _ = t.set_health(Health::Unhealthy));
        assert_eq!(picks(&b, Class::Read, 2), ["ww", "ww"]);
    }
}
