//! Programs on this machine and steps on servers that exceed their time limit: they end, the error names the setting,
//! and no lock is left.

use super::*;
use crate::error::Cause;
use crate::ports::ServerError;
use crate::testing::{FakeLocal, How, Silent, project_with};

/// The hooks of a deploy, and whether the servers serve the new version when each of them runs.
const HOOKS: [(&str, bool); 6] = [
    ("pre-connect", false),
    ("pre-build", false),
    ("pre-deploy", false),
    ("pre-app-boot", false),
    ("post-app-boot", true),
    ("post-deploy", true),
];

/// Another process on the same servers. On its machine, a program with a word that contains `hangs` never ends.
fn hanging(fleet: &Scripted, hangs: &str, project: &Project) -> Scripted {
    let files = [("Dockerfile".to_string(), String::new())].into();
    let programs = HOOKS.iter().map(|(name, _)| (format!(".kamal/hooks/{name}"), 0)).collect();
    let local = FakeLocal { programs, files, hangs: Some(hangs.into()), ..FakeLocal::default() };
    let mut scripted = Scripted::on(fleet.network.clone(), local);
    scripted.world.timeouts = project.config.timeouts;
    scripted
}

async fn fails_here(scripted: &Scripted, project: &Project) -> (String, String) {
    let options = Options { skip_push: false, ..options("v2") };
    let run = deploy::deploy(scripted.call(project, &options), DeployKind::Deploy);
    match timeout(Duration::from_secs(24 * 3600), run).await.expect("the run ends") {
        Err(RunError::Local { what, reason, .. }) => (what, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_never_ends_is_given_up() {
    for (name, switched) in HOOKS {
        for (setting, seconds) in [("", 1800), ("timeouts: {hook: 7}\n", 7)] {
            let (first, _) = fleet().await;
            let project = project(&format!("{CONFIG}{setting}"));
            let scripted = hanging(&first, name, &project);
            let (what, reason) = fails_here(&scripted, &project).await;
            assert_eq!(what, format!("hook {name}"));
            let expected = format!("it did not finish within {seconds} s and was killed");
            assert!(
                reason.starts_with(&expected) && reason.contains("`timeouts: {hook: SECONDS}`"),
                "{reason}"
            );
            assert_only(&scripted, if switched { "v2" } else { "v1" });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_build_that_never_ends_is_given_up() {
    for (setting, seconds) in [("", 7200), ("timeouts: {build: 7}\n", 7)] {
        let (first, _) = fleet().await;
        let project = project(&format!("{CONFIG}{setting}builder: {{context: .}}\n"));
        let scripted = hanging(&first, "build", &project);
        let without_hooks = Options { skip_push: false, skip_hooks: true, ..options("v2") };
        let run = deploy::deploy(scripted.call(&project, &without_hooks), DeployKind::Deploy);
        let error = timeout(Duration::from_secs(24 * 3600), run).await.expect("the run ends").unwrap_err();
        let RunError::Local { reason, .. } = &error else { panic!("{error:?}") };
        assert!(
            reason.starts_with(&format!("it did not finish within {seconds} s and was killed")),
            "{reason}"
        );
        assert_only(&scripted, "v1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_of_a_secrets_file_that_never_ends_is_given_up() {
    for (setting, seconds) in [("", 300), ("timeouts: {secrets: 7}\n", 7)] {
        let (first, _) = fleet().await;
        let project =
            project_with(&format!("{CONFIG}env: {{secret: [TOKEN]}}\n{setting}"), "TOKEN=$(ask-the-vault)\n");
        let scripted = hanging(&first, "ask-the-vault", &project);
        let error = deploy(&scripted, &project, "v2").await.unwrap_err();
        let RunError::Secrets(told) = error else { panic!("{error:?}") };
        let told = told.to_string();
        assert!(told.contains(&format!("it did not finish within {seconds} s and was killed")), "{told}");
        assert!(told.contains("TOKEN"), "{told}");
        assert_only(&scripted, "v1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_hangs_is_given_up() {
    for (setting, seconds) in [("", 30), ("timeouts: {lock: 7}\n", 7)] {
        let (first, _) = fleet().await;
        let project = project(&format!("{CONFIG}{setting}"));
        let scripted = hanging(&first, "nothing", &project);
        scripted.network.faults().lock_hangs = true;
        let began = tokio::time::Instant::now();
        let error = deploy(&scripted, &project, "v2").await.unwrap_err();
        let RunError::Servers { failures, .. } = error else { panic!("{error:?}") };
        let limit = Duration::from_secs(seconds);
        assert_eq!(failures[0].cause, Cause::Server(ServerError::Deadline { limit, setting: "lock" }));
        assert!(failures[0].hint().unwrap().contains("`timeouts: {lock: SECONDS}`"));
        // The run tries each of the three servers.
        assert!(began.elapsed() < 3 * limit + Duration::from_secs(5), "{:?}", began.elapsed());
        assert_only(&scripted, "v1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_servers_time_is_the_projects() {
    let mut limits = Vec::new();
    for setting in ["", "timeouts: {command: 7}\n"] {
        let (first, _) = fleet().await;
        let project = project(&format!("{CONFIG}{setting}"));
        let scripted = hanging(&first, "nothing", &project);
        scripted.network.faults().silent = Some(Silent { host: "b".into(), after: 0, how: How::DockerHangs });
        let error = deploy(&scripted, &project, "v2").await.unwrap_err();
        let RunError::Servers { failures, .. } = error else { panic!("{error:?}") };
        let Cause::Server(ServerError::Deadline { limit, setting: "command" }) = failures[0].cause else {
            panic!("{failures:?}")
        };
        assert!(failures[0].hint().unwrap().contains("`timeouts: {command: SECONDS}`"));
        limits.push(limit);
    }
    // The rest of the limit is the step's own wait.
    assert_eq!(limits[0] - limits[1], Duration::from_secs(60 - 7));
}
