//! The lock's keeper, a program that doesn't need Docker.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, SystemTime};

use bowline_core::commands::lock;

use super::steps::scope;
use super::{server, sh, shells};

struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Keeper {
    fn start(home: &Path, run: &str) -> Self {
        let keep = lock::Keep { scope: scope(run), details: format!("Locked by: {run}") };
        let mut child = sh(home, &keep.script().sent())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.split_whitespace().next().unwrap_or("").to_string()
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends its connection, as when the deploying process is killed.
    fn hang_up(mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

const LOCK: &str = ".kamal/lock-app-staging";

#[test]
fn the_lock_is_taken_kept_and_given_back() {
    shells::each(|| {
        let home = server();
        let mut first = Keeper::start(home.path(), "one");
        assert_eq!(first.line(), "@locked");
        // As Kamal writes it: base64 of the details.
        let details = std::fs::read_to_string(home.path().join(LOCK).join("details")).unwrap();
        assert_eq!(bowline_core::observed::base64_text(&details), "Locked by: one");
        assert_eq!(Keeper::start(home.path(), "two").line(), "@held");
        first.send("renew");
        first.send("release");
        assert_eq!(first.line(), "@released");
        first.hang_up();
        assert!(!home.path().join(LOCK).exists());
        assert_eq!(
            std::fs::read_dir(home.path().join(".kamal")).unwrap().count(),
            0,
            "nothing is left beside it"
        );
    });
}

#[test]
fn a_dead_owners_lock_is_taken_over_and_only_that() {
    shells::each(|| {
        let home = server();
        let mut first = Keeper::start(home.path(), "one");
        assert_eq!(first.line(), "@locked");
        first.hang_up();
        assert!(home.path().join(LOCK).join("orphaned").exists());
        let mut second = Keeper::start(home.path(), "two");
        assert_eq!(second.line(), "@taken");
        assert!(!home.path().join(LOCK).join("orphaned").exists());
        assert_eq!(Keeper::start(home.path(), "three").line(), "@held");
        second.send("release");
        assert_eq!(second.line(), "@released");

        // Kamal's own lock has no owner, so it is never taken over, no matter how old it is.
        std::fs::create_dir_all(home.path().join(LOCK)).unwrap();
        assert_eq!(Keeper::start(home.path(), "four").line(), "@held");
    });
}

#[test]
fn a_lease_that_ran_out_is_taken_over_and_its_owner_learns_it() {
    shells::each(|| {
        let home = server();
        let mut first = Keeper::start(home.path(), "one");
        assert_eq!(first.line(), "@locked");
        let lease = std::fs::File::options().write(true).open(home.path().join(LOCK).join("lease")).unwrap();
        lease.set_modified(SystemTime::now() - Duration::from_secs(lock::LEASE_S + 5)).unwrap();
        let mut second = Keeper::start(home.path(), "two");
        assert_eq!(second.line(), "@taken");
        first.send("renew");
        assert_eq!(first.line(), "@lost");
        first.hang_up();
        assert!(!home.path().join(LOCK).join("orphaned").exists(), "it is the second's now");
        second.send("release");
        assert_eq!(second.line(), "@released");
    });
}

#[test]
fn a_run_that_is_killed_before_it_hears_that_it_has_the_lock_leaves_it_orphaned() {
    shells::each(|| {
        let home = server();
        let keep = |run: &str| lock::Keep { scope: scope(run), details: String::new() }.script().sent();
        for run in ["one", "two"] {
            let (nobody, output) = std::io::pipe().unwrap();
            drop(nobody);
            let mut keeper = sh(home.path(), &keep(run));
            keeper.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).status().unwrap();
            assert_eq!(std::fs::read_to_string(home.path().join(LOCK).join("owner")).unwrap().trim(), run);
            assert!(home.path().join(LOCK).join("orphaned").exists(), "{run}");
        }
    });
}

#[test]
fn a_lock_whose_server_stopped_before_its_owner_was_written_is_taken_over_after_the_lease() {
    shells::each(|| {
        let past = || SystemTime::now() - Duration::from_secs(lock::LEASE_S + 5);
        let made = |mode: u32, files: &[&str], made: SystemTime| {
            let home = server();
            let lock = home.path().join(LOCK);
            std::fs::create_dir_all(&lock).unwrap();
            std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(mode)).unwrap();
            for file in files {
                std::fs::write(lock.join(file), "").unwrap();
            }
            std::fs::File::open(&lock).unwrap().set_modified(made).unwrap();
            home
        };
        // A keeper's directory has this mode from its first moment.
        let home = server();
        assert_eq!(Keeper::start(home.path(), "one").line(), "@locked");
        let mode = std::fs::metadata(home.path().join(LOCK)).unwrap().permissions().mode() & 0o7777;
        for (files, word) in [(&[] as &[&str], "@taken"), (&["lease"], "@taken"), (&["details"], "@held")] {
            let home = made(mode, files, past());
            assert_eq!(Keeper::start(home.path(), "two").line(), word, "{files:?}");
        }
        assert_eq!(Keeper::start(made(mode, &[], SystemTime::now()).path(), "two").line(), "@held");
        // A directory that Kamal or a person created is never taken over.
        for mode in [0o755, 0o700, 0o775] {
            assert_eq!(Keeper::start(made(mode, &[], past()).path(), "two").line(), "@held", "{mode:o}");
        }
    });
}

/// The holder releases the lock between another run's `mkdir` and its check.
const GIVEN_BACK: &str = "#!/bin/sh\n[ \"$1\" != -p ] && [ ! -e once ] || exec /bin/mkdir \"$@\"\n\
    : > once; echo \"mkdir: cannot create directory: File exists\" >&2; exit 1\n";

#[test]
fn a_lock_that_is_given_back_at_that_moment_is_taken_with_an_owner() {
    shells::each(|| {
        let home = server();
        let mkdir = home.path().join("bin/mkdir");
        std::fs::write(&mkdir, GIVEN_BACK).unwrap();
        std::fs::set_permissions(&mkdir, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut keeper = Keeper::start(home.path(), "one");
        assert_eq!(keeper.line(), "@locked");
        assert_eq!(std::fs::read_to_string(home.path().join(LOCK).join("owner")).unwrap(), "one\n");
        keeper.send("release");
        assert_eq!(keeper.line(), "@released");
        std::fs::remove_file(home.path().join("once")).unwrap();
        let by_hand = lock::acquire(&scope("two").names, "by hand").sent();
        assert!(sh(home.path(), &by_hand).status().unwrap().success());
        assert!(home.path().join(LOCK).join("details").exists());
    });
}

#[test]
fn keepers_in_a_loop_leave_no_lock_without_an_owner() {
    shells::each(|| {
        let home = server();
        let path = home.path();
        let worker = |name: usize| {
            let mut got = 0;
            for turn in 0..60 {
                let mut keeper = Keeper::start(path, &format!("run{name}x{turn}"));
                match keeper.line().as_str() {
                    "@locked" => {
                        got += 1;
                        keeper.send("release");
                        assert_eq!(keeper.line(), "@released");
                    }
                    "@held" => {}
                    said => panic!("a keeper said {said}"),
                }
                keeper.hang_up();
            }
            got
        };
        let got: Vec<usize> = std::thread::scope(|threads| {
            let workers: Vec<_> = (0..3).map(|name| threads.spawn(move || worker(name))).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert!(got.iter().sum::<usize>() > 0, "{got:?}");
        assert!(!path.join(LOCK).exists(), "a lock that nobody holds is left: {got:?}");
    });
}

#[test]
fn a_lock_that_cannot_be_given_back_is_not_said_to_be() {
    shells::each(|| {
        let home = server();
        let mv = home.path().join("bin/mv");
        std::fs::write(&mv, "#!/bin/sh\necho 'mv: Read-only file system' >&2; exit 1\n").unwrap();
        std::fs::set_permissions(&mv, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut keeper = Keeper::start(home.path(), "one");
        assert_eq!(keeper.line(), "@locked");
        keeper.send("release");
        assert_eq!(keeper.line(), "mv:");
        assert_eq!(keeper.line(), "");
    });
}

#[test]
fn of_many_at_the_same_instant_exactly_one_gets_it() {
    shells::each(|| {
        for orphaned in [false, true] {
            let home = server();
            if orphaned {
                let mut dead = Keeper::start(home.path(), "dead");
                assert_eq!(dead.line(), "@locked");
                dead.hang_up();
            }
            let mut keepers: Vec<Keeper> =
                (0..20).map(|number| Keeper::start(home.path(), &format!("run{number}"))).collect();
            let lines: Vec<String> = keepers.iter_mut().map(Keeper::line).collect();
            let won = lines.iter().filter(|line| *line == "@locked" || *line == "@taken").count();
            assert_eq!(won, 1, "{lines:?}");
            assert_eq!(lines.iter().filter(|line| *line == "@held").count(), 19, "{lines:?}");
        }
    });
}

#[test]
fn a_lock_that_is_released_by_hand_ends_its_run_on_every_server() {
    shells::each(|| {
        let home = server();
        let run = |script: String| sh(home.path(), &script).output().unwrap();
        let names = scope("one").names;
        let mut keeper = Keeper::start(home.path(), "one");
        assert_eq!(keeper.line(), "@locked");
        assert!(run(scope("one").claim()).status.success());
        assert!(run(scope("one").fence()).status.success());

        let owner: lock::Owner =
            String::from_utf8(run(lock::owner(&names).sent()).stdout).unwrap().parse().unwrap();
        assert_eq!(owner, lock::Owner(Some("one".into())));
        let why = "a'b $(touch hacked) released the deploy lock".to_owned();
        let revoke = lock::Revoke { names: names.clone(), run: "one".into(), why: why.clone() };
        assert!(run(revoke.script().sent()).status.success());
        for script in [scope("one").fence(), scope("one").claim()] {
            let ended = run(script);
            assert_eq!(ended.status.code(), Some(75));
            assert_eq!(String::from_utf8(ended.stderr).unwrap().trim(), why);
        }
        assert!(!home.path().join("hacked").exists());
        assert!(run(lock::release(&names).sent()).status.success());
        keeper.send("renew");
        let mut said = String::new();
        keeper.output.read_line(&mut said).unwrap();
        assert_eq!(lock::Said::heard(&said), Some(lock::Said::Lost(why)));
        keeper.hang_up();
        assert!(!home.path().join(LOCK).exists());

        // The next run isn't affected.
        let mut next = Keeper::start(home.path(), "two");
        assert_eq!(next.line(), "@locked");
        assert!(run(scope("two").claim()).status.success());
        assert!(run(scope("two").fence()).status.success());
        assert_eq!(run(scope("one").fence()).status.code(), Some(75));
        next.send("release");
        assert_eq!(next.line(), "@released");
    });
}

#[test]
fn a_keeper_says_who_has_the_lock_instead() {
    shells::each(|| {
        let home = server();
        let names = scope("one").names;
        for (acquired, why) in [
            (false, "the deploy lock was removed"),
            (true, "another holder has the deploy lock (Locked by: me; Message: x)"),
        ] {
            let mut keeper = Keeper::start(home.path(), "one");
            assert_eq!(keeper.line(), "@locked");
            assert!(sh(home.path(), &lock::release(&names).sent()).status().unwrap().success());
            if acquired {
                let acquire = lock::acquire(&names, "Locked by: me\nMessage: x").sent();
                assert!(sh(home.path(), &acquire).status().unwrap().success());
            }
            keeper.send("release");
            let mut said = String::new();
            keeper.output.read_line(&mut said).unwrap();
            assert_eq!(lock::Said::heard(&said), Some(lock::Said::Lost(why.into())));
            keeper.hang_up();
        }
    });
}
