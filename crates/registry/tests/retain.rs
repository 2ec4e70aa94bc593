//! Tests which images stay in a store of limited size, and that damaged records don't get in the way.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bowline_registry::{Digest, Error, Store};
use common::*;
use tempfile::TempDir;

struct Shelf {
    directory: TempDir,
    store: Store,
    /// The number of images taken so far.
    taken: u64,
}

impl Shelf {
    fn new() -> Self {
        let (directory, store) = store();
        Self { directory, store, taken: 0 }
    }

    fn record(&self, name: &str) -> PathBuf {
        self.directory.path().join("store/images").join(Digest::of(name.as_bytes()).hex())
    }

    /// Takes an image with these layers, each a seed and a length, as the newest.
    fn take(&mut self, name: &str, layers: &[(u64, usize)]) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|(seed, length)| layer(*seed, *length)).collect();
        let mut files = Files::default();
        let image = files.image(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>(), true, "amd64");
        let layout = TempDir::new().unwrap();
        files.roots(&[image]).write(layout.path());
        self.store.take_layout(layout.path(), name).unwrap();
        self.is_newest(name);
    }

    fn is_newest(&mut self, name: &str) {
        self.taken += 1;
        let record = File::options().write(true).open(self.record(name)).unwrap();
        record.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(self.taken)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        self.store.images().unwrap().into_iter().map(|kept| kept.name).collect()
    }

    fn size(&self) -> u64 {
        let blobs = fs::read_dir(self.directory.path().join("store/blobs/sha256")).unwrap();
        blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum()
    }
}

#[test]
fn the_newest_images_of_a_repository_stay() {
    let mut shelf = Shelf::new();
    for (name, seed) in [("app:v1", 1), ("other:v1", 2), ("app:v2", 3), ("app:v3", 4)] {
        shelf.take(name, &[(seed, 1000)]);
    }
    shelf.store.keep_as("app:v3", "app:latest").unwrap();
    shelf.is_newest("app:latest");
    shelf.store.retain("app", 2, u64::MAX).unwrap();
    assert_eq!(shelf.names(), ["app:latest", "app:v2", "app:v3", "other:v1"]);
    shelf.store.retain("app", 2, 0).unwrap();
    assert_eq!(shelf.names(), ["app:latest", "app:v3"]);
}

#[test]
fn layers_of_a_forgotten_image_count_for_an_older_one() {
    let shelf = || {
        let mut shelf = Shelf::new();
        shelf.take("other:v1", &[(1, 50_000), (2, 1000)]);
        shelf.take("other:v2", &[(1, 50_000), (3, 50_000)]);
        shelf.take("app:v1", &[(4, 1000)]);
        shelf
    };
    let small = shelf();
    small.store.retain("app", 2, 40_000).unwrap();
    assert_eq!(small.names(), ["app:v1"]);
    assert!(small.size() < 40_000);
    let larger = shelf();
    larger.store.retain("app", 2, 70_000).unwrap();
    assert_eq!(larger.names(), ["app:v1", "other:v1"]);
}

#[test]
fn an_image_that_is_too_large_stays_under_none_of_its_names() {
    let mut shelf = Shelf::new();
    shelf.take("other:v1", &[(1, 50_000)]);
    shelf.store.keep_as("other:v1", "other:latest").unwrap();
    shelf.is_newest("other:latest");
    shelf.take("app:v1", &[(2, 1000)]);
    shelf.store.retain("app", 2, 40_000).unwrap();
    assert_eq!(shelf.names(), ["app:v1"]);
}

#[test]
fn a_damaged_record_is_that_of_no_image() {
    let mut shelf = Shelf::new();
    for (name, seed) in [("app:v1", 1), ("app:v2", 2), ("app:v3", 3)] {
        shelf.take(name, &[(seed, 1000)]);
    }
    let size = shelf.size();
    fs::write(shelf.record("app:v1"), "").unwrap();
    fs::write(shelf.record("app:v2"), "{\"name\":\"app:").unwrap();
    assert_eq!(shelf.names(), ["app:v3"]);
    assert!(matches!(shelf.store.image("app:v1"), Err(Error::Unknown(_))));
    assert!(matches!(shelf.store.keep_as("app:v2", "app:x"), Err(Error::Unknown(_))));
    shelf.store.keep_as("app:v3", "app:latest").unwrap();
    shelf.store.retain("app", 2, u64::MAX).unwrap();
    assert!(shelf.size() < size / 2);
    assert!(!shelf.record("app:v1").exists() && !shelf.record("app:v2").exists());
    shelf.take("app:v1", &[(1, 1000)]);
    shelf.store.image("app:v1").unwrap();
}
