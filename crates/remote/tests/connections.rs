//! Connecting to a real sshd: host keys, logins, routes, and error messages.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bowline_config::Timeouts;
use bowline_config::secret::Secret;
use bowline_config::ssh::Ssh;
use bowline_engine::ports::Network;
use bowline_remote::{NoPrompt, Options, SshNetwork};
use common::*;

/// The known_hosts line for this server, with the key in `file`.
fn host_line(sshd: &Sshd, file: &str) -> String {
    let public = std::fs::read_to_string(sshd.path(file)).unwrap();
    let key = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    format!("[127.0.0.1]:{} {key}\n", sshd.port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_host_is_written_down_once() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    // Separate networks, so that each opens a connection.
    let tasks = (0..6).map(|_| {
        let network = sshd.network();
        tokio::spawn(async move { network.connect("127.0.0.1").await.map(|_| ()) })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), Ok(()));
    }
    assert_eq!(sshd.known_hosts(), host_line(&sshd, "host.pub"));
    let mode = std::fs::metadata(sshd.path("known_hosts")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    sshd.connect().await;
    assert_eq!(sshd.known_hosts(), host_line(&sshd, "host.pub"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_a_host() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let network = Arc::new(sshd.network());
    let tasks = (0..10).map(|_| {
        let network = Arc::clone(&network);
        tokio::spawn(async move { run(&network.connect("127.0.0.1").await.unwrap(), "echo x").await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap().unwrap().stdout, "x\n");
    }
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
async fn a_changed_host_key_stops_before_any_login() {
    skip_without_sshd!();
    let sshd = Sshd::with("LogLevel DEBUG");
    keygen(&sshd.path("other"), "ed25519", "");
    let text = format!("# mine\n{}", host_line(&sshd, "other.pub"));
    std::fs::write(sshd.path("known_hosts"), &text).unwrap();
    let (reason, hint) = unreached(&sshd.network(), "127.0.0.1").await;
    let file = sshd.path("known_hosts").display().to_string();
    assert!(reason.contains("has changed") && reason.contains(&format!("{file}:2")), "{reason}");
    assert!(hint.contains(&format!("ssh-keygen -f {file} -R '[127.0.0.1]:{}'", sshd.port)), "{hint}");
    assert!(!sshd.log().contains("userauth-request"), "{}", sshd.log());
    assert_eq!(sshd.known_hosts(), text);
}

#[tokio::test]
async fn a_revoked_host_key_stops() {
    skip_without_sshd!();
    let sshd = Sshd::with("LogLevel DEBUG");
    let line = host_line(&sshd, "host.pub");
    std::fs::write(sshd.path("known_hosts"), format!("{line}@revoked {line}")).unwrap();
    let (reason, _) = unreached(&sshd.network(), "127.0.0.1").await;
    assert!(reason.contains("revoked"), "{reason}");
    assert!(!sshd.log().contains("userauth-request"));
}

#[tokio::test]
async fn the_known_type_of_key_is_asked_for() {
    skip_without_sshd!();
    let keys = tempfile::tempdir().unwrap();
    let ecdsa = keys.path().join("ecdsa");
    keygen(&ecdsa, "ecdsa", "");
    let sshd = Sshd::with(&format!("HostKey {}", ecdsa.display()));
    std::fs::copy(keys.path().join("ecdsa.pub"), sshd.path("ecdsa.pub")).unwrap();
    // The server also has an ed25519 key, which we prefer by default.
    std::fs::write(sshd.path("known_hosts"), host_line(&sshd, "ecdsa.pub")).unwrap();
    sshd.connect().await;
}

#[tokio::test]
async fn a_wrong_key_lists_what_was_tried() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let wrong = sshd.path("wrong");
    keygen(&wrong, "ed25519", "");
    let agent = SshAgent::start(sshd.directory.path(), &[&wrong]);
    let keys = vec![wrong.display().to_string(), "~/missing".into()];
    let ssh = Ssh { keys: keys.clone(), keys_only: false, ..sshd.ssh() };
    let options = Options { agent: Some(agent.socket.clone()), ..sshd.options() };
    let (reason, hint) = unreached(&network(ssh, options), "127.0.0.1").await;
    assert!(reason.contains(&format!("the login as {} was refused: tried {}", user(), keys[0])), "{reason}");
    assert!(reason.contains("missing (no such file)") && reason.contains("the agent with 1 key"), "{reason}");
    assert!(hint.contains("authorized_keys"), "{hint}");
}

#[tokio::test]
async fn keys_that_are_given_as_texts_are_tried_first_and_never_written_down() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let locked = sshd.path("locked");
    keygen(&locked, "ed25519", "secret");
    let text = |path: &Path| Secret::new(std::fs::read_to_string(path).unwrap().trim_end());
    let ssh = Ssh { keys: Vec::new(), ..sshd.ssh() };
    let network = network(ssh, sshd.options());
    let unusable = ("the secret B".to_owned(), Secret::new("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense"));
    network.take_keys(vec![("the secret A".to_owned(), text(&locked)), unusable.clone()]);
    let (reason, _) = unreached(&network, "127.0.0.1").await;
    assert!(reason.contains("the secret A (encrypted, and no agent holds it"), "{reason}");
    assert!(reason.contains("the secret B (not a supported private key"), "{reason}");
    assert!(!reason.contains("nonsense"), "{reason}");
    network.take_keys(vec![unusable, ("the secret C".to_owned(), text(&sshd.path("id")))]);
    network.connect("127.0.0.1").await.map(|_| ()).unwrap();
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
async fn more_keys_than_the_server_has_patience_for() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxAuthTries 6");
    let keys = (0..8).map(|n| {
        let path = sshd.path(&format!("wrong{n}"));
        keygen(&path, "ed25519", "");
        path.display().to_string()
    });
    let ssh = Ssh { keys: keys.collect(), ..sshd.ssh() };
    let (reason, hint) = unreached(&network(ssh, sshd.options()), "127.0.0.1").await;
    assert!(reason.contains("Too many authentication failures"), "{reason}");
    assert!(hint.contains("keys_only"), "{hint}");
}

#[tokio::test]
async fn keys_of_all_kinds_in_files_and_in_the_agent() {
    skip_without_sshd!();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let sshd = Sshd::start();
        let key = sshd.path("own");
        keygen(&key, kind, "");
        std::fs::copy(sshd.path("own.pub"), sshd.path("authorized_keys")).unwrap();
        let ssh = Ssh { keys: vec![key.display().to_string()], ..sshd.ssh() };
        assert!(network(ssh, sshd.options()).connect("127.0.0.1").await.is_ok(), "{kind} in a file");
        let agent = SshAgent::start(sshd.directory.path(), &[&key]);
        let ssh = Ssh { keys: Vec::new(), keys_only: false, ..sshd.ssh() };
        let options = Options { agent: Some(agent.socket.clone()), ..sshd.options() };
        let connected = network(ssh, options).connect("127.0.0.1").await.map(|_| ());
        assert_eq!(connected, Ok(()), "{kind} in the agent");
    }
}

#[tokio::test]
async fn default_key_files_unless_only_the_named_ones() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    std::fs::create_dir(sshd.path(".ssh")).unwrap();
    std::fs::copy(sshd.key(), sshd.path(".ssh/id_ed25519")).unwrap();
    let ssh = Ssh { keys: Vec::new(), keys_only: false, ..sshd.ssh() };
    assert!(network(ssh.clone(), sshd.options()).connect("127.0.0.1").await.is_ok());
    let (reason, _) = unreached(&network(Ssh { keys_only: true, ..ssh }, sshd.options()), "127.0.0.1").await;
    assert!(reason.contains("there was no key to try"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_is_asked_once() {
    skip_without_sshd!();
    let (first, second) = (Sshd::start(), Sshd::start());
    let key = first.path("locked");
    keygen(&key, "ed25519", "open sesame");
    first.authorize(&first.path("locked.pub"));
    second.authorize(&first.path("locked.pub"));
    // The second is reached through the first, and both require the key.
    let ssh = Ssh {
        keys: vec![key.display().to_string()],
        proxy: vec![first.as_jump()],
        port: second.port,
        ..first.ssh()
    };
    let typist = Typist::new("open sesame");
    let network = SshNetwork::new(ssh.clone(), first.options(), typist.clone());
    let server = network.connect("127.0.0.1").await.unwrap();
    assert_eq!(run(&server, "echo x").await.unwrap().stdout, "x\n");
    assert_eq!(*typist.asked.lock().unwrap(), [key]);
    // First without a user to ask, then with a wrong passphrase.
    let (reason, _) =
        unreached(&SshNetwork::new(ssh.clone(), first.options(), Arc::new(NoPrompt)), "127.0.0.1").await;
    assert!(reason.contains("encrypted, and no terminal to ask"), "{reason}");
    let wrong = Typist::new("wrong");
    let (reason, _) =
        unreached(&SshNetwork::new(ssh.clone(), first.options(), wrong.clone()), "127.0.0.1").await;
    assert!(reason.contains("its passphrase was wrong"), "{reason}");
    assert_eq!(wrong.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_encrypted_key_that_the_agent_holds_asks_nobody() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    // The agent loads it before it is encrypted.
    let agent = SshAgent::start(sshd.directory.path(), &[&sshd.path("id")]);
    let mut lock = std::process::Command::new("ssh-keygen");
    lock.args(["-q", "-p", "-N", "sesame", "-f"]).arg(sshd.path("id"));
    assert!(lock.status().unwrap().success());
    let options = Options { agent: Some(agent.socket.clone()), ..sshd.options() };
    let typist = Typist::new("sesame");
    let network = SshNetwork::new(sshd.ssh(), options, typist.clone());
    assert!(network.connect("127.0.0.1").await.is_ok());
    assert!(typist.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_says_nothing_or_waits_for_its_owner_has_its_time() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { agent: second, connect: second, confirm: 2 * second, ..Timeouts::default() };
    let dumb = sshd.path("dumb");
    let _listener = std::os::unix::net::UnixListener::bind(&dumb).unwrap();
    let with = |agent: &Path| Options { agent: Some(agent.to_owned()), timeouts, ..sshd.options() };
    // The key file still works.
    assert!(network(sshd.ssh(), with(&dumb)).connect("127.0.0.1").await.is_ok());
    let keyless = || Ssh { keys: Vec::new(), keys_only: false, ..sshd.ssh() };
    let (reason, _) = unreached(&network(keyless(), with(&dumb)), "127.0.0.1").await;
    assert!(
        reason.contains("did not respond within 1 s (`timeouts: {agent: SECONDS}` raises the limit)"),
        "{reason}"
    );
    let askpass = sshd.path("askpass");
    std::fs::write(&askpass, "#!/bin/sh\nexec sleep 5 2>/dev/null\n").unwrap();
    std::fs::set_permissions(&askpass, std::fs::Permissions::from_mode(0o700)).unwrap();
    let agent = SshAgent::asking(&askpass, sshd.directory.path(), &[&sshd.path("id")]);
    let (reason, _) = unreached(&network(keyless(), with(&agent.socket)), "127.0.0.1").await;
    assert!(
        reason.contains("no response within 2 s (`timeouts: {confirm: SECONDS}` raises the limit)"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_configuration_that_takes_forever_has_the_time_of_a_connection() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let file = sshd.path("config");
    let pid = sshd.path("pid");
    let program = format!("echo $$ > {}; exec sleep 60", pid.display());
    std::fs::write(&file, format!("Match exec \"{program}\"\n  User nobody\n")).unwrap();
    let options = Options {
        timeouts: Timeouts { connect: Duration::from_secs(1), ..Timeouts::default() },
        user_config: bowline_remote::UserConfig::File(file),
        ..sshd.options()
    };
    let (reason, _) = unreached(&network(sshd.ssh(), options), "127.0.0.1").await;
    assert_eq!(
        reason,
        "`ssh -G` did not respond within 1 s (`timeouts: {connect: SECONDS}` raises the limit)"
    );
    // The processes that it started end, too.
    let program = format!("/proc/{}", std::fs::read_to_string(&pid).unwrap().trim());
    let until = Instant::now() + Duration::from_secs(10);
    while Path::new(&program).exists() {
        assert!(Instant::now() < until, "{program} is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_jump_host() {
    skip_without_sshd!();
    let (jump, target) = (Sshd::start(), Sshd::start());
    let keys = vec![jump.key(), target.key()];
    let ssh = Ssh { keys, proxy: vec![jump.as_jump()], ..target.ssh() };
    let network = network(ssh.clone(), target.options());
    let server = network.connect("127.0.0.1").await.unwrap();
    let output =
        run(&server, "echo \"$SSH_CONNECTION\"; head -c 3000000 /dev/zero | tr '\\0' x").await.unwrap();
    assert!(output.stdout.len() > 3_000_000);
    assert_eq!((jump.logins(), target.logins()), (1, 1));
    assert_eq!(target.known_hosts().lines().count(), 2);
}

#[tokio::test]
async fn a_jump_host_that_fails_is_named() {
    skip_without_sshd!();
    let mut jump = Sshd::with("AllowTcpForwarding no");
    let target = Sshd::start();
    let keys = vec![jump.key(), target.key()];
    let ssh = Ssh { keys, proxy: vec![jump.as_jump()], ..target.ssh() };
    let (reason, hint) = unreached(&network(ssh.clone(), target.options()), "127.0.0.1").await;
    assert!(
        reason.contains("the jump host does not forward") && hint.contains("AllowTcpForwarding"),
        "{reason}"
    );
    jump.kill();
    let (reason, _) = unreached(&network(ssh, target.options()), "127.0.0.1").await;
    assert!(reason.starts_with("jump host 127.0.0.1: "), "{reason}");
    assert!(reason.contains("refused the connection"), "{reason}");
}

#[tokio::test]
async fn through_a_proxy_command() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    // With `-i`, sshd uses its standard input and output as the connection.
    let command = format!("/usr/sbin/sshd -i -f {} # %r %h %p", sshd.path("sshd_config").display());
    let ssh = Ssh { proxy_command: Some(command), port: 1, ..sshd.ssh() };
    let server = network(ssh, sshd.options()).connect("no-such-host.invalid").await.unwrap();
    assert_eq!(run(&server, "echo x").await.unwrap().stdout, "x\n");
    assert!(sshd.known_hosts().starts_with("[no-such-host.invalid]:1 "));
    let ssh = Ssh { proxy_command: Some("false".into()), ..sshd.ssh() };
    let (reason, hint) = unreached(&network(ssh, sshd.options()), "127.0.0.1").await;
    assert!(reason.starts_with("the proxy command `false` did not connect to "), "{reason}");
    assert!(hint.starts_with("run the command yourself"), "{hint}");
}

#[tokio::test]
async fn a_closed_port() {
    skip_without_sshd!();
    let mut sshd = Sshd::start();
    sshd.kill();
    let (reason, hint) = unreached(&sshd.network(), "127.0.0.1").await;
    assert_eq!(reason, format!("127.0.0.1:{} refused the connection", sshd.port));
    assert_eq!(hint, format!("is sshd running on port {}?", sshd.port));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_or_something_else() {
    let directory = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = Options {
        timeouts: Timeouts { connect: Duration::from_secs(1), ..Timeouts::default() },
        home: Some(directory.path().to_owned()),
        agent: None,
        user_config: bowline_remote::UserConfig::None,
        known_hosts: Some(vec![directory.path().join("known_hosts")]),
        ..Options::from_env()
    };
    let ssh = Ssh { port, keys_only: true, ..Ssh::default() };
    let began = Instant::now();
    let network = Arc::new(network(ssh, options));
    // Concurrent connects get the same error without another wait.
    let tasks = (0..5).map(|_| {
        let network = Arc::clone(&network);
        tokio::spawn(async move { unreached(&network, "127.0.0.1").await })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (reason, _) = task.await.unwrap();
        assert!(reason.contains("sent nothing: no response within 1 s"), "{reason}");
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    // Our end of the connection is closed.
    let (mut first, _) = listener.accept().unwrap();
    let mut sent = Vec::new();
    first.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    std::io::Read::read_to_end(&mut first, &mut sent).unwrap();
    assert!(sent.starts_with(b"SSH-2.0-"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.example.com ESMTP\r\n");
        }
    });
    let (reason, _) = unreached(&network, "127.0.0.1").await;
    assert!(reason.contains("does not speak SSH") || reason.contains("hung up"), "{reason}");
}
