//! `app exec`: where a command runs, what passes between it and the console, and what ends it.

use bowline_core::commands::exec::Mode;
use bowline_core::selection::Filters;

use super::*;
use crate::exec::{self, ExecRequest};
use crate::ports::{Exit, Piece, Size, Terminal};
use crate::testing::FakeConsole;
use crate::testing::project_with;
use crate::world::Gathered;

fn request(mode: Mode, words: &str) -> ExecRequest {
    let words = words.split(' ').map(Into::into).collect();
    ExecRequest { words, env: Vec::new(), reuse: false, mode }
}

fn reuse(mode: Mode, words: &str) -> ExecRequest {
    ExecRequest { reuse: true, ..request(mode, words) }
}

fn unversioned() -> Options {
    Options { version: None, ..options("") }
}

async fn gather(scripted: &Scripted, project: &Project, request: &ExecRequest) -> Result<Gathered, RunError> {
    let options = unversioned();
    let run = exec::exec(scripted.call(project, &options), request);
    timeout(Duration::from_secs(600), run).await.expect("it ends")
}

async fn attach(
    scripted: &Scripted,
    project: &Project,
    request: &ExecRequest,
    console: &FakeConsole,
) -> Result<Exit, RunError> {
    let options = unversioned();
    let run = exec::attach(scripted.call(project, &options), request, console);
    timeout(Duration::from_secs(600), run).await.expect("it ends")
}

/// The commands that were sent with this description, with their servers and roles.
fn commands(scripted: &Scripted, begins: &str) -> Vec<(String, String, String)> {
    let sent = |event: Event| match event {
        Event::StepStarted { host, role: Some(role), what, command } if what.starts_with(begins) => {
            Some((host, role, command))
        }
        _ => None,
    };
    scripted.recorder.events().into_iter().filter_map(sent).collect()
}

fn terminal(typed: &[&str]) -> FakeConsole {
    let size = |columns, rows| Size { columns, rows, ..Size::default() };
    FakeConsole {
        terminal: Some(Terminal { kind: "xterm".into(), size: size(80, 24) }),
        sizes: [size(100, 30)].into_iter().collect::<std::collections::VecDeque<_>>().into(),
        ..pipe(typed)
    }
}

fn pipe(input: &[&str]) -> FakeConsole {
    let input: std::collections::VecDeque<Vec<u8>> =
        input.iter().map(|text| text.as_bytes().into()).collect();
    FakeConsole { input: input.into(), ..FakeConsole::default() }
}

const DIFFERENT: &str = "service: app
image: app
env: {clear: {WHO: all}}
volumes: [data:/data]
servers:
  web: {hosts: [a, b]}
  workers: {hosts: [b, c], cmd: work, env: {clear: {WHO: workers}, secret: [KEY]}, options: {memory: 64m}}
";

#[tokio::test(start_paused = true)]
async fn s12_a_new_container_for_each_role_on_each_server_with_what_is_the_roles_own() {
    let scripted = Scripted::new(&HOSTS);
    let project = project_with(DIFFERENT, "KEY=sentinel-key\n");
    let gathered = gather(&scripted, &project, &request(Mode::Gathered, "echo hi")).await.unwrap();
    let places: Vec<_> = gathered
        .outputs
        .iter()
        .map(|output| (output.host.as_str(), output.role.as_deref().unwrap(), output.output.stdout.as_str()))
        .collect();
    let expected =
        [("a", "web", "hi\n"), ("b", "web", "hi\n"), ("b", "workers", "hi\n"), ("c", "workers", "hi\n")];
    assert_eq!(places, expected);
    assert_eq!(gathered.error(), None);
    for (_, role, command) in commands(&scripted, "run `echo hi`") {
        let worker = role == "workers";
        assert_eq!(command.contains("--env 'WHO=workers'"), worker, "{command}");
        assert_eq!(command.contains("--env 'WHO=all'"), !worker, "{command}");
        assert_eq!(command.contains("--memory=64m"), worker, "{command}");
        assert!(command.contains("--volume data:/data") && command.contains(" r.test/app:latest echo hi"));
        assert!(command.contains(&format!("/env/roles/{role}.exec-")), "{command}");
    }
    assert_eq!(commands(&scripted, "prepare the container").len(), 4);
    let events = format!("{:?}", scripted.recorder.events());
    assert!(!events.contains("sentinel-key"));
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_known_before_any_server_is_asked() {
    let scripted = Scripted::new(&HOSTS);
    let project = project(DIFFERENT);
    let missing = gather(&scripted, &project, &request(Mode::Gathered, "echo")).await.unwrap_err();
    let RunError::Invalid(missing) = missing else { panic!("{missing:?}") };
    assert!(missing.render(false).contains("`KEY`"), "{missing:?}");
    let project = project_with(DIFFERENT, "KEY=1\n");
    let several = attach(&scripted, &project, &request(Mode::Raw, "echo"), &pipe(&[])).await.unwrap_err();
    let RunError::Usage { message, hint } = several else { panic!("{several:?}") };
    assert!(message.contains("would run in 4"), "{message}");
    assert!(hint.unwrap().contains("--primary"));
    assert!(scripted.recorder.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_container_is_enough_for_raw_output() {
    let scripted = Scripted::new(&HOSTS);
    let filters = Filters { roles: vec!["workers".into()], ..Filters::default() };
    let options = Options { filters, ..unversioned() };
    let console = pipe(&["unread"]);
    let exit =
        exec::attach(scripted.call(&project(CONFIG), &options), &request(Mode::Raw, "both"), &console).await;
    assert_eq!(exit, Ok(Exit::Status(0)));
    let written = console.written.lock().unwrap().clone();
    assert_eq!(written, [Piece::Out(b"out".to_vec()), Piece::Err(b"err".to_vec())]);
    assert_eq!(console.input.lock().unwrap().len(), 1, "nobody read it");
    assert_eq!(scripted.network.machine("c").attached, ["attach", "end of input", "let go"]);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_passes_both_ways_on_the_primary_server_alone() {
    let scripted = Scripted::new(&HOSTS);
    let console = pipe(&["one\0", "two\n"]);
    let exit = attach(&scripted, &project(CONFIG), &request(Mode::Piped, "cat"), &console).await;
    assert_eq!(exit, Ok(Exit::Status(0)));
    let written = console.written.lock().unwrap().clone();
    assert_eq!(written, [Piece::Out(b"one\0".to_vec()), Piece::Out(b"two\n".to_vec())]);
    assert_eq!(commands(&scripted, "run").len(), 1);
    assert_eq!(scripted.network.machine("a").attached, ["attach", "end of input", "let go"]);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_is_given_on_with_its_size_and_given_back_whatever_happens() {
    for (words, exit) in [("exit 3", Some(Exit::Status(3))), ("lose", None)] {
        let scripted = Scripted::new(&HOSTS);
        let console = terminal(&[]);
        let ended = attach(&scripted, &project(CONFIG), &request(Mode::Terminal, words), &console).await;
        assert_eq!(ended.as_ref().ok(), exit.as_ref());
        assert!(console.is_restored(), "{words}");
        let machine = scripted.network.machine("a");
        assert_eq!(machine.attached, ["attach xterm 80x24", "resize 100x30", "let go"]);
        assert!(!machine.changes.contains(&"end the command".into()), "nothing of ours runs any more");
        if let Err(error) = ended {
            assert!(matches!(error, RunError::Servers { failures, .. } if failures[0].is_unreachable()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_reads_any_more_the_command_is_ended_quietly() {
    let scripted = Scripted::new(&HOSTS);
    let console = FakeConsole { takes: Some(3), ..pipe(&[]) };
    let exit = attach(&scripted, &project(CONFIG), &request(Mode::Piped, "yes"), &console).await;
    assert_eq!(exit, Ok(Exit::Signal("PIPE".into())));
    let machine = scripted.network.machine("a");
    assert_eq!((machine.pieces, console.is_restored()), (4, true));
    assert_eq!(machine.changes.last().map(String::as_str), Some("end the command"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_the_command_up_and_a_signal_ends_it() {
    let scripted = Scripted::new(&HOSTS);
    let console = FakeConsole { stuck: true, ..pipe(&[]) };
    let project = project(CONFIG);
    let request = request(Mode::Piped, "yes");
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(scripted.network.machine("a").pieces, 1, "after an hour");
        scripted.trigger.stop();
    };
    let options = unversioned();
    let run = exec::attach(scripted.call(&project, &options), &request, &console);
    let (ended, ()) = tokio::join!(run, interrupt);
    assert_eq!(ended, Err(RunError::interrupted()));
    assert!(console.is_restored());
    assert_eq!(scripted.network.machine("a").changes.last().map(String::as_str), Some("end the command"));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_what_runs_everywhere_and_only_that() {
    let scripted = Scripted::new(&HOSTS);
    let project = project(CONFIG);
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        scripted.trigger.stop();
    };
    let hang = request(Mode::Gathered, "hang");
    let (ended, ()) = tokio::join!(gather(&scripted, &project, &hang), interrupt);
    assert_eq!(ended, Err(RunError::interrupted()));
    let ended = |host: &str| {
        scripted.network.machine(host).changes.iter().filter(|change| *change == "end the command").count()
    };
    assert_eq!(HOSTS.map(ended), [1, 1, 1]);
    let again = gather(&scripted, &project, &hang).await;
    assert_eq!((again, HOSTS.map(ended)), (Err(RunError::interrupted()), [1, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn the_container_that_serves_is_found_by_its_version() {
    let (scripted, project) = fleet().await;
    let gathered = gather(&scripted, &project, &reuse(Mode::Gathered, "exit 75")).await.unwrap();
    assert_eq!(gathered.error(), None);
    // A script of ours exits with 75 if another run has taken over the server. A user's command may exit with 75 too.
    assert!(gathered.outputs.iter().all(|output| output.output.exit == Exit::Status(75)));
    for (_, role, command) in commands(&scripted, "run `exit 75`") {
        assert!(command.contains(&format!(" app-{role}-v1 exit 75")), "{command}");
    }
    let console = terminal(&[]);
    let exit = attach(&scripted, &project, &reuse(Mode::Terminal, "exit 4"), &console).await;
    assert_eq!(exit, Ok(Exit::Status(4)));
    let told = console.began.lock().unwrap().clone().unwrap().0;
    assert_eq!(told, "a (web): `exit 4` in app-web-v1");

    let other = Options { version: Some("v9".into()), ..unversioned() };
    let request = reuse(Mode::Gathered, "echo");
    let gathered = exec::exec(scripted.call(&project, &other), &request).await.unwrap();
    assert!(gathered.outputs.is_empty());
    let reasons: Vec<String> = gathered.failures.iter().map(|failure| failure.cause.to_string()).collect();
    assert_eq!(reasons, ["no container of version v9 is running"; 3]);
}
