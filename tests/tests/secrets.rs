//! Secrets on their way from a vault to a container.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server};

/// Characters that get mangled easily, all in one line.
const NASTY: &str = "pa$1wor$D # ' \" \\ \\n `x` $(touch x) ${HOME} {a,b} * \t é \u{1f511} =";

/// Installs a fake `op` (1Password) that records its arguments and returns an item with two fields.
fn vault(project: &mut Project) {
    let field = |name: &str, value: &str| {
        let value = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\t', r"\t");
        format!(r#"{{"label":"{name}","reference":"op://Shop/app/{name}","value":"{value}"}}"#)
    };
    let answer = format!("[{},{}]", field("NASTY", NASTY), field("PLAIN", "from the vault"));
    project.write("bin/answer", &answer);
    project.write(
        "bin/op",
        "#!/bin/sh\ncd \"${0%/*}\" && echo \"$*\" >> log\n[ \"$1 $2\" != 'item get' ] || cat answer\n",
    );
    let op = project.path().join("bin/op");
    fs::set_permissions(&op, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", op.parent().unwrap().display(), std::env::var("PATH").unwrap());
    project.env("PATH", &path);
}

fn asked(project: &Project) -> Vec<String> {
    let log = fs::read_to_string(project.path().join("bin/log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

/// The environment of a container's first process, read from `/proc`.
fn environment(server: &Server, container: &str) -> Vec<String> {
    let pid = server.run(&format!("docker inspect -f '{{{{.State.Pid}}}}' {container}"));
    let text = server.run(&format!("cat /proc/{}/environ", pid.ok())).stdout;
    text.split('\0').map(str::to_owned).collect()
}

#[test]
fn a_value_reaches_the_container_byte_for_byte_and_is_asked_for_once() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "secrets");
    vault(&mut project);
    project.set("env", "\n  secret: [NASTY, 'ALIAS:PLAIN', QUOTED, LINES]");
    project
        .secret("A_VAULT", "$(kamal secrets fetch -a 1password --account acc --from Shop/app NASTY PLAIN)")
        .secret("NASTY", "$(kamal secrets extract NASTY $A_VAULT)")
        .secret("PLAIN", "\"$(bundle exec kamal secrets extract PLAIN $A_VAULT)\" # aliased")
        .secret("QUOTED", "'pa$1wor$D # \" \\ é'")
        .secret("LINES", "'line $1\n  line 2\n'")
        .secret("UNUSED", "$(touch ran)");
    for words in [&["plan", "--version", "v1"][..], &["config"], &["lock", "status"]] {
        project.bowline(words).ok();
        assert_eq!(asked(&project), [""; 0], "{words:?} needs no secret");
    }
    let ran = project.deploy("v1");
    ran.never_says("touch x").never_says("from the vault").ok();
    let questions = [
        "--version",
        "account get --account acc",
        "item get app --vault Shop --format json --account acc --fields label=NASTY,label=PLAIN",
    ];
    assert_eq!(asked(&project), questions);
    assert!(!project.path().join("ran").exists(), "a command ran for a secret that nobody needs");
    let environment = environment(&lease[0], &project.container("web", "v1"));
    let quoted = "QUOTED=pa$1wor$D # \" \\ é".to_owned();
    let lines = "LINES=line $1\n  line 2\n".to_owned();
    for expected in [format!("NASTY={NASTY}"), "ALIAS=from the vault".into(), quoted, lines] {
        assert!(environment.contains(&expected), "{expected:?} is not in {environment:?}");
    }
}
