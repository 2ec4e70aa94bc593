//! A malicious server can't hang Bowline, crash it, fill its memory, or draw on the screen. Whatever the server
//! claims, a deploy that visibly failed doesn't succeed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of tests stops the test"
)]

mod common;
#[path = "hostile/server.rs"]
mod server;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use server::{DRAWING, Harm, LOCKED, Server};

/// The maximum time for a command, whatever the server does.
const LONGEST: Duration = Duration::from_secs(100);
/// The maximum memory in KiB.
const LARGEST: u64 = 256 * 1024;

struct Ran {
    code: Option<i32>,
    said: String,
    peak: u64,
    took: Duration,
}

/// Runs `bowline` against a server, with pipes or on a terminal.
fn run(server: &Server, words: &[&str], terminal: bool) -> Ran {
    let config = format!(
        "service: app\nimage: app\nservers: [127.0.0.1]\nssh: {{port: {}, user: root, config: false}}\n\
         registry: {{username: u, password: [PW]}}\nhealthcheck: {{cmd: 'true'}}\nreadiness_delay: 1\n",
        server.port
    );
    let project = common::project(&[("config/deploy.yml", &config), (".kamal/secrets", "PW=secret\n")]);
    let bowline = env!("CARGO_BIN_EXE_bowline");
    let mut command = match terminal {
        // `script` (util-linux) provides the terminal, and prints what is shown on it.
        true => Command::new("script"),
        false => Command::new(bowline),
    };
    if terminal {
        let line = words.iter().fold(bowline.to_owned(), |line, word| format!("{line} '{word}'"));
        command.args(["-qec", &line, "/dev/null"]);
    } else {
        command.args(words);
    }
    command.current_dir(project.path()).env("HOME", project.path()).env("TERM", "xterm-256color");
    command.env_remove("SSH_AUTH_SOCK").env_remove("KAMAL_DESTINATION");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let (out, err) = (listen(child.stdout.take().unwrap()), listen(child.stderr.take().unwrap()));
    let (code, peak) = wait(&mut child, started, words);
    let said = [out.join().unwrap(), err.join().unwrap()].concat();
    Ran { code, said: String::from_utf8_lossy(&said).into_owned(), peak, took: started.elapsed() }
}

/// Reads all output. If it were gigabytes, the test would notice.
fn listen(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        from.read_to_end(&mut said).unwrap();
        said
    })
}

/// The exit code and the peak memory, which for a process tree is that of `child` only.
fn wait(child: &mut Child, started: Instant, words: &[&str]) -> (Option<i32>, u64) {
    let mut peak = 0;
    loop {
        peak = peak.max(memory(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), peak);
        }
        if started.elapsed() > LONGEST {
            child.kill().unwrap();
            panic!("{words:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status"));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Whether text contains anything that controls a terminal.
fn draws(said: &str) -> bool {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    said.chars().any(|c| (c.is_control() && c != '\n' && c != '\t') || hidden(c))
}

const DEPLOY: &[&str] = &["deploy", "--skip-push", "--version", "v1"];
const LOGS: &[&str] = &["app", "logs"];
const EXEC: &[&str] = &["app", "exec", "date"];
const LOCK: &[&str] = &["lock", "status"];
const ALL: [&[&str]; 6] = [DEPLOY, &["plan", "--version", "v1"], &["app", "details"], LOGS, EXEC, LOCK];

/// Runs every command. Each must end within the limits and leave the screen alone, and a deploy must fail.
fn stand(name: &str, server: &Server, commands: &[&[&str]]) -> Vec<String> {
    let mut all = Vec::new();
    for words in commands {
        let Ran { code, said, peak, took } = run(server, words, false);
        let shown: String = said.chars().take(2000).collect();
        let what = format!("{name}: {words:?} exit code {code:?}, {} MiB, {took:?}\n{shown}", peak / 1024);
        println!("{}", what.lines().next().unwrap_or_default());
        assert!(matches!(code, Some(0..=4)), "{what}");
        assert!(code != Some(0) || words[0] != "deploy", "a deploy claims success: {what}");
        assert!(code != Some(2), "{what}");
        assert!(!draws(&said), "{what:?}");
        assert!(!said.contains("a bug in Bowline"), "{what}");
        assert!(peak < LARGEST, "{what}");
        all.push(said);
    }
    all
}

#[test]
fn what_a_server_says_never_draws() {
    let drawing = || format!("{DRAWING}\n").into_bytes();
    stand("status 1", &Server::new(Harm::Err(drawing(), 3, 1)), &ALL);
    stand("status 0", &Server::new(Harm::Out(drawing(), 3, 0)), &ALL);
    stand("a signal", &Server::new(Harm::Signal(DRAWING.into())), &ALL);
    stand("a banner", &Server::new(Harm::Banner(DRAWING.repeat(100))), &ALL[..2]);
    stand("its last words", &Server::new(Harm::HangsUp(DRAWING.repeat(5))), &ALL);
    let answers = vec![
        (
            "@end",
            format!(
                "@docker {DRAWING}\n@lock {DRAWING}\n@maintenance {DRAWING}\n@image {DRAWING} {DRAWING}\n@end\n"
            ),
        ),
        ("@locked", format!("@held {DRAWING}\n")),
    ];
    stand("answers", &Server::new(Harm::Answers(answers)), &ALL);
}

#[test]
fn what_a_server_says_never_draws_at_a_terminal() {
    for harm in [
        Harm::Err(format!("{DRAWING}\n").into_bytes(), 3, 1),
        Harm::Out(format!("{DRAWING}\n").into_bytes(), 3, 0),
        Harm::HangsUp(DRAWING.into()),
    ] {
        let server = Server::new(harm);
        for words in [DEPLOY, EXEC, &["app", "exec", "-v", "date"]] {
            let Ran { code, said, .. } = run(&server, words, true);
            let what = format!("{words:?} {code:?} {said:?}");
            assert!(said.contains("127.0.0.1"), "{what}");
            for drawn in [
                "\u{1b}[31;41;5m",
                "\u{1b}]",
                "\u{1b}[2J",
                "\u{1b}P",
                "\u{1b}c",
                "\u{9b}",
                "\u{202e}",
                "\u{8}",
            ] {
                assert!(!said.contains(drawn), "{drawn:?} in {what}");
            }
        }
    }
}

#[test]
fn output_without_end_and_lines_without_end_are_bounded() {
    const WITHOUT_END: usize = usize::MAX / 2;
    let endless = |bytes: &[u8]| Server::new(Harm::Out(bytes.into(), WITHOUT_END, 0));
    stand("lines", &endless(b"a line that is one of many, and none that anybody has asked for\n"), &ALL);
    stand("line ends", &endless(b"\n"), &[EXEC]);
    stand("a line", &endless(b"x"), &[EXEC, LOCK]);
    stand("no UTF-8", &endless(b"\xff\xfe"), &[EXEC, LOCK]);
    stand("escapes", &endless(b"\x1b]"), &[EXEC, LOCK]);
    stand("errors", &Server::new(Harm::Err(b"an error\n".to_vec(), 300_000, 1)), &[EXEC]);
    stand("an error", &Server::new(Harm::Err(b"\xff".to_vec(), 300_000_000, 1)), &[LOCK]);
}

#[test]
fn an_answer_just_within_the_bound_is_no_trouble_either() {
    const MANY: usize = 15 << 20;
    let json = ["app", "exec", "--json", "date"];
    for (bytes, words) in [(&b"\n"[..], EXEC), (b"\0", &json), (b"\xff", EXEC), (b"\x1b]", EXEC)] {
        let name = String::from_utf8_lossy(bytes).escape_debug().to_string();
        let server = Server::new(Harm::Out(bytes.into(), MANY / bytes.len(), 0));
        stand(&name, &server, &[words, &["plan", "--version", "v1"]]);
    }
}

#[test]
fn hostile_json_is_an_error() {
    let observed = |line: String| Server::new(Harm::Answers(vec![("@end", line + "\n@end\n")]));
    let labels: String = (0..600_000).map(|number| format!("\"{number}\":\"\",")).collect();
    let container = format!(
        r#"{{"id":"a","name":"/a","created":"","image":"","image_id":"","status":"running","health":null,"labels":{{{labels}"service":"app"}},"mounts":null,"healthcheck":null,"networks":null,"args":null}}"#
    );
    stand("large", &observed(format!("@container {container}")), &[DEPLOY]);
    stand("deep", &observed(format!("@container {}", "[".repeat(3_000_000))), &[DEPLOY]);
    stand("deep objects", &observed(format!("@proxy {}", "{\"labels\":".repeat(300_000))), &[DEPLOY]);
    stand("numbers", &observed("@container {\"stop_timeout\":1e999999}".into()), &[DEPLOY]);
}

#[test]
fn a_handshake_without_end_is_over_in_time() {
    let within = |name: &str, server: Server| {
        let said = stand(name, &server, &[LOCK]).concat();
        assert!(said.contains("127.0.0.1"), "{said}");
    };
    within("lines before the version", Server::babbling(b"welcome \x1b[31;41;5mHACKED\r\n"));
    within("a line without end", Server::babbling(b"x"));
    within("no SSH", Server::babbling(b"SSH-2.0-x\r\n\x00\x00\x00\x7f\xff\xff\xff\xff"));
    within("large packets", Server::babbling(b"SSH-2.0-x\r\n\x7f\xff\xff\xff"));
}

#[test]
fn a_server_that_runs_nothing_or_only_says_so_deploys_nothing() {
    let said = stand("refuses", &Server::new(Harm::Refuses), &ALL).concat();
    assert!(said.contains("refused to run a command"), "{said}");
    let said = stand("says yes to all", &Server::new(Harm::Out(Vec::new(), 0, 0)), &[DEPLOY]).concat();
    assert!(said.contains("the lock could not be created: the server printed nothing"), "{said}");
    // An empty server, on which every command succeeds and does nothing.
    let empty = |more: &[(&'static str, &str)]| {
        let mut answers = vec![
            ("@locked", LOCKED.to_owned()),
            ("@docker", "@docker 27.0\n@network kamal\n@end\n".to_owned()),
            ("@image", "@image sha256:01\n".to_owned()),
        ];
        answers.extend(more.iter().map(|(part, text)| (*part, (*text).to_owned())));
        Server::new(Harm::Answers(answers))
    };
    let mute = Harm::Answers(vec![
        ("@locked", LOCKED.to_owned()),
        ("@docker", "@docker 27.0\n@network kamal\n@end\n".to_owned()),
    ]);
    let said = stand("names no image", &Server::new(mute), &[DEPLOY]).concat();
    assert!(said.contains("could not pull app:v1") && said.contains("has no line `@image`"), "{said}");
    let said = stand("claims", &empty(&[]), &[DEPLOY]).concat();
    assert!(said.contains("could not boot"), "{said}");
    // It claims that the container exists, but never that it is ready.
    let said = stand("has an id", &empty(&[("@id", "@id 0123\n@state running none 0 0 false\n")]), &[DEPLOY])
        .concat();
    assert!(said.contains("could not boot"), "{said}");
}
