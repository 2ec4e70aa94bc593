//! Shell start-up files on the server that print, export variables or replace the shell.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::sandbox::{Sandbox, Server};

/// Prepends text to the server's .bashrc until it is dropped.
struct Bashrc<'a>(&'a Server);

impl<'a> Bashrc<'a> {
    fn new(server: &'a Server, text: &str) -> Self {
        server.run("cp -a .bashrc .bashrc.before 2>/dev/null || : > .bashrc.before").ok();
        let quoted = text.replace('\'', "'\\''");
        server.run(&format!("{{ printf '%s\\n' '{quoted}'; cat .bashrc.before; }} > .bashrc")).ok();
        Self(server)
    }
}

impl Drop for Bashrc<'_> {
    fn drop(&mut self) {
        let _ = self.0.run("mv -f .bashrc.before .bashrc");
    }
}

#[test]
fn what_a_login_prints_and_exports_reaches_no_output_and_changes_no_command() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "login");
    project.set("asset_path", "/app/public/assets");
    let _bashrc = Bashrc::new(
        server,
        "echo Welcome\necho oops >&2\nexport CDPATH=$HOME:/ IFS=: ENV=/nowhere BASH_ENV=/nowhere GREP_OPTIONS=-v \
         POSIXLY_CORRECT=1 TMPDIR=/nowhere LC_ALL=de_DE.UTF-8 TAR_OPTIONS=--exclude='*' program=x id=x made=x",
    );
    project.deploy("v1").ok();
    wait_for_version(server, "v1");
    project.deploy("v2").ok();
    wait_for_version(server, "v2");
    let ran = project.bowline(&["app", "exec", "--raw", "--reuse", "printf 'a\\001b'"]);
    ran.ok();
    assert_eq!(ran.stdout, "a\u{1}b");
    let ran = project.bowline(&["app", "exec", "--reuse", "echo hello"]);
    ran.says("hello").never_says("Welcome").never_says("oops").ok();
    project.bowline(&["app", "logs"]).never_says("Welcome").never_says("oops").ok();
    // `server exec` runs in the user's own shell, with its start-up files.
    project.bowline(&["server", "exec", "echo \"$CDPATH\""]).says("/root:/").ok();
}

#[test]
fn a_login_shell_that_runs_nothing_installs_no_second_docker() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = Project::new(sandbox, &lease, "nologin");
    for (bashrc, says) in [
        ("exec sh", "without running the command"),
        ("echo 'This account is currently not available.'; exit 1", "currently not available"),
    ] {
        let bashrc = Bashrc::new(server, bashrc);
        let ran = project.bowline(&["server", "bootstrap"]);
        ran.says(says).never_says("installing").never_says("not installed").exits(4);
        drop(bashrc);
    }
    project.bowline(&["server", "bootstrap"]).says("Docker ").ok();
}
