#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::tls::testing::{Made, make, make_ec_pem, make_rsa_pem};

fn cache() -> (tempfile::TempDir, Cache) {
    let base = tempfile::tempdir().unwrap();
    let cache = Cache::new(base.path(), "");
    (base, cache)
}

#[test]
fn the_place_is_kamal_proxys() {
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Cache::new(Path::new("/certs"), ""), Cache(format!("/certs/{hash}").into()));
    assert_ne!(
        Cache::new(Path::new("/certs"), crate::options::ACME_STAGING),
        Cache::new(Path::new("/certs"), "")
    );
}

#[test]
fn what_is_stored_is_found_and_only_we_can_read_it() {
    let (base, cache) = cache();
    let Made { chain, key, .. } = make("a.example.com", Duration::from_secs(3600));
    assert!(cache.certificate("a.example.com", SystemTime::now()).is_none());
    cache.store("a.example.com", &key, &chain).unwrap();
    assert!(cache.certificate("a.example.com", SystemTime::now()).unwrap().covers("a.example.com"));
    let later = SystemTime::now() + Duration::from_secs(4000);
    assert!(cache.certificate("a.example.com", later).is_none());
    let directory = fs::read_dir(base.path()).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files, [directory.join("a.example.com")]);
    assert_eq!(fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_go_wrote_is_read() {
    let (_base, cache) = cache();
    for (name, file, pem) in [
        ("a.example.com", "a.example.com", make_ec_pem("a.example.com")),
        ("b.example.com", "b.example.com+rsa", make_rsa_pem("b.example.com")),
    ] {
        cache.write(file, pem.as_bytes()).unwrap();
        assert!(cache.certificate(name, SystemTime::now()).is_some(), "{file}");
    }
    let account = make_ec_pem("account");
    let key = account.split("-----BEGIN CERTIFICATE").next().unwrap();
    assert!(key.contains("BEGIN EC PRIVATE KEY"));
    cache.write(ACCOUNT_KEY, key.as_bytes()).unwrap();
    let key = cache.account_key().unwrap().unwrap();
    assert!(instant_acme::Key::from_pkcs8_der(key.clone_key()).is_ok());
    cache.store_account_key(&key).unwrap();
    assert_eq!(cache.account_key().unwrap().unwrap(), key);
}

#[test]
fn files_that_can_not_be_used_count_as_none() {
    let (_base, cache) = cache();
    let now = SystemTime::now();
    let (own, other) =
        (make("a.example.com", Duration::from_secs(3600)), make("b.example.com", Duration::from_secs(3600)));
    for content in [
        String::new(),
        own.key.clone(),
        own.chain.clone(),
        format!("{}{}", own.key, other.chain),
        format!("{}{}", other.key, own.chain),
        format!("{}{}", other.key, other.chain),
        format!("{}{}", own.key, own.chain.replace('M', "/")),
    ] {
        cache.write("a.example.com", content.as_bytes()).unwrap();
        assert!(cache.certificate("a.example.com", now).is_none(), "{content}");
    }
    assert!(cache.account_key().unwrap().is_none());
    cache.write(ACCOUNT_KEY, own.chain.as_bytes()).unwrap();
    assert!(cache.account_key().is_err());
}

#[test]
fn names_can_not_leave_the_directory() {
    let (_base, cache) = cache();
    for name in [
        "",
        ".",
        "..",
        "a",
        "a/b.com",
        "../a.com",
        "a..com",
        "A.com",
        "a.com.",
        ".a.com",
        "-a.com",
        "a-.com",
        "a b.com",
        "192.0.2.1",
        "[::1]",
        "acme_account+key",
        "a.com+rsa",
        "ä.com",
        "a.com\0",
    ] {
        assert!(!is_name(name), "{name}");
        assert!(cache.certificate(name, SystemTime::now()).is_none());
        assert!(cache.store(name, "key", "chain").is_err());
    }
    assert!(!is_name(&format!("{}.com", "a".repeat(64))) && !is_name(&format!("{}com", "a.".repeat(130))));
    for name in ["a.com", "xn--bcher-kva.example.com", "_x.a-b.co.uk", "1.a.2b"] {
        assert!(is_name(name), "{name}");
    }
}

#[test]
fn mutated_files_neither_crash_nor_pass_for_another_name() {
    let made = make("a.example.com", Duration::from_secs(3600));
    let good = format!("{}{}", made.key, made.chain).into_bytes();
    let mut random = crate::seeded::Random::new(5);
    for _ in 0..2_000 {
        let mut pem = good.clone();
        random.mutate(&mut pem);
        if let Ok(certificate) = Certificate::from_pem(&pem, &pem) {
            assert!(!certificate.covers("b.example.com"));
        }
    }
}
