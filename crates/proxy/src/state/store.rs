//! The state file: read once, and replaced as a whole by each change.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::Value;

use super::{State, read};
use crate::{files, lock, log};

#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Services that could not be restored, by name. They stay in the file until their name is deployed or removed.
    kept: Mutex<Vec<(String, Value)>>,
}

impl Store {
    /// The file need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::default() }
    }

    /// Loads the saved state. Errors are only logged, because an empty start is better than none.
    pub fn load(&self) -> State {
        match fs::read_to_string(&self.path) {
            Ok(text) => self.take(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                log::info("No previous state to restore", &[("path", &self.path.display())]);
                State::new()
            }
            Err(error) => {
                self.complain("Failed to restore saved state", &error);
                State::new()
            }
        }
    }

    fn take(&self, text: &str) -> State {
        match read(text) {
            Ok((services, unreadable)) => {
                for bad in &unreadable {
                    let fields: [log::Field<'_>; 2] = [("service", &bad.name), ("error", &bad.error)];
                    log::error("Failed to decode a service of the saved state", &fields);
                }
                let mut kept = lock(&self.kept);
                *kept = unreadable.into_iter().map(|bad| (bad.name, bad.value)).collect();
                let values =
                    services.iter().filter_map(|s| Some((s.name.clone(), serde_json::to_value(s).ok()?)));
                kept.extend(values);
                drop(kept);
                log::info("Restored saved state", &[("path", &self.path.display())]);
                services
            }
            Err(error) => {
                self.complain("Failed to decode saved state", &error);
                self.put_aside();
                State::new()
            }
        }
    }

    /// Renames an unreadable file, so that a person can look at it.
    fn put_aside(&self) {
        let aside = self.path.with_extension("state.unreadable");
        match fs::rename(&self.path, &aside) {
            Ok(()) => log::warn("Kept the unreadable state", &[("path", &aside.display())]),
            Err(error) => self.complain("Failed to put the unreadable state aside", &error),
        }
    }

    /// Notes which services have been restored. The others stay in the file.
    pub fn restored(&self, services: &State) {
        lock(&self.kept).retain(|(name, _)| !services.iter().any(|service| service.name == *name));
    }

    /// Forgets a service that could not be restored. Returns whether there was one of this name.
    pub fn forget(&self, name: &str) -> bool {
        let mut kept = lock(&self.kept);
        let before = kept.len();
        kept.retain(|(kept, _)| kept != name);
        kept.len() < before
    }

    /// Saves the services. An error is logged too, and leaves the file as it was.
    pub fn save(&self, services: &State) -> io::Result<()> {
        let mut kept = lock(&self.kept);
        let others: Vec<_> = kept
            .iter()
            .filter(|(name, _)| !services.iter().any(|service| service.name == *name))
            .cloned()
            .collect();
        let written = self.write(services, &others);
        match &written {
            Ok(()) => {
                *kept = others;
                log::debug("Saved state", &[("path", &self.path.display())]);
            }
            Err(error) => self.complain("Unable to save state", error),
        }
        written
    }

    fn write(&self, services: &State, kept: &[(String, Value)]) -> io::Result<()> {
        let mut all: Vec<Value> = services.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        all.extend(kept.iter().map(|(_, value)| value.clone()));
        let mut text = serde_json::to_vec(&all)?;
        text.push(b'\n');
        files::replace(&self.path, &self.path.with_extension("state.new"), &text)
    }

    fn complain(&self, message: &str, error: &dyn std::fmt::Display) {
        log::error(message, &[("path", &self.path.display()), ("error", error)]);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::state::Service;

    fn named(name: &str) -> Service {
        let mut service = Service { name: name.to_owned(), ..Service::default() };
        service.options.normalize();
        service
    }

    fn names(path: &Path) -> Vec<String> {
        let all: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap_or("?").to_owned()).collect()
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kamal-proxy.state");
        let store = Store::new(path.clone());
        assert_eq!(store.load(), []);
        store.save(&vec![named("a"), named("b")]).unwrap();
        assert_eq!(Store::new(path.clone()).load(), [named("a"), named("b")]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_could_not_be_taken_over_stays_until_its_name_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kamal-proxy.state");
        fs::write(&path, r#"[{"name":"bad","options":3},{"name":"good"},{"name":"no-certificate"},4]"#)
            .unwrap();
        let store = Store::new(path.clone());
        assert_eq!(store.load().len(), 2);
        store.restored(&vec![named("good")]);
        store.save(&vec![named("good")]).unwrap();
        assert_eq!(names(&path), ["good", "bad", "?", "no-certificate"]);
        store.save(&vec![named("bad")]).unwrap();
        assert!(store.forget("no-certificate") && !store.forget("good"));
        store.save(&vec![named("bad")]).unwrap();
        assert_eq!(names(&path), ["bad", "?"]);
    }

    #[test]
    fn a_failed_save_is_an_error_and_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kamal-proxy.state");
        fs::write(&path, r#"[{"name":"bad","options":3},{"name":"good"}]"#).unwrap();
        let store = Store::new(path.clone());
        store.load();
        // A directory is in the place of the temporary file.
        let way = dir.path().join("kamal-proxy.state.new");
        fs::create_dir(&way).unwrap();
        assert!(store.save(&vec![named("bad")]).is_err());
        assert_eq!(names(&path), ["bad", "good"]);
        fs::remove_dir(&way).unwrap();
        store.save(&vec![named("new")]).unwrap();
        assert_eq!(names(&path), ["new", "bad", "good"]);
    }

    #[test]
    fn an_unreadable_file_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kamal-proxy.state");
        fs::write(&path, r#"[{"name":"a"#).unwrap();
        let store = Store::new(path.clone());
        assert_eq!(store.load(), []);
        store.save(&vec![named("b")]).unwrap();
        assert_eq!(names(&path), ["b"]);
        let aside = dir.path().join("kamal-proxy.state.unreadable");
        assert_eq!(fs::read_to_string(aside).unwrap(), r#"[{"name":"a"#);
    }
}
