//! Deploys without a registry: images are built, kept on this machine, and sent.

use std::sync::Arc;

use bowline_config::{SourceFile, load};

use super::*;
use crate::event::Phase;
use crate::image::build;
use crate::image::pull::pull;
use crate::testing::{Shop, says};
use bowline_core::commands::builder::BuildOutput as To;
use bowline_core::plan::delivery::Expected;

fn without_registry(more: &str) -> Project {
    let text = format!("{CONFIG}{more}");
    let loaded = load(SourceFile::new("config/deploy.yml", text), None).unwrap();
    Project { config: loaded.config, ..project(CONFIG) }
}

fn changes(scripted: &Scripted, host: &str) -> Vec<String> {
    let about = |change: &&String| {
        ["open", "closed", "pull", "load", "have"].iter().any(|word| change.starts_with(word))
    };
    scripted.network.machine(host).changes.iter().filter(about).cloned().collect()
}

fn sent(scripted: &Scripted) -> Vec<(String, u64)> {
    let sent = scripted.recorder.events().into_iter().filter_map(|event| match event {
        Event::Sent(sent) => Some(sent),
        _ => None,
    });
    sent.flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn servers_get_it_through_a_port_that_is_open_as_long_as_they_pull() {
    for (registry, image) in
        [("", "app:v1"), ("registry: {server: 'localhost:5555'}\n", "localhost:5555/app:v1")]
    {
        let project = without_registry(registry);
        let scripted = Scripted::new(&HOSTS);
        scripted.network.faults().no_forwarding.insert("b".into());
        scripted.images.kept.lock().unwrap().insert(image.into());
        deploy(&scripted, &project, "v1").await.unwrap();
        for host in HOSTS {
            let expected = match host {
                "b" => vec![format!("load {image}")],
                _ => vec!["open".into(), format!("pull {image}"), "closed".into()],
            };
            assert_eq!(changes(&scripted, host), expected, "on {host}");
        }
        assert_eq!(sent(&scripted), [("a".into(), 700), ("b".into(), 300), ("c".into(), 700)]);
        let notes: Vec<Event> = scripted
            .recorder
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Note { .. }))
            .collect();
        let [Event::Note { host, text }] = &notes[..] else { panic!("{notes:?}") };
        assert_eq!(host.as_deref(), Some("b"));
        assert!(text.contains("AllowTcpForwarding"), "{text}");
        let said = format!("{:?}", scripted.recorder.events());
        assert!(!said.contains("sentinel-auth"), "the password is shown");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_here_is_used_where_it_is() {
    let project = without_registry("");
    let scripted = Scripted::new(&HOSTS);
    for host in ["a", "c"] {
        scripted.network.machine(host).images.insert("app:v1".into());
    }
    deploy(&scripted, &project, "v1").await.unwrap();
    assert_eq!(changes(&scripted, "a"), ["have app:v1"]);
    assert_eq!(changes(&scripted, "b"), ["open", "pull app:v1", "closed"], "it comes from a");
    assert_eq!(*scripted.images.did.lock().unwrap(), ["receive 10 bytes"]);

    let scripted = Scripted::new(&HOSTS);
    let Err(RunError::Servers { failures, .. }) = deploy(&scripted, &project, "v1").await else { panic!() };
    assert_eq!(failures.len(), 3);
    assert_eq!(failures[0].cause.to_string(), "app:v1 is neither on this server nor on this machine");
    assert!(scripted.images.did.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_get_it_says_why_and_the_others_go_on() {
    let project = without_registry("");
    let scripted = Scripted::new(&HOSTS);
    scripted.network.faults().no_pull.insert("b".into());
    scripted.images.kept.lock().unwrap().insert("app:v1".into());
    let gathered = pull(scripted.call(&project, &options("v1"))).await.unwrap();
    let [failure] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
    assert!(
        failure.cause.to_string().contains("could not get the image through the SSH connection"),
        "{failure:?}"
    );
    assert_eq!(sent(&scripted), [("a".into(), 700), ("c".into(), 700)]);
}

#[tokio::test(start_paused = true)]
async fn a_build_is_kept_here_and_nothing_is_pushed_or_logged_in_to() {
    let project = without_registry("builder: {context: .}\n");
    let built = async |buildx: bool, project: &Project| {
        let version = says("", u32::from(!buildx));
        let shop = Arc::new(
            Shop::new(&[
                ("docker --version", says("", 0)),
                ("docker buildx version", version),
                ("docker version", says("amd64\n", 0)),
                ("git status", says("", 0)),
                ("git rev-parse --local-env-vars", says("GIT_DIR\n", 0)),
                ("docker buildx inspect", says("", 0)),
                ("docker buildx build", says("", 0)),
                ("docker build ", says("", 0)),
                ("docker save", says("an image", 0)),
            ])
            .with_file("Dockerfile", ""),
        );
        let mut scripted = Scripted::new(&HOSTS);
        scripted.world.local = shop.clone();
        let ended = build::push(scripted.call(project, &options("v1")), To::Registry).await;
        assert_eq!(ended.unwrap(), "app:v1");
        assert!(scripted.images.kept.lock().unwrap().contains("app:v1"));
        let lines: Vec<String> = shop
            .lines()
            .into_iter()
            .filter(|line| {
                line.contains(" build ")
                    || line.contains("save")
                    || line.contains("push")
                    || line.contains("login")
            })
            .collect();
        let did = scripted.images.did.lock().unwrap().clone();
        (lines, did)
    };
    let (lines, did) = built(false, &project).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "docker save app:v1");
    assert_eq!(did, ["receive 8 bytes", "keep 6 of app"]);
    let project = without_registry("builder: {context: ., driver: docker-container}\n");
    let (lines, did) = built(true, &project).await;
    assert!(
        lines[0].starts_with("docker buildx build --output=type=oci,tar=false,dest=/work/layout"),
        "{lines:?}"
    );
    assert_eq!((lines.len(), did[0].as_str()), (1, "take /work/layout"));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_given_is_sent_without_a_build() {
    let project = without_registry("");
    let run = async |project: &Project, services: &[Option<&str>]| {
        let scripted = Scripted::new(&HOSTS);
        *scripted.images.services.lock().unwrap() =
            services.iter().map(|service| service.map(String::from)).collect();
        let given = Options {
            skip_push: false,
            skip_hooks: true,
            image_archive: Some("shop.tar".into()),
            ..options("v1")
        };
        let ended = crate::deploy::deploy(scripted.call(project, &given), DeployKind::Deploy).await;
        (ended, scripted)
    };
    let (ended, scripted) = run(&project, &[Some("app")]).await;
    ended.unwrap();
    assert_eq!(*scripted.images.did.lock().unwrap(), ["look into shop.tar", "keep 6 of app"]);
    assert!(changes(&scripted, "a").contains(&"pull app:v1".to_owned()));

    let arm = without_registry("builder: {arch: arm64}\n");
    let registry = super::project(CONFIG);
    for (project, services, fault) in [
        (&project, vec![None], "doesn't have the label `service`"),
        (&project, vec![Some("app"), Some("other")], "has the label service=other"),
        (&arm, vec![Some("app")], "is for linux/amd64, but `builder: arch:` says that servers need arm64"),
        (&registry, vec![Some("app")], "the configuration has a registry"),
    ] {
        let (ended, scripted) = run(project, &services).await;
        let error = ended.unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
        let phases: Vec<Event> = scripted.recorder.events();
        assert!(
            !phases.iter().any(|event| matches!(event, Event::Phase(Phase::Connect(_)))),
            "it is seen before anything is connected to"
        );
        assert!(scripted.images.kept.lock().unwrap().is_empty(), "what no server may get is not kept");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_with_a_given_image_says_what_would_be_sent_and_keeps_nothing() {
    let project = without_registry("");
    let scripted = Scripted::new(&HOSTS);
    *scripted.images.services.lock().unwrap() = vec![Some("app".into())];
    let given = Options { image_archive: Some("shop.tar".into()), ..options("v1") };
    let planned = crate::deploy::plan(scripted.call(&project, &given), DeployKind::Deploy).await.unwrap();
    let known = |expected: &Expected| !matches!(expected, Expected::Unbuilt | Expected::Absent);
    assert_eq!(planned.expected.values().filter(|expected| known(expected)).count(), HOSTS.len());
    assert_eq!(*scripted.images.did.lock().unwrap(), ["look into shop.tar"]);
    assert!(scripted.images.kept.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_on_this_machine_is_told_with_a_way_out() {
    let project = without_registry("builder: {context: .}\n");
    let full = "writing /home/me/.cache/bowline/images/incoming: No space left on device (os error 28)";
    let shop = Shop::new(&[
        ("docker --version", says("", 0)),
        ("docker buildx version", says("", 1)),
        ("docker version", says("amd64\n", 0)),
        ("git status", says("", 0)),
        ("git rev-parse --local-env-vars", says("GIT_DIR\n", 0)),
        ("docker build ", says("", 0)),
        ("docker save", says(full, 1)),
    ]);
    let mut scripted = Scripted::new(&HOSTS);
    scripted.world.local = Arc::new(shop.with_file("Dockerfile", ""));
    let error = build::push(scripted.call(&project, &options("v1")), To::Registry).await.unwrap_err();
    let RunError::Local { what, reason, hint, .. } = error else { panic!("{error:?}") };
    assert_eq!(what, "saving the image");
    assert!(reason.contains(full), "{reason}");
    assert!(hint.unwrap().contains("XDG_CACHE_HOME"));
    assert!(scripted.images.kept.lock().unwrap().is_empty());
}
