//! Caches known_hosts files. Each is read once per run, for any number of servers.
//!
//! An index holds plain names. A hashed name has to be compared with every hashed line, which is most of the work in
//! a long file. So the hash of each line is keyed only once, and a line that matched one server is not tried for
//! another, since a hash covers one name.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::line::{Line, Lookup};
use super::{Entry, trouble};
use crate::Result;

#[derive(Debug, Clone, Default)]
pub(crate) struct Store(Arc<Mutex<HashMap<PathBuf, Index>>>);

#[derive(Debug, Default)]
struct Index {
    /// The file's length in bytes when it was read.
    length: u64,
    lines: Vec<(usize, Arc<Line>)>,
    /// The number of lines in the file, parsed or not.
    count: usize,
    plain: HashMap<String, Vec<usize>>,
    patterns: Vec<usize>,
    /// Lines whose hashed name is not known yet.
    hashed: Vec<usize>,
    /// The results of [`Self::find`] by name.
    found: HashMap<String, Vec<usize>>,
}

impl Store {
    fn files(&self) -> MutexGuard<'_, HashMap<PathBuf, Index>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    /// Forgets a file whose length has changed, so that it is read again.
    pub(super) fn refresh(&self, file: &Path, length: u64) {
        let mut files = self.files();
        if files.get(file).is_some_and(|index| index.length != length) {
            files.remove(file);
        }
    }

    /// Adds a host's line that was just appended to a file, whose length is now `length`.
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

    /// The positions in `lines` of those that apply to a host, in file order.
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
        // The new text is not seen until the file is read again.
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
