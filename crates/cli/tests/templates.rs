//! ERB in a project's files, with the environment, shell and Ruby (or a stand-in for it) of a real machine.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use common::{bowline, project};

const CONFIG: &str = "service: <%= ENV[\"SHOP\"] || \"shop\" %>
image: me/<%= `printf '%s' \"$SHOP\"; echo -$KAMAL_DESTINATION` -%>
# ruby: <%= RUBY_VERSION %>
servers:
<% if ENV[\"TWO\"] %>
  - 192.0.2.2
<% end %>
  - 192.0.2.1
registry: {username: me, password: [PW]}
";

#[test]
fn variables_commands_and_conditions() {
    let project =
        project(&[("config/deploy.yml", CONFIG), ("config/deploy.staging.yml", "# <%# empty %>\n")]);
    let run = |variables: &[(&str, &str)], words: &[&str]| {
        let (status, out, err) = bowline(project.path(), variables, words);
        assert_eq!((status, err.as_str()), (0, ""));
        out
    };
    let out = run(&[("SHOP", "app"), ("KAMAL_DESTINATION", "stray")], &["config"]);
    assert!(out.contains("service: app\nrepository: me/app-\n") && !out.contains("192.0.2.2"), "{out}");
    let out = run(&[("TWO", "1")], &["config", "-d", "staging"]);
    assert!(out.contains("\nrepository: me/-staging\n") && out.contains("192.0.2.2"), "{out}");
}

const FOREIGN: &str =
    "service: <%= ENV['SHOP'].downcase %>\nimage: 1\nservers: [a]\nlabels: 1\nregistry: {}\n";

/// Takes the place of Ruby: what the tag of [`FOREIGN`] gives.
const RUBY: &str = "#!/bin/sh\nexec sed 's/<%.*%>/shop/'\n";

#[test]
fn what_is_not_built_in_is_left_to_ruby() {
    let project = project(&[("config/deploy.yml", FOREIGN), ("bin/ruby", RUBY)]);
    let path = format!("{}:{}", project.path().join("bin").display(), std::env::var("PATH").unwrap());
    let (status, out, err) = bowline(project.path(), &[("PATH", &path)], &["config"]);
    assert_eq!((status, out.as_str()), (2, ""));
    insta::assert_snapshot!("ruby", err);
}

#[test]
fn without_ruby_the_error_says_what_to_do() {
    let project = project(&[("config/deploy.yml", FOREIGN), ("bin/none", "")]);
    let path = project.path().join("bin");
    let env = ["/usr/bin/env", "/bin/env"].into_iter().find(|path| std::path::Path::new(path).exists());
    std::os::unix::fs::symlink(env.unwrap(), path.join("env")).unwrap();
    let (status, out, err) = bowline(project.path(), &[("PATH", path.to_str().unwrap())], &["config"]);
    assert_eq!((status, out.as_str()), (2, ""));
    insta::assert_snapshot!("without_ruby", err);
}
