//! ERB in a project's files, with the environment, shell and Ruby (or a stub) of a real machine.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{bowline, project};

const CONFIG: &str = "service: <%= ENV[\"SHOP\"] || \"shop\" %>
image: me/<%= `printf '%s' \"$SHOP\"; echo -x$KAMAL_DESTINATION` -%>
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
    assert!(out.contains("service: app\nrepository: me/app-x\n") && !out.contains("192.0.2.2"), "{out}");
    let out = run(&[("TWO", "1"), ("SHOP", "shop")], &["config", "-d", "staging"]);
    assert!(out.contains("\nrepository: me/shop-xstaging\n") && out.contains("192.0.2.2"), "{out}");
}

const FOREIGN: &str =
    "service: <%= ENV['SHOP'].downcase %>\nimage: 1\nservers: [a]\nlabels: 1\nregistry: {}\n";

/// A stub of Ruby that replaces the tag in [`FOREIGN`].
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

/// Waits until a condition is true. Fails the test after 20 s.
fn comes(what: &str, true_now: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !true_now() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_ends_the_commands_of_templates_too() {
    let slow = "service: <%= `echo $$ > pid.new; mv pid.new pid; exec sleep 300` %>\n";
    for words in [["config"], ["a-word-that-may-be-an-alias"]] {
        let project = project(&[("config/deploy.yml", slow)]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_bowline"));
        let command = command.current_dir(project.path()).args(words);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pid = project.path().join("pid");
        comes("the command does not run", || pid.exists());
        let pid = std::fs::read_to_string(pid).unwrap();
        Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(130), "{words:?}");
        let alive = || Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
        comes("the command is left behind", || !alive().unwrap().success());
    }
}
