//! The servers and roles that the filters leave.

use super::*;
use bowline_core::selection::servers;

#[test]
fn a_filter_that_matches_nothing_says_what_there_is() {
    let config = config("");
    let error = |hosts: &[&str], roles: &[&str]| {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
        Selection::new(&config, &Filters { hosts: list(hosts), roles: list(roles), primary: false })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(error(&["c"], &[]), "no host matches c; the hosts are: a, b");
    assert_eq!(error(&[], &["cron"]), "no role matches cron; the roles are: web, workers");
    assert_eq!(error(&["a"], &["work*"]), "none of the roles workers runs on a");
    let primary = Filters { primary: true, ..Filters::default() };
    assert_eq!(Selection::new(&config, &primary).unwrap().hosts, ["a"]);
}

#[test]
fn the_servers_are_those_of_roles_and_accessories_unless_roles_are_asked_for() {
    let config = config(
        "primary_role: workers\naccessories:\n  db: {image: db, host: z}\n  cache: {image: cache, roles: [web]}\n",
    );
    let list = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let of = |hosts: &[&str], roles: &[&str], primary| {
        servers(&config, &Filters { hosts: list(hosts), roles: list(roles), primary })
            .map(|hosts| hosts.join(" "))
            .map_err(|error| error.to_string())
    };
    let found = |hosts: &str| Ok(hosts.to_owned());
    assert_eq!(of(&[], &[], false), found("b a z"), "the primary role's first");
    assert_eq!(of(&[], &[], true), found("b"));
    assert_eq!(of(&[], &["w*"], false), found("b a"));
    assert_eq!(of(&["[az]"], &[], false), found("a z"));
    assert_eq!(of(&["z"], &[], true), found("z"));
    assert_eq!(of(&["y*"], &[], false), Err("no host matches y*; the hosts are: b, a, z".into()));
    assert_eq!(of(&[], &["job"], false), Err("no role matches job; the roles are: workers, web".into()));
    assert_eq!(of(&["z"], &["web"], false), Err("none of the roles web runs on z".into()));
}
