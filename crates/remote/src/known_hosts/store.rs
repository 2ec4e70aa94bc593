//! The files of known hosts. Each is read once per run, for any number of servers.
//!
//! Plain names are found by an index. A hashed name has to be tried with each line of its kind, which is most of the
//! work in a long file: the keyed half of every hash is prepared once, and a line that has been found to be one
//! server's is not tried for another, since a hash is that of one name.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::line::{Line, Lookup};
use super::{Entry, trouble};
use crate::Result;

/// What was read. Cheap to share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store(Arc<Mutex<HashMap<PathBuf, Index>>>);

#[derive(Debug, Default)]
struct Index {
    /// How long the file was.
    length: u64,
    lines: Vec<(usize, Arc<Line>)>,
    /// How many lines the file has, understood or not.
    count: usize,
    plain: HashMap<String, Vec<usize>>,
    /// Lines with patterns.
    patterns: Vec<usize>,
    /// Lines with a hashed name that is not known yet.
    hashed: Vec<usize>,
    /// What was found for a name.
    found: HashMap<String, Vec<usize>>,
}

impl Store {
    fn files(&self) -> MutexGuard<'_, HashMap<PathBuf, Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines of a file about a host.
    pub(super) fn entries(&self, file: &Path, name: &str) -> Result<Vec<Entry>> {
        let mut files = self.files();
        if !files.contains_key(file) {
            files.insert(file.to_owned(), Index::read(file).map_err(|e| trouble("read", file, &e))?);
        }
        let Some(index) = files.get_mut(file) else { return Ok(Vec::new()) };
        let found = index.find(name);
        let entry = |at: usize| {
            let (number, line) = index.lines.get(at)?;
            Some(Entry { file: file.to_owned(), number: *number, line: Arc::clone(line) })
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }

    /// Reads a file again if it is not as long as it was.
    pub(super) fn refresh(&self, file: &Path, length: u64) {
        let mut files = self.files();
        if files.get(file).is_some_and(|index| index.length != length) {
            files.remove(file);
        }
    }

    /// A line was written at the end of a file that is so long now, about this host.
    pub(super) fn added(&self, file: &Path, length: u64, name: &str, text: &str) {
        let mut files = self.files();
        if let Some(index) = files.get_mut(file) {
            index.find(name);
            index.length = length;
            index.count += 1;
            if let Some(line) = Line::parse(text) {
                index.found.entry(name.to_owned()).or_default().push(index.lines.len());
                index.lines.push((index.count, Arc::new(line)));
            }
        }
    }
}

impl Index {
    fn read(file: &Path) -> io::Result<Self> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let mut index = Self { length: bytes.len() as u64, ..Self::default() };
        for line in String::from_utf8_lossy(&bytes).lines() {
            index.count += 1;
            let Some(line) = Line::parse(line) else { continue };
            let at = index.lines.len();
            match line.kind() {
                Lookup::Plain(names) => {
                    for name in names {
                        index.plain.entry(name).or_default().push(at);
                    }
                }
                Lookup::Hashed => index.hashed.push(at),
                Lookup::Patterns => index.patterns.push(at),
            }
            index.lines.push((index.count, Arc::new(line)));
        }
        Ok(index)
    }

    /// The positions of the lines about a host, in the order of the file.
    fn find(&mut self, name: &str) -> Vec<usize> {
        if let Some(found) = self.found.get(name) {
            return found.clone();
        }
        let lines = &self.lines;
        let speaks = |at: &usize| lines.get(*at).is_some_and(|(_, line)| line.speaks_of(name));
        let mut found = self.plain.get(name).cloned().unwrap_or_default();
        found.extend(self.patterns.iter().copied().filter(speaks));
        self.hashed.retain(|at| {
            let its = speaks(at);
            if its {
                found.push(*at);
            }
            !its
        });
        found.sort_unstable();
        found.dedup();
        self.found.insert(name.to_owned(), found.clone());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_file_is_read_once_and_again_when_another_has_written_to_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        std::fs::write(&file, format!("a {KEY}\n*.lan,!b.lan {KEY}\n")).unwrap();
        let store = Store::default();
        let numbers = |name: &str| {
            let entries = store.entries(&file, name).unwrap();
            entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
        };
        assert_eq!((numbers("a"), numbers("a.lan"), numbers("b.lan")), (vec![1], vec![2], vec![]));
        // Nothing is read while nobody writes: what is there now is not seen.
        std::fs::write(&file, format!("c {KEY}\n")).unwrap();
        assert_eq!((numbers("a"), numbers("c")), (vec![1], vec![]));
        store.refresh(&file, std::fs::metadata(&file).unwrap().len());
        assert_eq!((numbers("a"), numbers("c")), (vec![], vec![1]));
        store.added(&file, 99, "d", &format!("d {KEY}"));
        assert_eq!((numbers("d"), numbers("c")), (vec![2], vec![1]));
    }

    #[test]
    fn a_hashed_line_is_tried_until_it_is_known_whose_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        let line = |name: &str| super::super::line::written(name, "ssh-ed25519", b"key", true);
        std::fs::write(&file, [line("a"), line("b"), line("c")].join("\n")).unwrap();
        let store = Store::default();
        let left = || store.files()[&file].hashed.len();
        for (name, number, rest) in [("b", 2, 2), ("a", 1, 1), ("b", 2, 1), ("c", 3, 0)] {
            let entries = store.entries(&file, name).unwrap();
            assert_eq!((entries.len(), entries[0].number, left()), (1, number, rest), "{name}");
        }
        assert!(store.entries(&file, "d").unwrap().is_empty());
    }
}
