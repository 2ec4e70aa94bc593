//! Asset bridging, S13 to S16, on real servers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::browsers::Browsers;
use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::sandbox::{Lease, Sandbox, Server, wait_until};
use bowline_tests::watch::{Watch, told};

/// A project that bridges the sample app's assets, with a short health interval.
fn bridged(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    project.set("asset_path", "/app/public/assets:ro");
    project.set(
        "healthcheck",
        "\n  cmd: wget -q -O /dev/null http://localhost:3000/up || exit 1\n  interval: 200ms",
    );
    project
}

fn dockerfile(project: &Project, more: &str) {
    let text = std::fs::read_to_string(project.path().join("app/Dockerfile")).unwrap();
    project.write("app/Dockerfile", &format!("{text}{more}"));
}

fn directories(project: &Project, server: &Server) -> Vec<String> {
    let list =
        format!("cd .kamal/apps/{}/assets && ls -d extracted/* earlier/* volumes/* new", project.service);
    let mut found: Vec<String> = server.run(&list).stdout.lines().map(str::to_owned).collect();
    found.sort();
    found
}

/// Asserts that the server has exactly these versions' directories of assets. It may lack those in `earlier`.
#[track_caller]
fn has_assets_of(project: &Project, server: &Server, versions: &[&str]) {
    let of = |base: &str| -> Vec<String> {
        versions.iter().map(|version| format!("{base}/web-{version}")).collect()
    };
    let found = directories(project, server);
    let (earlier, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| name.starts_with("earlier/"));
    assert_eq!(found, [of("extracted"), of("volumes")].concat(), "on {}", server.name);
    assert!(earlier.iter().all(|name| of("earlier").contains(name)), "{earlier:?} on {}", server.name);
}

fn pages(lease: &Lease) -> Vec<String> {
    lease.iter().map(|server| server.url("/")).collect()
}

#[test]
fn s16_through_ten_deploys_a_browser_gets_every_asset_of_every_page_it_ever_saw() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = bridged(sandbox, &lease, "ten");
    project.deploy("v0").ok();
    // A page comes from one server and its assets from both, as behind a load balancer.
    let browsers = Browsers::open(3, &pages(&lease));
    browsers.wait_for("v0", 6);
    for number in 1..=10 {
        let version = format!("v{number}");
        project.deploy(&version).ok();
        browsers.wait_for(&version, 6);
    }
    let report = browsers.close();
    assert_eq!(report.failed, 0, "{report}");
    for number in 0..=10 {
        let version = format!("v{number}");
        assert!(report.assets[&version] > 2 * report.pages[&version], "from both servers: {report}");
    }
    for server in lease.iter() {
        has_assets_of(&project, server, &["v10", "v9"]);
    }
}

#[test]
fn s13_s14_assets_come_out_of_an_image_that_nothing_can_be_run_in_to_a_volume_of_each_role_and_version() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let address = server.address.as_str();
    let mut project = bridged(sandbox, &lease, "extract");
    project.roles(&[
        ("web", &[address], "asset_path: /app/public/assets:ro,z"),
        (
            "web-api",
            &[address],
            "traefik: true\nasset_path: /app/public\nlabels: {traefik.http.routers.api.rule: Host(`api`)}",
        ),
    ]);
    // The image has no `sleep` or `true`, has an entry point and a volume, and the app runs as its own user, the only
    // one who can read one of the files.
    dockerfile(
        &project,
        "RUN cd /app/public/assets && echo mine >'.a b' && chown 1234 '.a b' && chmod 400 '.a b' && mkdir empty \
         && ln -s ../../server outside && chmod 555 . && rm /bin/sleep /bin/true\n\
         VOLUME /data\nUSER 1234\nENTRYPOINT [\"/app/server\"]\nCMD []\n",
    );
    let watch = Watch::on(server);
    project.deploy("v1").ok();
    project.deploy("v2").ok();
    let all = watch.stop();
    for helper in ["web-assets", "web-api-assets"] {
        let helper = format!("{}-{helper}", project.service);
        let done: Vec<&str> =
            all.iter().filter(|event| event.name == helper).map(|event| event.action.as_str()).collect();
        let once = ["create", "archive-path", "destroy"];
        let seen: Vec<&str> = done.iter().copied().filter(|action| once.contains(action)).collect();
        assert_eq!(seen, [once, once].concat(), "created, read and removed, never started\n{}", told(&all));
        assert!(!done.contains(&"start"), "{}", told(&all));
    }
    assert_eq!(server.run("docker volume ls -q | wc -l").ok(), "4", "only the app's own volumes are left");

    let base = format!("/root/.kamal/apps/{}/assets/volumes", project.service);
    for version in ["v1", "v2"] {
        for (role, mount) in [("web", "/app/public/assets:ro,z"), ("web-api", "/app/public")] {
            let binds =
                expect::inspect(server, &project.container(role, version), "{{json .HostConfig.Binds}}");
            assert!(binds.contains(&format!("{base}/{role}-{version}:{mount}\"")), "{binds}");
        }
        let assets = "assets/.a b assets/app-v1.css assets/app-v1.js assets/app-v2.css assets/app-v2.js assets/empty \
                      assets/manifest.json assets/outside";
        let names = |directory: &str| {
            let list =
                format!("cd {base}/{directory} && find . -mindepth 1 | sort | sed 's/^..//' | tr '\\n' ' '");
            server.run(&list).ok().to_owned()
        };
        assert_eq!(names(&format!("web-api-{version}")), format!("assets {assets}"));
        assert_eq!(names(&format!("web-{version}")), assets.replace("assets/", ""));
        let manifest = format!("{base}/web-{version}/manifest.json");
        assert!(server.run(&format!("cat {manifest}")).ok().contains(&format!("app-{version}.js")));
    }
    assert_eq!(server.get("/assets/.a%20b").as_deref(), Some("mine\n"), "the app's user can read its file");
    let touched =
        server.run(&format!("docker exec {} touch /app/public/assets/x", project.container("web", "v2")));
    assert!(touched.stderr.contains("Read-only"), "{touched}");
}

#[test]
fn s13_an_image_without_the_directory_fails_before_anything_boots_and_leaves_nothing_behind() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = bridged(sandbox, &lease, "missing");
    project.deploy("v1").ok();
    let before: Vec<_> = lease.iter().map(|server| directories(&project, server)).collect();
    let watches: Vec<Watch> = lease.iter().map(Watch::on).collect();
    for (path, why) in [
        ("/app/public/asssets", "there is no such path"),
        ("/app/public/assets/manifest.json", "it is a file, not a directory"),
    ] {
        project.set("asset_path", path);
        let ran = project.deploy("v2");
        let image = project.image("v2");
        ran.exits(1).says(&format!("the image {image} has no directory {path}: {why}")).says("`asset_path:`");
        for server in lease.iter() {
            ran.says(&server.address).says(&format!("{} (web): v1", server.address));
            expect::unlocked(&project, server);
        }
    }
    for ((server, watch), before) in lease.iter().zip(watches).zip(before) {
        let all = watch.stop();
        assert!(!all.iter().any(|event| event.action == "start"), "{}", told(&all));
        assert_eq!(server.containers(&project.service), [project.container("web", "v1")]);
        assert_eq!(directories(&project, server), before, "on {}", server.name);
        assert_eq!(server.get("/assets/app-v1.js").as_deref(), Some("console.log('version v1');\n"));
    }
}

#[test]
fn s15_a_server_that_cannot_be_prepared_is_left_out_and_the_same_command_mends_it() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let (first, second) = (&lease[0], &lease[1]);
    let mut project = bridged(sandbox, &lease, "left-out");
    project.deploy("v1").ok();
    let place = format!(".kamal/apps/{}/assets/new", project.service);
    second.run(&format!("touch {place}")).ok();
    let ran = project.deploy("v2");
    ran.exits(1).says(&format!("{} (web): could not prepare the assets of web", second.address));
    ran.says("Not a directory").says(&format!("{} (web): v1", second.address));
    expect::runs(&project, first, &[("web", "v2")]);
    expect::runs(&project, second, &[("web", "v1")]);
    second.run(&format!("rm {place}")).ok();
    project.deploy("v2").ok();
    expect::runs(&project, second, &[("web", "v2")]);
    has_assets_of(&project, first, &["v1", "v2"]);
    has_assets_of(&project, second, &["v1", "v2"]);
}

#[test]
fn s16_every_way_of_deploying_leaves_the_current_and_previous_versions_assets_and_answers_for_both() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = bridged(sandbox, &lease, "ways");
    // Directories that Kamal left for other versions.
    let base = format!(".kamal/apps/{}/assets", project.service);
    server.run(&format!("mkdir -p {base}/{{extracted,volumes}}/web-{{k0,v1-2}}/x")).ok();
    project.deploy("v1").ok();
    has_assets_of(&project, server, &["v1"]);
    let browsers = Browsers::open(2, &pages(&lease));
    browsers.wait_for("v1", 4);
    project.deploy("v2").ok();
    browsers.wait_for("v2", 4);
    has_assets_of(&project, server, &["v1", "v2"]);

    server.run(&format!("rm -r {base}/*/web-v1")).ok();
    project.bowline(&["rollback"]).ok();
    has_assets_of(&project, server, &["v1", "v2"]);

    dockerfile(&project, "RUN echo new >/app/public/assets/new.txt\n");
    project.deploy("v1").ok();
    assert_eq!(server.get("/assets/new.txt").as_deref(), Some("new\n"));
    has_assets_of(&project, server, &["v1"]);

    let mut running = project.start_deploy("v3");
    running.wait_for("Preparing assets", DEADLINE);
    running.signal("KILL");
    let _ = running.wait(DEADLINE);
    project.deploy("v3").ok();
    browsers.wait_for("v3", 4);
    has_assets_of(&project, server, &["v1", "v3"]);
    let report = browsers.close();
    assert_eq!(report.failed, 0, "{report}");

    // Without an asset path, only the previous version's assets stay.
    project.unset("asset_path");
    project.deploy("v4").ok();
    assert_eq!(server.get("/assets/app-v3.js"), None);
    has_assets_of(&project, server, &["v3"]);
}

#[test]
fn s15_assets_are_bridged_with_a_container_of_kamal_1_in_its_own_place() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = bridged(sandbox, &lease, "kamal-one");
    project.unset("asset_path");
    project.deploy("v0").ok();
    let (name, image) = (project.container("web", "v0"), project.image("v0"));
    let volume = format!("/root/.kamal/assets/volumes/{name}");
    let labels = format!(
        "--label service={0} --label role=web --label destination --label 'traefik.http.routers.{0}-web.rule=PathPrefix(`/`)'",
        project.service
    );
    let run = format!(
        "docker rm -f {name} && mkdir -p {volume} && docker create --name for-assets {image} && docker cp for-assets:/app/public/assets/. {volume} \
         && docker rm for-assets && docker run -d --name {name} --network kamal {labels} -v {volume}:/app/public/assets {image}"
    );
    server.run(&run).ok();
    bowline_tests::project::wait_for_version(server, "v0");
    project.set("asset_path", "/app/public/assets");
    project.deploy("v1").ok();
    for asset in ["app-v0.js", "app-v1.js"] {
        assert!(server.has(&format!("{volume}/{asset}")), "{asset} in {volume}");
        // Kamal 1's container has no cord here, so Traefik only learns from Docker that it stopped, perhaps shortly
        // after the deploy.
        wait_until(&format!("{asset} of v1"), Duration::from_secs(10), || {
            server.get(&format!("/assets/{asset}")).is_some()
        });
    }
    project.deploy("v2").ok();
    assert!(!server.has(&volume), "Kamal 1's volume goes when its version is no longer the one before");
    has_assets_of(&project, server, &["v1", "v2"]);
}

#[test]
fn s15_busyboxs_tools_and_a_user_who_is_not_root_do_as_well() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let _alpine = server.with_busybox();
    assert!(server.ssh("cp --help 2>&1; sh --help 2>&1").stdout.matches("BusyBox").count() == 2);
    let mut project = bridged(sandbox, &lease, "alpine");
    let key = sandbox.ssh_key.display();
    project.set("ssh", &format!("\n  user: deploy\n  keys_only: true\n  keys:\n    - {key}"));
    // This user can't see open requests, so the stop waits this long.
    project.set("drain_timeout", "1");
    for version in ["v1", "v2", "v3"] {
        project.deploy(version).ok();
    }
    let base = format!("/home/deploy/.kamal/apps/{}/assets", project.service);
    let list = |version: &str| {
        server.run(&format!("ls {base}/volumes/web-{version} | tr '\\n' ' '")).ok().to_owned()
    };
    let all: Vec<String> = (1..=3)
        .flat_map(|n| [format!("app-v{n}.css"), format!("app-v{n}.js")])
        .chain(["manifest.json".into()])
        .collect();
    assert_eq!([list("v2"), list("v3")], [all.join(" "), all.join(" ")]);
    let owners = server.run(&format!("find {base} ! -user deploy | wc -l; ls {base}/volumes | tr '\\n' ' '"));
    assert_eq!(owners.ok(), "0\nweb-v2 web-v3");
    assert_eq!(server.get("/assets/app-v1.js").as_deref(), Some("console.log('version v1');\n"));
}
