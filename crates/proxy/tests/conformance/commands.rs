//! The process, its commands, flags, texts and exit statuses.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::app::App;
use crate::ports::free_port;
use crate::proxy::{Proxy, command, outcome, run};

fn refused(line: &str) -> String {
    let home = TempDir::new().unwrap();
    let outcome = run(home.path(), &line.split_whitespace().collect::<Vec<_>>());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{line}: {outcome:?}");
    outcome.stderr.strip_prefix("Error: ").unwrap_or_else(|| panic!("{outcome:?}")).trim_end().to_owned()
}

#[test]
fn without_a_daemon_commands_say_so() {
    let home = TempDir::new().unwrap();
    let socket = home.path().join("kamal-proxy.sock");
    let expected = format!("Error: dial unix {}: connect: no such file or directory\n", socket.display());
    for line in
        ["list", "deploy web --target web:80", "remove web", "pause web", "resume web", "rollout stop web"]
    {
        let outcome = run(home.path(), &line.split(' ').collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (1, expected.as_str()), "{line}");
    }
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let outcome = run(home.path(), &["list"]);
    assert_eq!(outcome.stderr, expected.replace("no such file or directory", "connection refused"));
}

#[test]
fn the_socket_is_its_owners_and_is_where_the_environment_says() {
    let mut proxy = Proxy::start();
    let socket = proxy.home.path().join("kamal-proxy.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    if crate::ours() {
        assert_eq!(mode, 0o600);
    }
    let elsewhere = proxy.home.path().join("elsewhere.sock");
    let missing = outcome(command(proxy.home.path()).arg("list").env("KAMAL_PROXY_SOCKET", &elsewhere));
    assert!(missing.stderr.contains("elsewhere.sock"), "{missing:?}");
    std::fs::rename(&socket, &elsewhere).unwrap();
    let found = outcome(command(proxy.home.path()).arg("list").env("KAMAL_PROXY_SOCKET", &elsewhere));
    assert_eq!(found.code, 0, "{found:?}");
    // The socket of a killed daemon is replaced.
    proxy.signal("KILL");
    proxy.wait();
    let next = Proxy::start_in(proxy.home.clone(), &[]);
    assert_eq!(next.run(&["list"]).code, 0);
}

#[test]
fn the_data_directory_is_made_for_its_owner_alone() {
    let proxy = Proxy::start();
    let data = proxy.home.path().join(".config/kamal-proxy");
    assert_eq!(std::fs::metadata(data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn arguments_are_counted() {
    for line in
        ["deploy", "remove", "pause", "stop", "resume", "rollout deploy", "rollout set", "rollout stop"]
    {
        assert_eq!(refused(line), "accepts 1 arg(s), received 0", "{line}");
    }
    assert_eq!(refused("remove a b"), "accepts 1 arg(s), received 2");
    assert!(refused("list x").starts_with("unknown command \"x\" for \""));
    assert!(refused("nonsense").starts_with("unknown command \"nonsense\" for \""));
}

#[test]
fn flags_are_refused_in_these_words() {
    for (line, error) in [
        ("deploy web --nonsense", "unknown flag: --nonsense"),
        ("deploy web", "required flag(s) \"target\" not set"),
        ("rollout deploy web", "required flag(s) \"target\" not set"),
        ("rollout set web", "at least one of the flags in the group [percent list] is required"),
        ("deploy web --target", "flag needs an argument: --target"),
        (
            "deploy web --target web --drain-timeout=5",
            "invalid argument \"5\" for \"--drain-timeout\" flag: time: missing unit in duration \"5\"",
        ),
        (
            "deploy web --target web --tls=maybe",
            "invalid argument \"maybe\" for \"--tls\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        ("deploy web --target web --tls", "service options invalid: host must be set when using TLS"),
        (
            "deploy web --target web --tls --host a.example --path-prefix /api",
            "service options invalid: TLS settings must be specified on the root path service",
        ),
        (
            "deploy web --target web --host a.example,b.example --canonical-host c.example",
            "service options invalid: canonical-host 'c.example' must be present in the hosts list: [a.example b.example]",
        ),
        (
            "deploy web --target web --max-request-body 5",
            "max-request-body can only be set when request buffering is enabled",
        ),
        (
            "deploy web --target web --max-response-body 5",
            "max-response-body can only be set when response buffering is enabled",
        ),
        (
            "deploy web --target web --tls-on-demand-url /ask",
            "service options invalid: TLS must be enabled to use a TLS on-demand URL",
        ),
        (
            "deploy web --target web --tls --tls-on-demand-url /ask --host a.example",
            "service options invalid: cannot set hosts when using a TLS on-demand URL",
        ),
    ] {
        assert_eq!(refused(line), error, "{line}");
    }
    let group = refused("deploy web --target web --tls-certificate-path x");
    assert!(group.starts_with("if any flags in the group ["), "{group}");
    assert!(group.contains("] are set they must all be set"), "{group}");
}

#[test]
fn commands_have_help() {
    let home = TempDir::new().unwrap();
    for line in
        ["", "--help", "help", "deploy --help", "help deploy", "rollout", "rollout set --help", "run -h"]
    {
        let outcome = run(home.path(), &line.split_whitespace().collect::<Vec<_>>());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{line}");
        assert!(outcome.stdout.contains("Usage:"), "{line}: {}", outcome.stdout);
    }
    let deploy = run(home.path(), &["deploy", "--help"]).stdout;
    for flag in
        ["--target", "--health-check-path", "--tls-staging", "--buffer-memory", "--exclude-metrics-path"]
    {
        assert!(deploy.contains(flag), "{flag}");
    }
}

#[test]
fn unknown_services_are_not_found() {
    let proxy = Proxy::start();
    for line in [
        "remove web",
        "rm web",
        "pause web",
        "stop web",
        "resume web",
        "rollout set web --percent 5",
        "rollout stop web",
        "rollout deploy web --target web",
    ] {
        assert_eq!(proxy.fails(line), "service not found", "{line}");
    }
}

#[test]
fn targets_are_host_and_port() {
    let proxy = Proxy::start();
    for target in ["http://web", "web:80/", "we!b", "web:", "web:x"] {
        let error = proxy.fails(&format!("deploy web --target {target}"));
        assert_eq!(error, format!("{target} :invalid host pattern"));
    }
}

#[test]
fn list_is_a_table_sorted_by_name() {
    let (proxy, app) = (Proxy::start(), App::start("app"));
    let other = App::start("other");
    assert_eq!(proxy.list(), "Service  Host  Path  Target  State  TLS  \n");
    proxy.ok(&format!(
        "deploy web --target {},{} --host a.example --host b.example --path-prefix /,api/",
        app.address, other.address
    ));
    proxy.deploy("any", &app, "");
    proxy.ok("stop any");
    let targets = format!("{},{}", app.address, other.address);
    let rows: Vec<Vec<String>> =
        proxy.list().lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(rows[1], ["any", "*", "/", app.address.as_str(), "stopped", "no"]);
    assert_eq!(rows[2], ["web", "a.example,b.example", "/,/api", targets.as_str(), "running", "no"]);
    let raw = proxy.run(&["ls"]).stdout;
    assert!(raw.starts_with("\x1b[3;94mService\x1b[0m") && raw.contains("\x1b[1;34many\x1b[0m"), "{raw:?}");
}

#[test]
fn the_environment_names_ports_and_flags_win() {
    let (first, second) = (free_port(), free_port());
    let home = TempDir::new().unwrap();
    let mut child = command(home.path())
        .arg("run")
        .env("HTTP_PORT", "not a port")
        .env("KAMAL_PROXY_HTTP_PORT", first.to_string())
        .env("HTTPS_PORT", second.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::proxy::until("listening", || std::net::TcpStream::connect(("127.0.0.1", second)).is_ok());
    std::net::TcpStream::connect(("127.0.0.1", first)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn run_fails_when_a_port_is_taken() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let home = TempDir::new().unwrap();
    let outcome = outcome(command(home.path()).args(["run", "--http-port", &port, "--https-port", "0"]));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.stderr.starts_with("Error: "), "{outcome:?}");
}

#[test]
fn it_ends_with_zero_when_asked_to() {
    for signal in ["TERM", "INT"] {
        let mut proxy = Proxy::start();
        proxy.signal(signal);
        assert_eq!(proxy.wait().code(), Some(0), "{signal}");
        proxy.logged("Server stopped", |_| true);
    }
}

#[test]
fn requests_in_flight_are_answered_before_the_end() {
    let (mut proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let held = proxy.later("a.example", "/hold");
    app.wait_held(1);
    proxy.signal("TERM");
    crate::proxy::until("closed", || std::net::TcpStream::connect(("127.0.0.1", proxy.http)).is_err());
    app.release();
    assert_eq!(held.get().text(), "app GET /hold");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn commands_for_different_services_run_side_by_side() {
    let (proxy, app, sick) = (Proxy::start(), App::start("app"), App::start("sick"));
    sick.set_healthy(false);
    std::thread::scope(|scope| {
        let waiting = scope
            .spawn(|| proxy.run(&["deploy", "sick", "--target", &sick.address, "--host", "sick.example"]));
        crate::proxy::until("checked", || !sick.checks().is_empty());
        proxy.deploy("web", &app, "--host a.example");
        assert_eq!(proxy.get("a.example", "/").text(), "app GET /");
        assert!(!waiting.is_finished());
        sick.set_healthy(true);
        assert_eq!(waiting.join().unwrap().code, 0);
    });
}

#[test]
fn an_image_needs_a_file_and_a_static_program() {
    ours_alone!();
    let home = tempfile::TempDir::new().unwrap();
    let output = home.path().join("proxy.tar");
    let image = |words: &[&str]| crate::proxy::run(home.path(), &[&["image"], words].concat());
    assert_eq!(image(&[]).stderr, "Error: required flag(s) \"output\" not set\n");
    let name = image(&["--reference"]);
    assert!(name.code == 0 && name.stdout.starts_with("bowline-proxy:v10."), "{name:?}");
    let made = image(&["--output", output.to_str().unwrap()]);
    let is_static = made.code == 0 && made.stdout == name.stdout && output.exists();
    let refused = made.stderr.contains("not linked statically") && !output.exists();
    assert!(is_static || refused, "{made:?}");
}

#[test]
fn http3_is_refused_clearly() {
    ours_alone!();
    assert_eq!(refused("run --http3"), "HTTP/3 is not supported yet: start without --http3");
}

#[test]
fn rubbish_on_the_socket_is_refused_and_harms_nothing() {
    ours_alone!();
    let proxy = Proxy::start();
    let ask = |bytes: &[u8]| {
        use std::io::{Read, Write};
        let path = proxy.home.path().join("kamal-proxy.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(crate::app::PATIENCE)).unwrap();
        // The proxy may refuse before everything is written.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(ask(b"{\"version\":1,\"command\":\"nonsense\"}\n").contains("invalid command"));
    assert!(ask(b"{\"version\":2,\"command\":\"list\"}\n").contains("uses version 2"));
    assert!(ask(b"{\"version\":1").contains("incomplete"));
    assert_eq!(ask(b""), "");
    ask(&vec![b'x'; 3 << 20]);
    assert_eq!(proxy.run(&["list"]).code, 0);
}

/// The words of a text that start with `--`.
fn flags(text: &str) -> BTreeSet<&str> {
    let of_a_flag = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let words = text.split(|c| !of_a_flag(c)).filter(|word| word.len() > 2);
    words.filter(|word| word.starts_with("--") && !word.starts_with("---")).collect()
}

#[test]
fn the_manual_names_every_command_and_flag_and_no_other() {
    ours_alone!();
    let home = TempDir::new().unwrap();
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/proxy.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let commands = |words: &[&str]| {
        let help = run(home.path(), words).stdout;
        let listed =
            help.split("Available Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
        listed.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let rollout = commands(&["rollout", "--help"]).into_iter().map(|word| format!("rollout {word}"));
    let top = commands(&["--help"]).into_iter().filter(|word| word != "rollout");
    let mut known = String::from("--version");
    for command in top.chain(rollout) {
        assert!(manual.contains(&format!("`{command}")), "{command} is not in the manual");
        let words: Vec<_> = command.split(' ').chain(["--help"]).collect();
        known += &run(home.path(), &words).stdout;
    }
    let (known, named) = (flags(&known), flags(&manual));
    let missing: Vec<_> = known.difference(&named).collect();
    assert_eq!(missing, Vec::<&&str>::new(), "these are not in the manual");
    let tables: String = manual.lines().filter(|line| line.starts_with('|')).collect();
    let stale: Vec<_> = flags(&tables).into_iter().filter(|flag| !known.contains(flag)).collect();
    assert_eq!(stale, Vec::<&str>::new(), "the program does not have these");
}
