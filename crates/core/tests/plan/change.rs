//! The plans of commands other than a deploy.

use super::*;
use bowline_core::commands::Action;
use bowline_core::commands::prune::Parts;
use bowline_core::plan::change::{After, Change, Deed, Given, Intent, Removal, Turns, env};
use bowline_core::plan::{change, show};
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::life::Act;
use bowline_core::request::Page;
use bowline_core::selection::Accessories;

/// The plan, with these servers behind the proxies that it concerns.
fn planned_change(
    config: &Config,
    intent: &Intent,
    observed: &BTreeMap<String, Observed>,
    behind: Vec<&str>,
) -> Change {
    let secrets = [("PW".to_string(), Secret::new("sentinel"))].into();
    planned_with(config, intent, observed, &Given { behind, secrets, ..Given::default() })
}

fn planned_with(
    config: &Config,
    intent: &Intent,
    observed: &BTreeMap<String, Observed>,
    given: &Given<'_>,
) -> Change {
    let selection = Selection::new(config, &Filters::default()).unwrap();
    let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
    change::plan(intent, change::Basis { config, given, scope: &scope, selection: &selection, observed })
}

fn told(config: &Config, intent: &Intent, observed: &BTreeMap<String, Observed>) -> String {
    show::change(&planned_change(config, intent, observed, Vec::new()))
}

fn stopped(container: &str) -> String {
    container.replace("\"status\":\"running\"", "\"status\":\"exited\"")
}

/// `web` runs on a and is stopped on b, where two versions of `workers` run.
fn uneven() -> BTreeMap<String, Observed> {
    let web = container("app-web-v1", "web", 1, Some("healthy"), true);
    let workers =
        |version: u32| container(&format!("app-workers-v{version}"), "workers", version, None, false);
    fleet(
        &web,
        &[stopped(&web), workers(1), workers(2), container("app-old-v1", "old", 1, None, false)].concat(),
    )
}

#[test]
fn stopping_takes_each_container_from_its_proxy_first() {
    let told = [Intent::Stop, Intent::StopStale].map(|intent| told(&config(""), &intent, &uneven()));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_start_says_what_it_can_and_what_it_cannot_do() {
    let versions = [None, Some("v2".into())];
    let told = versions.map(|version| told(&config(""), &Intent::Start(version), &uneven()));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn maintenance_is_for_roles_behind_a_proxy() {
    let page = Page { message: None, retry_after: 60, drain_timeout: None };
    let before = [Intent::Pause(page), Intent::Resume].map(|intent| told(&config(""), &intent, &uneven()));
    let mut observed = uneven();
    observed.values_mut().for_each(|server| server.maintenance.push("web".into()));
    observed.get_mut("a").unwrap().proxies.clear();
    let after = told(&config(""), &Intent::Resume, &observed);
    insta::assert_snapshot!([before.join("\n"), after].join("\n"));
}

#[test]
fn proxies_have_their_turns_and_a_login_only_where_they_may_pull() {
    let behind_traefik = |act, turns| {
        let config = config("traefik: {image: r.test/traefik}\n");
        let intent = Intent::Proxies(ProxyKind::Traefik, act, turns);
        planned_change(&config, &intent, &uneven(), vec!["a", "b"])
    };
    let rolling = behind_traefik(Act::Reboot, Turns::OneByOne);
    assert_eq!(rolling.stages.len(), 2);
    assert!(rolling.stages.iter().all(|stage| stage.reboots.is_some() && stage.after == After::Success));
    let stopped = behind_traefik(Act::Power(Action::Stop), Turns::Together);
    assert_eq!(stopped.stages.len(), 1);
    let upgrade = Intent::Proxies(ProxyKind::Kamal, Act::Upgrade, Turns::Together);
    let upgraded = planned_change(&config(""), &upgrade, &uneven(), vec!["a"]);
    let told = [rolling, stopped, upgraded].map(|change| show::change(&change));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn accessories_come_one_after_the_other_and_take_turns() {
    let config = config(
        "builder: {arch: amd64}\naccessories:\n  db: {image: mysql, hosts: [a, b], directories: ['data:/d']}\n  \
         ui: {image: ui, host: b, proxy: {host: h.test}}\n",
    );
    let of = |deed, turns| {
        let given = Given {
            accessories: Accessories::new(&config, &Filters::default(), "all").unwrap(),
            ..Given::default()
        };
        planned_with(&config, &Intent::Accessories("all".into(), deed, turns), &uneven(), &given)
    };
    let rolling = of(Deed::Reboot, Turns::OneByOne);
    let after: Vec<After> = rolling.stages.iter().map(|stage| stage.after).collect();
    assert_eq!(
        after,
        [After::Anything, After::Success, After::Anything],
        "a server's turn depends on those before"
    );
    let all = [of(Deed::Boot, Turns::Together), of(Deed::Remove, Turns::Together)];
    assert_eq!(all[0].stages.len(), 2);
    insta::assert_snapshot!(all.map(|change| show::change(&change)).join("\n"));
}

#[test]
fn the_parts_of_an_app_go_in_order_and_no_further_than_the_first_failure() {
    let config = config("accessories: {db: {image: mysql, host: b, directories: ['data:/d']}}\n");
    let accessories = Accessories::new(&config, &Filters::default(), "all").unwrap();
    let given = Given { accessories, ..Given::default() };
    let everything = planned_with(&config, &Intent::Remove(Removal::Everything), &uneven(), &given);
    let whatever: Vec<usize> = (0..)
        .zip(&everything.stages)
        .filter(|(_, stage)| stage.after == After::Anything)
        .map(|(number, _)| number)
        .collect();
    assert_eq!(whatever, [0, 3, 6], "the first, the orphans' containers, and the proxies after accessories");
    let parts = [Removal::Container("v1".into()), Removal::Containers, Removal::Images];
    let parts = parts.map(|removal| told(&config, &Intent::Remove(removal), &uneven()));
    insta::assert_snapshot!([vec![show::change(&everything)], parts.to_vec()].concat().join("\n"));
}

#[test]
fn env_files_and_a_prune_are_planned_for_each_server() {
    let config =
        config("accessories: {db: {image: mysql, host: b, env: {secret: [PW]}}, far: {image: i, host: z}}\n");
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    assert_eq!(env::secrets(&config, &selection), ["PW", "PW"]);
    let secrets = [("PW".to_string(), Secret::new("sentinel"))].into();
    let files = |secrets| env::files(&config, &selection, secrets).unwrap();
    let env = |intent, secrets| {
        let given = Given { env: files(secrets), ..Given::default() };
        show::change(&planned_with(&config, &intent, &uneven(), &given))
    };
    let prune = told(&config, &Intent::Prune(Parts::Containers, Some(2)), &uneven());
    insta::assert_snapshot!(
        [env(Intent::PushEnv, Some(&secrets)), env(Intent::DeleteEnv, None), prune].join("\n")
    );
}
