//! How programs start on a server: every login shell, whatever it prints and exports, runs the same program.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bowline_core::shell::{Script, beginning, word_of};
use tempfile::TempDir;

const WORD: &str = "0123456789abcdef";

/// The login shells to test if they are installed, each with the file that it reads when it starts.
const SHELLS: [(&str, &str); 8] = [
    ("sh", ""),
    ("dash", ""),
    ("bash", ".bashrc"),
    ("zsh", ".zshenv"),
    ("fish", ".config/fish/config.fish"),
    ("tcsh", ".tcshrc"),
    ("mksh", ""),
    ("busybox", ""),
];

/// Text that one shell or another would misread.
const AWKWARD: &str = "# it's a comment, isn't it? !! !x
v='a  b
c'; printf '<%s>\\n' \"$v\" '\\' \"\\\\\" '!' \"!\" '*' ~ 'ü' '^x' '%' '\u{1e}'
cat <<END
$((1 + 1)) \\$x `echo back`
END
case x in [!x]) echo no ;; *) echo \"$PPID\" >/dev/null; echo yes ;; esac
exit 7
";

fn home(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().filter(|(name, _)| !name.is_empty()) {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    home
}

/// Runs a script as sshd does. Only bash needs to know that sshd calls it.
fn logged_in(shell: &str, home: &Path, script: &Script, variables: &[(&str, &str)]) -> Option<Output> {
    let path = std::env::var("PATH").unwrap();
    let program = path.split(':').map(|at| Path::new(at).join(shell)).find(|path| path.exists());
    let Some(program) = program else {
        eprintln!("SKIPPED: {shell} is missing");
        return None;
    };
    let mut command = Command::new(&program);
    if shell == "busybox" {
        command.arg("sh");
    }
    command.arg("-c").arg(script.over_ssh(WORD)).env_clear().current_dir(home).stdin(Stdio::null());
    command.env("HOME", home).env("SHELL", &program).env("PATH", &path).env("SSH_CLIENT", "192.0.2.1 1 22");
    command.env("BASH_ENV", home.join(".bashrc")).envs(variables.iter().copied());
    Some(command.output().unwrap())
}

/// The output after the mark.
fn own(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (_, own) = text.split_once(&beginning(WORD)).unwrap_or_else(|| panic!("it never began: {text}"));
    own.to_owned()
}

#[test]
fn every_login_shell_runs_the_very_program() {
    let long = format!("{AWKWARD}# {}\n", "x".repeat(20_000));
    for text in [AWKWARD, &long] {
        let here = home(&[]);
        let direct = Command::new("/bin/sh").arg("-c").arg(text).env("HOME", here.path()).output().unwrap();
        assert_eq!(direct.status.code(), Some(7));
        for (shell, file) in SHELLS {
            let home = home(&[(file, "echo Welcome\necho to you 1>&2\n")]);
            let script = Script::new(text);
            let Some(ran) = logged_in(shell, here.path(), &script, &[]) else { continue };
            assert_eq!(ran.status.code(), Some(7), "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
            assert_eq!(own(&ran.stdout), String::from_utf8_lossy(&direct.stdout), "{shell}");
            let ran = logged_in(shell, home.path(), &Script::new("echo out; echo err >&2"), &[]).unwrap();
            assert_eq!((own(&ran.stdout), own(&ran.stderr)), ("out\n".into(), "err\n".into()), "{shell}");
            let before = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(file.is_empty() || before.starts_with("Welcome\n"), "{shell}: {before}");
        }
    }
}

#[test]
fn what_a_login_exports_changes_no_command_of_ours() {
    let home = home(&[("env", "echo chatter\nexit 9\n"), ("sub/x", "")]);
    let at = home.path().join("env");
    let hostile = [
        ("CDPATH", home.path().to_str().unwrap()),
        ("IFS", "a"),
        ("ENV", at.to_str().unwrap()),
        ("BASH_ENV", at.to_str().unwrap()),
        ("GREP_OPTIONS", "-v"),
        ("POSIXLY_CORRECT", "1"),
        ("TMPDIR", "/nowhere"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("TAR_OPTIONS", "--exclude=*"),
        ("BLOCK_SIZE", "1M"),
        ("KEPT", "kept"),
        ("DOCKER_HOST", "unix:///run/user/1000/docker.sock"),
    ];
    let script = "cd sub && v='xay b'; for w in $v; do echo \"<$w>\"; done\ncat <<END\nhere\nEND\n\
                  sh -c 'echo \"$CDPATH$ENV$BASH_ENV$GREP_OPTIONS$POSIXLY_CORRECT$TMPDIR$TAR_OPTIONS$BLOCK_SIZE $LC_ALL $KEPT $DOCKER_HOST\"'\n";
    for shell in ["dash", "mksh", "busybox", "tcsh"] {
        let Some(ran) = logged_in(shell, home.path(), &Script::new(script), &hostile) else { continue };
        let said = "<xay>\n<b>\nhere\n C kept unix:///run/user/1000/docker.sock\n";
        assert_eq!(own(&ran.stdout), said, "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    // A command that the user wrote gets the login's environment unchanged.
    let script = Script::new("echo \"$CDPATH $LC_ALL $TMPDIR\"").as_logged_in();
    let ran = logged_in("dash", home.path(), &script, &hostile).unwrap();
    assert_eq!(own(&ran.stdout), format!("{} tr_TR.UTF-8 /nowhere\n", home.path().display()));
}

#[test]
fn docker_is_found_on_the_login_shells_path() {
    for (shell, file, set) in [
        ("dash", ".profile", "echo Welcome; PATH=\"$PATH:$HOME/my bin\""),
        ("bash", ".profile", "echo Welcome; export PATH=\"$PATH:$HOME/my bin\""),
        ("zsh", ".zprofile", "echo Welcome; export PATH=\"$PATH:$HOME/my bin\""),
        ("fish", ".config/fish/config.fish", "echo Welcome; set -x PATH $PATH \"$HOME/my bin\""),
        ("tcsh", ".login", "echo Welcome; setenv PATH \"${PATH}:$HOME/my bin\""),
    ] {
        let home = home(&[(file, set), ("my bin/docker", "#!/bin/sh\necho docker \"$@\"\n")]);
        let tools = home.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let path = std::env::var("PATH").unwrap();
        for tool in ["env", "sed", "tail", "timeout", "id", "uname", "mkdir"] {
            let at = path.split(':').map(|at| Path::new(at).join(tool)).find(|path| path.exists());
            std::os::unix::fs::symlink(at.unwrap(), tools.join(tool)).unwrap();
        }
        // /etc/profile could put another Docker in the PATH.
        let docker = "command -v docker | grep -c . >/dev/null; docker says";
        let variables = [("PATH", tools.to_str().unwrap())];
        let Some(ran) = logged_in(shell, home.path(), &Script::new(docker), &variables) else { continue };
        let said = own(&ran.stdout);
        let another = ["bash", "dash"].contains(&shell) && said.is_empty();
        assert!(
            said == "docker says\n" || another,
            "{shell}: {said}{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

#[test]
fn the_line_names_its_word_last_and_never_the_beginning() {
    let line = Script::new("echo x").over_ssh(WORD);
    assert_eq!(word_of(&line), Some(WORD));
    assert!(!line.contains(&beginning(WORD)), "a shell that shows what it reads must not begin it");
    assert!(!line.contains('\n'));
}
