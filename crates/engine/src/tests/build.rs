//! Builds: the clone, the commands and their environment, what is tried again, and messages.

use std::sync::Arc;

use bowline_core::commands::builder::BuildOutput as To;
use bowline_core::commands::clone::{CleanClone, Place};

use super::*;
use crate::call::Call;
use crate::image::{build, builder, dev};
use crate::ports::Output;
use crate::testing::{Answer, Shop, project_with, says};
use crate::version;

const DOCKER: [(&str, &str); 4] = [
    ("docker --version", "Docker"),
    ("docker version", "amd64\n"),
    ("docker login", ""),
    ("git config", "me@example.com"),
];
const TWO: &str = "service: app\nimage: app\nservers: [a]\nproxy: {host: a.test}\nbuilder:\n  arch: amd64\n";

/// The beginning of the output of `printf /home/me/shop/web | sha256sum`.
const HASH: &str = "377f8f982e576";

/// A machine with Docker, on which these answers take precedence.
fn machine(answers: &[(&str, Answer)]) -> Shop {
    let usual = DOCKER.iter().map(|(line, said)| (*line, says(said, 0)));
    let answers: Vec<(&str, Answer)> = answers.iter().cloned().chain(usual).collect();
    Shop::new(&answers).with_file("Dockerfile", "")
}

/// Pushes version `v1` from a machine. Returns the command lines, the result and the notes.
async fn pushed(project: &Project, shop: Shop) -> (Vec<String>, Result<String, RunError>, Vec<String>) {
    let shop = Arc::new(shop);
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = shop.clone();
    let ended = build::push(scripted.call(project, &options("v1")), To::Registry).await;
    let note = |event| match event {
        Event::Note { text, .. } => Some(text),
        _ => None,
    };
    let notes = scripted.recorder.events().into_iter().filter_map(note).collect();
    let uninteresting = |line: &String| {
        !DOCKER.iter().any(|(usual, _)| line.starts_with(usual) && *usual != "docker login")
            && !line.starts_with("docker buildx version")
            && !line.starts_with("LC_ALL=C git")
    };
    (shop.lines().into_iter().filter(uninteresting).collect(), ended, notes)
}

/// A repository at commit `c0ffee` with uncommitted changes.
fn repository() -> Vec<(&'static str, Answer)> {
    vec![
        ("git status", says(" M app.rb\n?? new\n", 0)),
        ("git rev-parse HEAD", says("c0ffee\n", 0)),
        ("git rev-parse --show-toplevel", says("/home/me/shop\nweb/\n/home/me/shop/.git\n", 0)),
        ("git rev-parse --local-env-vars", says("GIT_DIR\n", 0)),
    ]
}

fn clone() -> CleanClone {
    numbered(1)
}

fn numbered(number: usize) -> CleanClone {
    let place =
        Place { root: "/home/me/shop".into(), prefix: "web/".into(), repository: "/home/me/shop".into() };
    CleanClone::new("/cache", ("app", HASH), &place, "c0ffee", number)
}

/// A machine where the clone is at these heads in turn, with these changes.
fn with_clone(there: bool, heads: &[&str], changes: &str) -> Shop {
    let (head, status) = (clone().head().join(" "), clone().status().join(" "));
    let mut answers: Vec<(&str, Answer)> = repository();
    answers.extend(heads.iter().map(|commit| (head.as_str(), says(commit, 0))));
    answers.push((&status, says(changes, 0)));
    for line in ["git -C", "git -c", "rm", "mkdir", "mv", "docker build ", "docker push"] {
        answers.push((line, says("", 0)));
    }
    let mut shop = machine(&answers).with_file(&format!("{}Dockerfile", clone().project()), "");
    if there {
        shop = shop.with_file(&clone().directory(), "");
    }
    shop
}

fn lines(commands: &[Vec<String>]) -> Vec<String> {
    commands.iter().map(|words| words.join(" ")).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_context_a_clean_clone_is_built_and_what_is_left_out_is_said() {
    let shop = Arc::new(with_clone(false, &["c0ffee"], ""));
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = shop.clone();
    let project = project("service: app\nimage: app\nservers: [a]\n");
    build::push(scripted.call(&project, &options("v1")), To::Registry).await.unwrap();
    let ran = shop.ran();
    let cloning = lines(&[&clone().make()[..], &clone().reset()].concat());
    let all: Vec<String> = ran.iter().map(|command| command.words.join(" ")).collect();
    let from = all.iter().position(|line| *line == cloning[0]).unwrap();
    assert_eq!(all[from..from + cloning.len()], cloning);
    let builds = ran.iter().find(|command| command.words.starts_with(&["docker".into(), "build".into()]));
    let builds = builds.unwrap();
    assert_eq!(builds.directory.as_deref(), Some(clone().project().as_ref()));
    assert_eq!(builds.words.last().unwrap(), ".");
    let said = "building the last commit, without these uncommitted changes: M app.rb, ?? new";
    assert!(scripted.recorder.events().iter().any(|e| matches!(e, Event::Note { text, .. } if text == said)));
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_is_there_is_brought_up_to_date_and_one_that_is_not_sound_is_made_anew() {
    let project = project("service: app\nimage: app\nservers: [a]\n");
    let (ran, ended, _) = pushed(&project, with_clone(true, &["c0ffee"], "")).await;
    ended.unwrap();
    let reset = lines(&clone().reset());
    let unquoted: Vec<String> = ran.iter().map(|line| line.replace('\'', "")).collect();
    let from = unquoted.iter().position(|line| *line == reset[0]).unwrap();
    assert_eq!(unquoted[from..from + reset.len()], reset);
    assert!(!ran.iter().any(|line| line.starts_with("rm ")), "{ran:?}");

    let (ran, ended, notes) = pushed(&project, with_clone(true, &["0dd", "c0ffee"], "")).await;
    ended.unwrap();
    assert!(ran.contains(&clone().discard().join(" ")) && ran.contains(&clone().make()[2].join(" ")));
    assert!(notes.iter().any(|note| note.contains("it is at 0dd instead of c0ffee")), "{notes:?}");

    let (ran, ended, _) = pushed(&project, with_clone(true, &["c0ffee"], " M app.rb")).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("cloning the repository failed: it has changes"), "{error}");
    let clones = ran.iter().filter(|line| line.contains(" clone ")).count();
    assert_eq!(clones, 1, "it is tried once more, not for ever");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_reset_or_removed_that_does_not_carry_our_mark() {
    let project = project("service: app\nimage: app\nservers: [a]\n");
    let mut shop = with_clone(true, &["c0ffee"], "");
    shop.first(&clone().marked().join(" "), says("", 1));
    let (ran, ended, _) = pushed(&project, shop).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("is not a clone that Bowline created"), "{error}");
    let changing = |line: &&String| line.starts_with("rm ") || line.starts_with("git -C");
    assert_eq!(ran.iter().find(changing), None);
}

#[tokio::test(start_paused = true)]
async fn no_git_of_a_build_gets_the_variables_that_point_at_another_repository() {
    let project = project("service: app\nimage: app\nservers: [a]\n");
    let shop = Arc::new(
        with_clone(false, &["c0ffee"], "")
            .with_file(&clone().submodule_list(), "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n"),
    );
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = shop.clone();
    build::push(scripted.call(&project, &options("v1")), To::Registry).await.unwrap();
    let begins = |command: &&crate::ports::LocalCommand| {
        let line = command.words.join(" ");
        ["git -C", "git -c", "docker build "].iter().any(|begin| line.starts_with(begin))
    };
    let ran = shop.ran();
    let ours: Vec<_> = ran.iter().filter(begins).collect();
    assert!(ours.len() > 10, "{ours:?}");
    for command in ours {
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            assert!(command.without.iter().any(|known| known == name), "{name} reaches {:?}", command.words);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_git_says_of_a_repository_it_does_not_read_is_what_we_say() {
    let said = "fatal: detected dubious ownership in repository at '/x'\n\tgit config --global --add safe.directory /x";
    let failing =
        Ok(Output { exit: crate::ports::Exit::Status(128), stderr: said.into(), ..Output::default() });
    let (ran, ended, _) = pushed(
        &project("service: app\nimage: app\nservers: [a]\n"),
        machine(&[("git status", says("", 128)), ("git rev-parse HEAD", failing)]),
    )
    .await;
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("dubious ownership") && error.contains("safe.directory /x"), "{error}");
    assert!(!ran.iter().any(|line| line.starts_with("docker build ")), "{ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_another_build_uses_is_left_alone() {
    let second = numbered(2);
    let answers = repository();
    let (head, status) = (second.head().join(" "), second.status().join(" "));
    let mut answers: Vec<(&str, Answer)> =
        answers.into_iter().chain([(head.as_str(), says("c0ffee", 0))]).collect();
    answers.extend(
        [status.as_str(), "git -C", "git -c", "rm", "mkdir", "mv", "docker build ", "docker push"]
            .map(|line| (line, says("", 0))),
    );
    let mut shop = machine(&answers).with_file(&format!("{}Dockerfile", second.project()), "");
    shop.held = vec![clone().lock()];
    let (ran, ended, _) = pushed(&project("service: app\nimage: app\nservers: [a]\n"), shop).await;
    ended.unwrap();
    assert!(ran.contains(&second.make()[2].join(" ")), "{ran:?}");
    assert!(!ran.iter().any(|line| line.contains(&format!("{}/", clone().directory()))), "{ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_version_says_uncommitted_only_where_changes_are_built() {
    let resolved = async |builder: &str, status: &str| {
        let mut scripted = Scripted::new(&HOSTS);
        let answers = [("git rev-parse HEAD", says("c0ffee\n", 0)), ("git status", says(status, 0))];
        scripted.world.local = Arc::new(Shop::new(&answers));
        let project = project(&format!("service: app\nimage: app\nservers: [a]\n{builder}"));
        version::resolve(&scripted.world, &project.config, &Options::default()).await.unwrap()
    };
    let context = "builder: {context: .}\n";
    assert_eq!(resolved("", " M a\n").await, "c0ffee");
    assert_eq!(resolved(context, "").await, "c0ffee");
    assert_eq!(resolved(context, "?? a\n").await, format!("c0ffee_uncommitted_{}", "0".repeat(16)));
}

fn two(builder: &str) -> Project {
    project_with(&format!("{TWO}  context: .\n{builder}"), "TOKEN=sentinel-token\n")
}

fn with_buildx(answers: &[(&str, Answer)]) -> Shop {
    let usual = [("docker buildx version", says("v0.30", 0)), ("git status", says("", 0))];
    machine(&[answers, &usual[..]].concat())
}

#[tokio::test(start_paused = true)]
async fn a_builder_is_made_where_it_is_missing() {
    let absent = ("docker buildx inspect", says("no builder \"kamal-local-docker-container\" found", 1));
    let answers = [
        absent,
        ("docker buildx rm", says("no builder \"x\" found", 1)),
        ("docker buildx create", says("", 0)),
        ("docker buildx build", says("", 0)),
    ];
    let (ran, ended, notes) = pushed(&two(""), with_buildx(&answers)).await;
    assert_eq!(ended.unwrap(), "r.test/app:v1");
    let name = "kamal-local-docker-container";
    assert_eq!(
        ran.iter().filter(|line| line.starts_with("docker buildx")).take(3).collect::<Vec<_>>(),
        [
            &format!("docker buildx inspect {name}"),
            &format!("docker buildx rm {name}"),
            &format!("docker buildx create --name {name} --driver=docker-container")
        ]
    );
    assert!(notes.iter().any(|note| note.contains(name)));

    let there = [("docker buildx inspect", says("Name: x", 0)), ("docker buildx build", says("", 0))];
    let (ran, ended, _) = pushed(&two(""), with_buildx(&there)).await;
    ended.unwrap();
    assert!(!ran.iter().any(|line| line.contains("create")), "{ran:?}");

    let broken = [("docker buildx inspect", says("permission denied", 1))];
    let (_, ended, _) = pushed(&two(""), with_buildx(&broken)).await;
    assert!(ended.unwrap_err().to_string().contains("permission denied"));
}

#[tokio::test(start_paused = true)]
async fn another_machines_builder_is_made_again_when_its_address_changed() {
    let url = "ssh://b@h";
    let name = "kamal-remote-ssh---b-h";
    let inspect = says(&format!("Endpoint: {name}-context\n"), 0);
    let answers = [
        ("docker buildx inspect", inspect),
        ("docker context inspect", says("ssh://b@elsewhere\n", 0)),
        ("ssh", says("", 0)),
        ("docker buildx rm", says("", 0)),
        ("docker context", says("", 0)),
        ("docker buildx", says("", 0)),
    ];
    let config = format!("  remote: {url}\n  local: false\n");
    let (ran, ended, _) = pushed(&two(&config), with_buildx(&answers)).await;
    ended.unwrap();
    let from = ran.iter().position(|line| line.starts_with("ssh")).unwrap();
    let begins: Vec<String> =
        ran[from..].iter().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        begins,
        [
            "ssh -o ConnectTimeout=30",
            "docker buildx rm",
            "docker context rm",
            "docker context create",
            "docker buildx create",
            "BUILDKIT_NO_CLIENT_TOKEN=1 docker buildx"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_the_environment_of_the_build_and_nowhere_else() {
    let answers = [("docker buildx inspect", says("", 0)), ("docker buildx build", says("", 0))];
    let shop = Arc::new(with_buildx(&answers));
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = shop.clone();
    let project = two("  secrets: [TOKEN]\n");
    build::push(scripted.call(&project, &options("v1")), To::Registry).await.unwrap();
    for command in shop.ran() {
        let line = command.words.join(" ");
        let builds = line.starts_with("docker buildx build");
        assert_eq!(command.env.iter().any(|(name, _)| name == "TOKEN"), builds, "{line}");
        assert!(!line.contains("sentinel"), "{line}");
        assert_eq!(line.contains("--secret id=TOKEN"), builds, "{line}");
    }
    let missing = two("  secrets: [NONE]\n");
    let (ran, ended, _) = pushed(&missing, with_buildx(&answers)).await;
    assert!(matches!(ended, Err(RunError::Invalid(_))), "{ran:?}");
}

#[tokio::test(start_paused = true)]
async fn a_push_that_anothers_login_undid_is_made_once_more() {
    let project = project("service: app\nimage: app\nservers: [a]\nbuilder: {context: .}\n");
    let repository = [("git status", says("", 0)), ("docker build ", says("", 0))];
    let denied = ("docker push", says("no basic auth credentials", 1));
    let once = [&repository[..], &[denied.clone(), ("docker push", says("", 0))]].concat();
    let (ran, ended, _) = pushed(&project, machine(&once)).await;
    ended.unwrap();
    let count = |ran: &[String], begins: &str| ran.iter().filter(|line| line.starts_with(begins)).count();
    assert_eq!((count(&ran, "docker login"), count(&ran, "docker push")), (2, 3), "{ran:?}");

    let (ran, ended, _) = pushed(&project, machine(&[&repository[..], &[denied]].concat())).await;
    let Err(RunError::Local { what, reason, hint, .. }) = ended else { panic!("it was refused") };
    assert_eq!((what.as_str(), reason.contains("no basic auth")), ("push", true));
    assert!(hint.unwrap().contains("registry:"));
    assert_eq!(count(&ran, "docker push"), 2, "not for ever");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_for_a_build_is_said_before_anything_runs() {
    let refused = async |project: &Project, shop: Shop| match pushed(project, shop).await {
        (ran, Err(RunError::Local { reason, hint, .. }), _) => {
            assert!(!ran.iter().any(|line| line.starts_with("docker login")), "{ran:?}");
            assert!(hint.is_some_and(|hint| !hint.is_empty()));
            reason
        }
        (_, ended, _) => panic!("{ended:?}"),
    };
    let least = project("service: app\nimage: app\nservers: [a]\nbuilder: {context: .}\n");
    let none = Shop::new(&[("git", says("", 0))]).with_file("Dockerfile", "");
    assert_eq!(refused(&least, none).await, "`docker` is not installed on this machine");
    let mut bare = machine(&[("git", says("", 0))]);
    bare.files.clear();
    assert_eq!(refused(&least, bare).await, "Dockerfile is missing");
    let cached = project("service: app\nimage: app\nservers: [a]\nbuilder: {cache: {type: gha}}\n");
    let reason = refused(&cached, machine(&[("git", says("", 0))])).await;
    assert_eq!(reason, "builder/cache needs `docker buildx`, which is not installed on this machine");
    let pack = two("  pack: {builder: b}\n");
    let reason = refused(&pack, machine(&[("git", says("", 0))])).await;
    assert_eq!(reason, "`pack` is not installed on this machine, and `builder: pack:` needs it");

    let unset = "service: app\nimage: app\nservers: [a]\nbuilder: {context: ., args: {A: '${NONE}'}}\n";
    let (ran, ended, _) = pushed(&project(unset), machine(&[("git", says("", 0))])).await;
    let Err(RunError::Usage { message, hint: Some(_) }) = ended else { panic!("{ended:?}") };
    assert_eq!(message, "builder/args/A names the variable NONE, which isn't set here");
    assert!(!ran.iter().any(|line| line.starts_with("docker login")), "{ran:?}");

    let project = project("service: app\nimage: app\nservers: [a]\n");
    let mut shop = with_clone(false, &["c0ffee"], "");
    shop.files.retain(|path, _| path == "Dockerfile");
    let (_, ended, _) = pushed(&project, shop).await;
    assert!(ended.unwrap_err().to_string().contains("Dockerfile is not committed"));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_list_that_was_not_put_together_is_a_failure_whatever_buildx_ends_with() {
    let said = "#14 merging manifest list r.test/app:v1\n#14 ERROR: unknown authority";
    let built = Ok(Output { stderr: format!("{said}\n"), ..Output::default() });
    let there = [("docker buildx inspect", says("Name: x", 0)), ("docker buildx build", built)];
    let (_, ended, _) = pushed(&two(""), with_buildx(&there)).await;
    let Err(RunError::Local { what, reason, .. }) = ended else { panic!("it failed") };
    assert_eq!((what.as_str(), reason.as_str()), ("build", said));
}

#[tokio::test(start_paused = true)]
async fn a_failed_build_shows_its_own_words_and_what_to_do() {
    let project = project("service: app\nimage: app\nservers: [a]\n");
    let failed = |said: &str| {
        let mut answers = repository();
        let _ = answers.remove(0);
        let status = clone().status().join(" ");
        let head = clone().head().join(" ");
        let mut all: Vec<(&str, Answer)> =
            vec![(&status, says("", 0)), (&head, says("c0ffee", 0)), ("git status", says("", 0))];
        all.extend(answers);
        all.extend(["git -C", "git -c", "rm", "mkdir", "mv"].map(|line| (line, says("", 0))));
        all.push(("docker build ", says(said, 1)));
        machine(&all).with_file(&format!("{}Dockerfile", clone().project()), "")
    };
    for (said, advice) in [
        ("COPY failed: file not found: app.rb", Some("is the file committed?")),
        ("/bin/sh: exec format error", Some("this machine can't run")),
        ("bundle install failed", None),
        ("/bin/sh: bin/setup: Permission denied", None),
    ] {
        let (ran, ended, _) = pushed(&project, failed(said)).await;
        assert_eq!(ran.iter().filter(|line| line.starts_with("docker build ")).count(), 1, "{said}");
        let Err(RunError::Local { what, reason, hint, .. }) = ended else { panic!("it failed") };
        assert_eq!(what, "build");
        assert!(reason.contains(said));
        assert_eq!(hint.as_deref().map(|hint| hint.starts_with(advice.unwrap_or("?"))), advice.map(|_| true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_builder_whose_machine_is_gone_is_removed_here() {
    let project = two("  remote: ssh://b@h\n  local: false\n");
    let gone = ("docker buildx rm", says("error during connect: no such host", 1));
    let forgotten = ("docker buildx rm", says("no builder \"x\" found", 1));
    let context = ("docker context rm", says("x", 0));
    let remove = async |answers: &[(&str, Answer)]| {
        let mut scripted = Scripted::new(&HOSTS);
        scripted.world.local = Arc::new(with_buildx(answers));
        let ended = builder::remove(scripted.call(&project, &Options::default())).await;
        (ended, scripted.recorder.events())
    };
    let (ended, events) = remove(&[gone.clone(), forgotten, context.clone()]).await;
    assert!(ended.unwrap().starts_with("removed the builder"));
    let noted = |event: &Event| matches!(event, Event::Note { text, .. } if text.contains("no such host"));
    assert!(events.iter().any(noted), "{events:?}");
    let (ended, _) = remove(&[gone, context]).await;
    assert!(ended.unwrap_err().to_string().contains("removing the builder"));
}

#[tokio::test(start_paused = true)]
async fn a_builder_is_made_and_removed_once_and_said_to_be_there_or_not() {
    let absent = says("no builder \"x\" found", 1);
    let mut scripted = Scripted::new(&HOSTS);
    let answers = [
        ("docker buildx inspect", absent.clone()),
        ("docker buildx inspect", says("", 0)),
        ("docker buildx rm", absent.clone()),
        ("docker buildx rm", says("", 0)),
        ("docker buildx rm", absent),
        ("docker buildx create", says("", 0)),
        ("docker context ls", says("contexts\n", 0)),
        ("docker buildx ls", says("builders\n", 0)),
    ];
    scripted.world.local = Arc::new(with_buildx(&answers));
    let (project, options) = (two(""), Options::default());
    let call = scripted.call(&project, &options);
    let name = "kamal-local-docker-container";
    assert_eq!(builder::create(call).await.unwrap(), format!("created the builder {name}"));
    assert_eq!(builder::create(call).await.unwrap(), format!("the builder {name} already exists"));
    assert_eq!(builder::remove(call).await.unwrap(), format!("removed the builder {name}"));
    assert_eq!(builder::remove(call).await.unwrap(), format!("there is no builder {name}"));
    assert_eq!(
        builder::details(call).await.unwrap(),
        format!("Builder: local ({name})\ncontexts\nbuilders\n")
    );
    let native = project_with("service: app\nimage: app\nservers: [a]\n", "");
    let said = builder::create(Call { project: &native, ..call }).await.unwrap();
    assert_eq!(said, "this project needs no builder: its class is native");
}

#[tokio::test(start_paused = true)]
async fn a_dev_image_is_dirty_stays_here_and_names_what_is_not_committed() {
    let mut shop = with_buildx(&[
        ("docker buildx", says("", 0)),
        ("git ls-files -z --modified", says("app.rb\0config/deploy.yml\0", 0)),
        ("git ls-files -z --others", says(".env\0node_modules/x.js\0new.rb\0", 0)),
    ]);
    shop.files.insert("./.dockerignore".into(), "node_modules\nconfig\n".into());
    let shop = Arc::new(shop);
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = shop.clone();
    let image = dev::dev(scripted.call(&two(""), &options("v1")), To::Docker).await.unwrap();
    assert_eq!(image, "r.test/app:v1-dirty");
    let ran = shop.lines();
    assert!(!ran.iter().any(|line| line.contains("login") || line.contains("push")), "{ran:?}");
    let line = ran.iter().find(|line| line.contains("buildx build")).unwrap();
    assert!(line.contains("--output=type=docker"), "{line}");
    assert!(line.contains(" -t r.test/app:v1-dirty -t r.test/app:latest-dirty "), "{line}");
    let events = scripted.recorder.events();
    let noted = |said: &str| events.iter().any(|e| matches!(e, Event::Note { text, .. } if text == said));
    assert!(noted("files with uncommitted changes will be in the image: app.rb"));
    assert!(noted("untracked files will be in the image: .env, new.rb"));
}
