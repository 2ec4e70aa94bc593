//! Features of users' SSH configurations on a real sshd: certificates, keys in tokens, commands that know host keys.
//! Also more servers than file descriptors.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bowline_config::ssh::Ssh;
use bowline_engine::ports::{Network, Reader, ServerError};
use bowline_remote::{Options, UserConfig};
use common::*;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::{KeypairData, SkEd25519};
use russh::keys::ssh_key::public::{Ed25519PublicKey, SkEd25519 as PublicToken};
use russh::keys::{PrivateKey, PublicKey};

/// A server that accepts only certificates of an authority, no plain keys.
fn certified() -> Sshd {
    let sshd = Sshd::with("TrustedUserCAKeys {}/ca.pub");
    keygen(&sshd.path("ca"), "ed25519", "");
    std::fs::write(sshd.path("authorized_keys"), "").unwrap();
    sshd
}

/// Creates `KEY-cert.pub` next to a key.
fn certify(sshd: &Sshd, key: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-s"]).arg(sshd.path("ca")).args(["-I", "test", "-n", &user(), "-V", "+1h"]);
    assert!(command.arg(key.with_extension("pub")).status().unwrap().success());
}

#[tokio::test]
async fn a_certificate_beside_a_key_file_lets_in() {
    skip_without_sshd!();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let sshd = certified();
        let key = sshd.path("own");
        keygen(&key, kind, "");
        let ssh = Ssh { keys: vec![key.display().to_string()], ..sshd.ssh() };
        let (reason, _) = unreached(&network(ssh.clone(), sshd.options()), "127.0.0.1").await;
        assert!(reason.contains("was refused"), "{kind} without its certificate: {reason}");
        certify(&sshd, &key);
        let connected = network(ssh, sshd.options()).connect("127.0.0.1").await.map(|_| ());
        assert_eq!(connected, Ok(()), "{kind}: {}", sshd.log());
    }
}

#[tokio::test]
async fn a_certificate_in_the_agent_or_in_a_file_of_its_own_lets_in() {
    skip_without_sshd!();
    for kind in ["ed25519", "rsa"] {
        let sshd = certified();
        let key = sshd.path("own");
        keygen(&key, kind, "");
        certify(&sshd, &key);
        // The agent also loads the certificate next to the key.
        let agent = SshAgent::start(sshd.directory.path(), &[&key]);
        let moved = sshd.path("elsewhere");
        std::fs::rename(sshd.path("own-cert.pub"), &moved).unwrap();
        let ssh = Ssh { keys: Vec::new(), keys_only: false, ..sshd.ssh() };
        let options = Options { agent: Some(agent.socket.clone()), ..sshd.options() };
        let connected = network(ssh, options).connect("127.0.0.1").await.map(|_| ());
        assert_eq!(connected, Ok(()), "{kind} in the agent: {}", sshd.log());
        // The agent has only the key, and a file has the certificate.
        drop(agent);
        std::fs::remove_file(sshd.path("agent")).ok();
        let agent = SshAgent::start(sshd.directory.path(), &[&key]);
        let config = sshd.path("config");
        std::fs::write(&config, format!("CertificateFile {}\n", moved.display())).unwrap();
        let options = || Options { user_config: UserConfig::File(config.clone()), ..sshd.options() };
        let public = key.with_extension("pub").display().to_string();
        for (keys, agent) in
            [(vec![public], Some(agent.socket.clone())), (vec![key.display().to_string()], None)]
        {
            let ssh = Ssh { keys, ..sshd.ssh() };
            let connected =
                network(ssh, Options { agent, ..options() }).connect("127.0.0.1").await.map(|_| ());
            assert_eq!(connected, Ok(()), "{kind} by CertificateFile: {}", sshd.log());
        }
    }
}

#[tokio::test]
async fn what_the_configuration_says_of_a_connection_is_done() {
    skip_without_sshd!();
    let sshd = Sshd::with("Ciphers aes128-ctr,aes256-ctr\nLogLevel VERBOSE");
    let other = sshd.path("other");
    keygen(&other, "ed25519", "");
    let with = |text: &str, ssh: Ssh| {
        let config = sshd.path("config");
        std::fs::write(&config, format!("{text}\n")).unwrap();
        network(ssh, Options { user_config: UserConfig::File(config), ..sshd.options() })
    };
    let connected = async |text: &str| with(text, sshd.ssh()).connect("127.0.0.1").await.map(|_| ());
    let refused = async |text: &str, ssh: Ssh| unreached(&with(text, ssh), "127.0.0.1").await;

    assert_eq!(connected("Ciphers aes256-ctr").await, Ok(()), "{}", sshd.log());
    let (reason, _) = refused("Ciphers aes192-ctr", sshd.ssh()).await;
    assert!(reason.contains("no Cipher algorithm in common"), "{reason}");
    assert_eq!(connected("BindAddress 127.0.0.3").await, Ok(()));
    assert!(sshd.log().contains("from 127.0.0.3"), "{}", sshd.log());
    let (reason, _) = refused("AddressFamily inet6", sshd.ssh()).await;
    assert_eq!(reason, "127.0.0.1 has no IPv6 address, and AddressFamily is `inet6`");
    let (reason, hint) = refused("PubkeyAuthentication no", sshd.ssh()).await;
    assert!(reason.ends_with("PubkeyAuthentication in the SSH configuration allows no keys"), "{reason}");
    assert!(hint.contains("`ssh: {config: false}`"), "{hint}");
    // It doesn't matter if another key is accepted.
    let provider = "PKCS11Provider /usr/lib/token.so";
    assert_eq!(connected(provider).await, Ok(()));
    let ssh = Ssh { keys: vec![other.display().to_string()], ..sshd.ssh() };
    let (_, hint) = refused(provider, ssh).await;
    assert!(hint.contains("`ssh-add -s /usr/lib/token.so`"), "{hint}");
}

#[tokio::test]
async fn a_key_in_a_token_that_is_not_there_is_passed_over() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let public = PublicToken::new(Ed25519PublicKey([7; 32]), "ssh:".to_owned());
    let token = SkEd25519::new(public, 1, [1, 2, 3]).unwrap();
    let key = PrivateKey::new(KeypairData::SkEd25519(token), "token").unwrap();
    std::fs::write(sshd.path("sk"), key.to_openssh(LineEnding::LF).unwrap().as_str()).unwrap();
    let line: &PublicKey = key.public_key();
    std::fs::write(sshd.path("sk.pub"), format!("{}\n", line.to_openssh().unwrap())).unwrap();
    sshd.authorize(&sshd.path("sk.pub"));
    let sk = sshd.path("sk").display().to_string();
    let ssh = Ssh { keys: vec![sk.clone(), sshd.key()], ..sshd.ssh() };
    let connected = network(ssh, sshd.options()).connect("127.0.0.1").await.map(|_| ());
    assert_eq!(connected, Ok(()));
    let ssh = Ssh { keys: vec![sk], ..sshd.ssh() };
    let (reason, _) = unreached(&network(ssh, sshd.options()), "127.0.0.1").await;
    assert!(reason.contains("security token") && reason.contains("ssh-add"), "{reason}");
}

#[tokio::test]
async fn a_command_that_knows_host_keys_is_asked() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let key = std::fs::read_to_string(sshd.path("host.pub")).unwrap();
    keygen(&sshd.path("other"), "ed25519", "");
    let other = std::fs::read_to_string(sshd.path("other.pub")).unwrap();
    let config = sshd.path("config");
    let options = |command: &str| {
        let known = sshd.path("none").display().to_string();
        let text = format!(
            "KnownHostsCommand {command}\nStrictHostKeyChecking yes\nUserKnownHostsFile {known}\n\
             GlobalKnownHostsFile {known}\n"
        );
        std::fs::write(&config, text).unwrap();
        Options { user_config: UserConfig::File(config.clone()), known_hosts: None, ..sshd.options() }
    };
    let printing = |key: &str| format!("/bin/echo %H {}", key.trim());
    let connected = network(sshd.ssh(), options(&printing(&key))).connect("127.0.0.1").await.map(|_| ());
    assert_eq!(connected, Ok(()));
    let (reason, _) = unreached(&network(sshd.ssh(), options(&printing(&other))), "127.0.0.1").await;
    assert!(reason.contains("has changed"), "{reason}");
    let (reason, _) = unreached(&network(sshd.ssh(), options("/bin/false")), "127.0.0.1").await;
    assert!(reason.starts_with("KnownHostsCommand `/bin/false` failed"), "{reason}");
}

fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().skip(2).take(2).collect();
        matches!(fields.as_slice(), [to, "01"] if to.ends_with(&port))
    };
    table.lines().filter(open).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_servers_than_connections() {
    skip_without_sshd!();
    let hosts: Vec<String> = (1..=12).map(|n| format!("127.0.0.{n}")).collect();
    let listen: Vec<String> = hosts.iter().skip(1).map(|host| format!("ListenAddress {host}")).collect();
    let sshd = Sshd::with(&listen.join("\n"));
    let network = Arc::new(network(sshd.ssh(), Options { connections: 4, ..sshd.options() }));
    let (over, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (watched, seen, port) = (Arc::clone(&over), Arc::clone(&most), sshd.port);
    let watch = std::thread::spawn(move || {
        let mut before = 0;
        while !watched.load(Ordering::SeqCst) {
            // The kernel's table changes while it is read, so it may show a closed connection and its successor.
            let now = connections_to(port);
            seen.fetch_max(now.min(before), Ordering::SeqCst);
            before = now;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let tasks = hosts.iter().cloned().map(|host| {
        let network = Arc::clone(&network);
        tokio::spawn(async move {
            let server = network.connect(&host).await.unwrap();
            for n in 0..3 {
                assert_eq!(run(&server, &format!("echo {n}")).await.unwrap().stdout, format!("{n}\n"));
            }
            server
        })
    });
    let mut servers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        servers.push(task.await.unwrap());
    }
    over.store(true, Ordering::SeqCst);
    watch.join().unwrap();
    let most = most.load(Ordering::SeqCst);
    assert!((1..=4).contains(&most), "{most} connections at once");
    // Long-running programs keep their connections, so a fifth fails instead of waiting forever.
    let stay = step("echo up; exec cat");
    let mut kept = Vec::new();
    for server in &servers[..4] {
        kept.push(server.open(&stay, SOON, Reader::Prompt).await.unwrap());
    }
    let Err(ServerError::Unreachable { reason, hint }) = run(&servers[4], "true").await else {
        panic!("a fifth connection")
    };
    assert!(reason.contains("the limit of 4 open connections"), "{reason}");
    assert!(hint.unwrap().contains("ulimit -n"));
    kept.pop();
    assert!(run(&servers[4], "true").await.unwrap().success());
}
