//! Which assets a plan prepares and which it removes.

use super::*;

/// A container with an asset volume in this directory.
fn with_assets(container: &str, directory: &str, at: &str) -> String {
    container.replace(
        "\"mounts\":[]",
        &format!("\"mounts\":[{{\"Source\":\"{directory}\",\"Destination\":\"{at}\"}}]"),
    )
}

fn stopped(container: &str) -> String {
    container.replace("\"status\":\"running\"", "\"status\":\"exited\"")
}

#[test]
fn s15_assets_are_bridged_with_every_volume_that_is_in_use_whoever_made_it() {
    let config = config("asset_path: /public\n");
    let ours = "/root/.kamal/apps/app/assets/volumes";
    let web = |version: &str, created| {
        container(&format!("app-web-{version}"), "web", created, Some("healthy"), false)
    };
    let replaced =
        container("app-web-v2", "web", 3, None, false).replace("app-web-v2\"", "app-web-v2_replaced_00ff\"");
    let running = [
        with_assets(&web("v2", 4), &format!("{ours}/web-v2"), "/public"),
        with_assets(&replaced, &format!("{ours}/web-v2"), "/public"),
        with_assets(&web("v1", 2), "/root/.kamal/assets/volumes/app-web-v1", "/old"),
        web("v0", 1),
        stopped(&with_assets(&web("v9", 0), &format!("{ours}/web-v9"), "/public")),
    ];
    let observed = fleet(&running.concat(), "");
    let plan = planned(&config, DeployKind::Deploy, "v2", &observed).unwrap();
    let [prepare] = plan.servers[0].assets.as_slice() else { panic!("one role with assets") };
    let found: Vec<_> = prepare
        .running
        .iter()
        .map(|old| (old.image.as_str(), old.volume.as_ref().map(|v| (v.directory.as_str(), v.at.as_str()))))
        .collect();
    let v2 = format!("{ours}/web-v2");
    assert_eq!(
        found,
        [
            ("sha256:v2", Some((v2.as_str(), "/public"))),
            ("sha256:v1", Some(("/root/.kamal/assets/volumes/app-web-v1", "/old"))),
            ("sha256:v0", None)
        ]
    );
    assert!(prepare.in_use, "a container of v2 runs already");
    let [prepare] = plan.servers[1].assets.as_slice() else { panic!("workers have none") };
    assert_eq!((prepare.running.len(), prepare.in_use), (0, false));

    // The app was stopped: the assets come from the container that served last, whose directories are not in use.
    let last = stopped(&with_assets(&web("v1", 2), &format!("{ours}/web-v1"), "/public"));
    let plan = planned(&config, DeployKind::Deploy, "v1", &fleet(&last, "")).unwrap();
    let prepare = &plan.servers[0].assets[0];
    assert_eq!((prepare.running.len(), prepare.in_use), (1, false));
}

#[test]
fn s14_what_is_cleaned_is_told_by_what_is_there() {
    let roles = BASE.replace("  workers:", "  web-api: {hosts: [a]}\n  workers:");
    let config = |more: &str| {
        load(SourceFile::new("deploy.yml", format!("{roles}{more}")), None)
            .unwrap_or_else(|e| panic!("{e}"))
            .config
    };
    let web = |version: &str, created| {
        container(&format!("app-web-{version}"), "web", created, Some("healthy"), false)
    };
    let kamal = "/root/.kamal/assets/volumes/app-web-v0";
    let helper = container("app-web-assets", "", 5, None, false);
    let here = [web("v1", 1), stopped(&with_assets(&web("v0", 0), kamal, "/p")), stopped(&helper)].concat();
    let clean = |config: &Config, kind, version: &str, observed: &Observed| {
        let observed = [("a".to_string(), observed.clone())].into();
        let plan = planned(config, kind, version, &observed).unwrap();
        plan.servers[0].prune.clone().map(|prune| (prune.parts, prune.assets))
    };
    let keeps = |config: &Config, kind, version: &str, observed: &Observed| {
        clean(config, kind, version, observed).unwrap().1[0].keep.join(" ")
    };
    let with = config("asset_path: /p\n");
    let mut observed = server(&here);
    let (parts, roles) = clean(&with, DeployKind::Deploy, "v2", &observed).unwrap();
    assert_eq!(parts, Some(bowline_core::commands::prune::Parts::All));
    assert_eq!((roles[0].role.as_str(), roles[0].siblings.join(" ").as_str()), ("web", "web-api"));
    assert_eq!((roles[0].elsewhere.join(" ").as_str(), roles[0].helper), (kamal, true));
    assert_eq!((roles[1].role.as_str(), roles[1].siblings.len(), roles[1].helper), ("web-api", 0, false));

    assert_eq!(keeps(&with, DeployKind::Deploy, "v2", &observed), "v2 v1");
    assert_eq!(keeps(&with, DeployKind::Redeploy, "v1", &observed), "v1", "nobody knows what was before");
    observed.served = vec!["v0".into(), "v1".into()];
    assert_eq!(keeps(&with, DeployKind::Redeploy, "v1", &observed), "v1 v0");
    observed.containers.clear();
    assert_eq!(keeps(&with, DeployKind::Boot, "latest", &observed), "latest v1");

    // The next deploy removes the assets of a role that no longer has an asset path. Other runs don't.
    assert_eq!(keeps(&config(""), DeployKind::Deploy, "v2", &observed), "v2 v1");
    assert_eq!(clean(&config(""), DeployKind::Redeploy, "v2", &observed), None);
    assert_eq!(clean(&with, DeployKind::Redeploy, "v2", &observed).unwrap().0, None, "only assets");
}
