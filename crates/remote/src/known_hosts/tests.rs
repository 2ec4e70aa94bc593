use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use super::*;

const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";
const ECDSA: &str = "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

fn key(base64: &str) -> PublicKey {
    russh::keys::parse_public_key_base64(base64).unwrap()
}

fn files(text: &str) -> (TempDir, KnownHosts) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("known_hosts");
    std::fs::write(&file, text).unwrap();
    let hosts = KnownHosts {
        user: vec![file],
        global: Vec::new(),
        command: None,
        strict: true,
        new_hosts: NewHosts::Remember,
        hash: false,
    };
    (directory, hosts)
}

fn check(text: &str, host: &str, port: u16, shown: &str) -> Result<(), String> {
    let (_directory, hosts) = files(text);
    hosts
        .check(&Sources::default(), &HostName::new(host, port), &key(shown))
        .map(drop)
        .map_err(|e| e.to_string())
}

fn new(text: &str, host: &str, port: u16) -> bool {
    check(text, host, port, ED25519).is_err_and(|e| e.contains("is not known"))
}

#[test]
fn names_lists_patterns_and_negations() {
    let line = |hosts: &str| format!("# note\n\n{hosts} ssh-ed25519 {ED25519} comment here\n");
    assert_eq!(check(&line("web1"), "web1", 22, ED25519), Ok(()));
    assert_eq!(check(&line("web1"), "WEB1", 22, ED25519), Ok(()));
    assert_eq!(check(&line("a,10.0.0.?,b"), "10.0.0.7", 22, ED25519), Ok(()));
    assert_eq!(check(&line("*.example.com,!db.example.com"), "a.example.com", 22, ED25519), Ok(()));
    assert!(new(&line("*.example.com,!db.example.com"), "db.example.com", 22));
    assert!(new(&line("!db,!web"), "app", 22));
    assert!(new(&line("web1"), "web10", 22));
    assert!(new(&line("*b*1"), "web12", 22));
    assert!(new("web1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 ???\n@other web1 ssh-ed25519 AAAA\n", "web1", 22));
}

#[test]
fn ports() {
    let line = |hosts: &str| format!("{hosts} ssh-ed25519 {ED25519}\n");
    assert_eq!(check(&line("[web1]:2222"), "web1", 2222, ED25519), Ok(()));
    assert!(new(&line("[web1]:2222"), "web1", 22));
    assert!(new(&line("[web1]:2222"), "web1", 2223));
    assert_eq!(check(&line("[*.lan]:2222"), "a.lan", 2222, ED25519), Ok(()));
    // A key known under the plain name is enough, and another key there is ignored.
    assert_eq!(check(&line("web1"), "web1", 2222, ED25519), Ok(()));
    assert!(new(&format!("web1 ssh-ed25519 {OTHER}\n"), "web1", 2222));
}

#[test]
fn a_changed_key_names_the_line_and_the_way_out() {
    let (_directory, hosts) = files(&format!("# first\n[web1]:2222 ssh-ed25519 {OTHER}\n"));
    let Err(ServerError::Unreachable { reason, hint }) =
        hosts.check(&Sources::default(), &HostName::new("web1", 2222), &key(ED25519))
    else {
        panic!("accepted")
    };
    let file = hosts.user[0].display().to_string();
    assert!(reason.contains(&format!("{file}:2")) && reason.contains("SHA256:"), "{reason}");
    assert!(hint.unwrap().contains(&format!("ssh-keygen -f {file} -R '[web1]:2222'")));
}

#[test]
fn a_known_host_with_a_key_of_another_type_is_not_new() {
    let text = format!("web1 ecdsa-sha2-nistp256 {ECDSA}\n");
    assert!(check(&text, "web1", 22, ED25519).unwrap_err().contains("has changed"));
    let (_directory, hosts) = files(&text);
    let first = hosts.preferred(&Sources::default(), &HostName::new("web1", 22)).unwrap().remove(0);
    assert_eq!(first, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 });
    assert_eq!(
        hosts.preferred(&Sources::default(), &HostName::new("web2", 22)).unwrap()[0],
        Algorithm::Ed25519
    );
}

#[test]
fn revoked_beats_everything() {
    let text = format!("web1 ssh-ed25519 {ED25519}\n@revoked * ssh-ed25519 {ED25519}\n");
    assert!(check(&text, "web1", 22, ED25519).unwrap_err().contains("revoked"));
    let text = format!("[web1]:2222 ssh-ed25519 {ED25519}\n@revoked web1 ssh-ed25519 {ED25519}\n");
    assert!(check(&text, "web1", 2222, ED25519).unwrap_err().contains("revoked"));
    // Revoking another key doesn't make the host known.
    let text = format!("@revoked * ssh-ed25519 {OTHER}\n");
    assert!(new(&text, "web1", 22));
}

#[test]
fn where_a_certificate_is_wanted_a_plain_key_is_not_taken_on_faith() {
    let authority = format!("@cert-authority *.lan ssh-ed25519 {OTHER}\n");
    assert!(check(&authority, "a.lan", 22, ED25519).unwrap_err().contains("certificate"));
    assert!(check(&authority, "a.lan", 22, OTHER).unwrap_err().contains("certificate"));
    assert!(new(&authority, "a.wan", 22));
    assert_eq!(check(&format!("{authority}a.lan ssh-ed25519 {ED25519}\n"), "a.lan", 22, ED25519), Ok(()));
}

#[test]
fn names_hashed_by_openssh_are_found() {
    let (directory, hosts) =
        files(&format!("web1,10.0.0.1 ssh-ed25519 {ED25519}\n[web2]:2222 ssh-ed25519 {OTHER}\n"));
    let hashed = Command::new("ssh-keygen").arg("-H").arg("-f").arg(&hosts.user[0]).output();
    if hashed.is_err() {
        eprintln!("skipped: no ssh-keygen here");
        return;
    }
    let text = std::fs::read_to_string(&hosts.user[0]).unwrap();
    assert!(text.starts_with("|1|") && !text.contains("web1"));
    for (host, port, shown) in [("web1", 22, ED25519), ("10.0.0.1", 22, ED25519), ("web2", 2222, OTHER)] {
        assert_eq!(
            hosts.check(&Sources::default(), &HostName::new(host, port), &key(shown)),
            Ok(Known::Known),
            "{host}"
        );
    }
    assert!(hosts.check(&Sources::default(), &HostName::new("web2", 22), &key(OTHER)).is_err());
    drop(directory);
}

#[test]
fn openssh_finds_the_names_we_hash() {
    let (_directory, mut hosts) = files("");
    (hosts.strict, hosts.hash) = (false, true);
    hosts.check(&Sources::default(), &HostName::new("web1", 2222), &key(ED25519)).unwrap();
    assert!(std::fs::read_to_string(&hosts.user[0]).unwrap().starts_with("|1|"));
    hosts.strict = true;
    assert_eq!(
        hosts.check(&Sources::default(), &HostName::new("web1", 2222), &key(ED25519)),
        Ok(Known::Known)
    );
    let found = Command::new("ssh-keygen").args(["-F", "[web1]:2222", "-f"]).arg(&hosts.user[0]).output();
    if let Ok(found) = found {
        assert!(String::from_utf8_lossy(&found.stdout).contains(ED25519));
    }
}

#[test]
fn a_new_host_is_written_down_once_by_many_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(".ssh/known_hosts");
    let hosts = KnownHosts {
        user: vec![file.clone()],
        global: Vec::new(),
        command: None,
        strict: false,
        new_hosts: NewHosts::Remember,
        hash: false,
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                hosts.check(&Sources::default(), &HostName::new("web1", 22), &key(ED25519)).unwrap()
            });
        }
    });
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("web1 ssh-ed25519 {ED25519}\n"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_new_host_is_written_down_only_if_it_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(".ssh/known_hosts");
    let mut hosts = KnownHosts {
        user: vec![file.clone()],
        global: Vec::new(),
        command: None,
        strict: false,
        new_hosts: NewHosts::Accept,
        hash: false,
    };
    let check = |hosts: &KnownHosts| {
        hosts.check(&Sources::default(), &HostName::new("web1", 22), &key(ED25519)).unwrap()
    };
    assert_eq!(check(&hosts), Known::New);
    assert!(!directory.path().join(".ssh").exists());
    hosts.new_hosts = NewHosts::Remember;
    assert_eq!([check(&hosts), check(&hosts)], [Known::New, Known::Known]);
}

#[test]
fn a_last_line_without_an_end_stays_whole() {
    let (_directory, mut hosts) = files(&format!("web0 ssh-ed25519 {OTHER}"));
    hosts.strict = false;
    hosts.check(&Sources::default(), &HostName::new("web1", 22), &key(ED25519)).unwrap();
    let text = std::fs::read_to_string(&hosts.user[0]).unwrap();
    assert_eq!(text, format!("web0 ssh-ed25519 {OTHER}\nweb1 ssh-ed25519 {ED25519}\n"));
}

#[test]
fn a_file_that_cannot_be_read_is_no_reason_to_trust() {
    let directory = tempfile::tempdir().unwrap();
    // Even root can't read a directory as a file.
    let hosts = KnownHosts {
        user: vec![directory.path().join("own")],
        global: vec![directory.path().to_owned()],
        command: None,
        strict: false,
        new_hosts: NewHosts::Remember,
        hash: false,
    };
    let error = hosts.check(&Sources::default(), &HostName::new("web1", 22), &key(ED25519)).unwrap_err();
    assert!(error.to_string().contains("can't read"), "{error}");
    assert!(!hosts.user[0].exists());
}

#[test]
fn garbled_lines_are_read_or_passed_over() {
    let lines = [
        "example.com,10.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0= a comment",
        "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-rsa AAAAB3NzaC1yc2E=",
        "@revoked * ssh-rsa AAAAB3NzaC1yc2E=",
        "@cert-authority *.example.com,!a?.example.com ssh-rsa AAAAB3NzaC1yc2E=",
    ];
    crate::garble::each(&lines, |text| {
        for line in text.lines().filter_map(line::Line::parse) {
            line.speaks_of("[example.com]:2222");
        }
    });
}
