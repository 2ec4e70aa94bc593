//! `install.sh` in the shells and with the programs that machines have. The archives contain a small program in place
//! of Bowline. End-to-end tests install the archives of `bin/dist`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const SHELLS: [&[&str]; 4] = [&["sh"], &["dash"], &["bash"], &["busybox", "sh"]];
const PROGRAMS: [&str; 15] = [
    "cp",
    "mv",
    "rm",
    "rmdir",
    "mkdir",
    "mktemp",
    "chmod",
    "tail",
    "sed",
    "grep",
    "find",
    "sort",
    "tar",
    "gzip",
    "sha256sum",
];

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        for name in ["home", "tmp"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        // Other users need access, too.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Creates an archive for a machine type, and its checksum file. `program` is the code of its `bowline`.
    fn archive(&self, version: &str, machine: &str, program: &str, more: &[&str]) -> PathBuf {
        let name = format!("bowline-{version}-{machine}");
        let root = self.path("made").join(&name);
        for file in
            ["bin/bowline", "bin/bowline-proxy", "share/man/man1/bowline.1", "share/doc/bowline/LICENSE"]
                .iter()
                .chain(more)
        {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{program}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let archive = self.path(&format!("{name}.tar.gz"));
        let script =
            r#"cd "$1" && tar -cf - "$2" | gzip >"$3" && cd "${3%/*}" && sha256sum "${3##*/}" >"$3.sha256""#;
        let made = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&self.path("made"), Path::new(&name), &archive])
            .status();
        assert!(made.unwrap().success());
        archive
    }

    fn release(&self, version: &str) -> PathBuf {
        self.archive(version, &this_machine(), &format!("echo {version}"), &[])
    }

    /// The command that runs the script in a shell. Without `path`, it has the PATH of this test.
    fn command(&self, shell: &[&str], path: Option<&Path>) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../install.sh");
        // An unprivileged user must be able to read it.
        let readable = self.path("install.sh");
        fs::copy(script, &readable).unwrap();
        let program = path.map_or_else(|| PathBuf::from(shell[0]), |path| path.join(shell[0]));
        let mut command = Command::new(program);
        command.args(&shell[1..]).arg(readable).current_dir(self.directory.path());
        command.env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        if let Some(path) = path {
            command.env("PATH", path);
        }
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        ran(self.command(&["sh"], None).args(words))
    }

    /// A directory with links to only these programs.
    fn programs(&self, name: &str, programs: &[&str]) -> PathBuf {
        let directory = self.path(name);
        fs::create_dir(&directory).unwrap();
        for program in programs {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .chain(["/usr/sbin".into(), "/sbin".into()])
                .map(|place| place.join(program))
                .find(|path| path.is_file());
            symlink(found.unwrap_or_else(|| panic!("there is no {program}")), directory.join(program))
                .unwrap();
        }
        directory
    }

    fn files_below(&self, name: &str) -> Vec<String> {
        let found = Command::new("find").arg(".").args(["-type", "f"]).current_dir(self.path(name)).output();
        let mut files: Vec<_> =
            String::from_utf8(found.unwrap().stdout).unwrap().lines().map(String::from).collect();
        files.sort();
        files
    }

    fn leaves_nothing_behind(&self) {
        assert_eq!(self.files_below("tmp"), [""; 0]);
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0);
    }
}

struct Ran {
    code: Option<i32>,
    text: String,
}

impl Ran {
    #[track_caller]
    fn says(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for text in texts {
            assert!(self.text.contains(text), "expected {text:?}:\n{}", self.text);
        }
    }
}

fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    Ran { code: status.code(), text }
}

fn this_machine() -> String {
    let system = if cfg!(target_os = "macos") { "macos" } else { "linux" };
    format!("{}-{system}", std::env::consts::ARCH)
}

fn serve(directory: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match fs::read(directory.join(name)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn every_shell_installs_replaces_and_removes() {
    for shell in SHELLS {
        let place = Place::new();
        let old = place.archive("1.0.0", &this_machine(), "echo 1.0.0", &["share/man/man1/bowline-old.1"]);
        let new = place.release("1.1.0");
        fs::create_dir_all(place.path("home/.local/bin")).unwrap();
        fs::write(place.path("home/.local/bin/other"), "").unwrap();

        let first = ran(place.command(shell, None).arg(&old));
        first.says(0, &["installed bowline 1.0.0", "is not in your PATH", "sh install.sh --uninstall\n"]);
        assert!(place.path("home/.local/share/man/man1/bowline-old.1").exists(), "{shell:?}");
        let path = format!("{}:{}", place.path("home/.local/bin").display(), std::env::var("PATH").unwrap());
        let second = ran(place.command(shell, None).env("PATH", path).arg(&new));
        second.says(0, &["installed bowline 1.1.0"]);
        assert!(!second.text.contains("PATH"), "{}", second.text);
        assert!(!place.path("home/.local/share/man/man1/bowline-old.1").exists(), "{shell:?}");
        let program = place.path("home/.local/bin/bowline");
        assert_eq!(ran(Command::new(&program).arg("version")).text, "1.1.0\n", "{shell:?}");
        let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("home/.local/bin/bowline-proxy"), 0o755);
        assert_eq!(mode("home/.local/share/man/man1/bowline.1"), 0o644);

        ran(place.command(shell, None).arg("--uninstall")).says(0, &["removed Bowline from"]);
        assert_eq!(place.files_below("home"), ["./.local/bin/other"], "{shell:?}");
        ran(place.command(shell, None).arg("--uninstall")).says(1, &["did not install Bowline in"]);
        place.leaves_nothing_behind();
    }
}

#[test]
fn busybox_alone_is_enough() {
    let place = Place::new();
    let all = [&PROGRAMS[..], &["busybox", "sh", "uname"]].concat();
    let programs = place.path("busybox");
    fs::create_dir(&programs).unwrap();
    let busybox = fs::canonicalize(place.programs("found", &["busybox"]).join("busybox")).unwrap();
    for name in all {
        symlink(&busybox, programs.join(name)).unwrap();
    }
    let archive = place.release("1.0.0");
    let run =
        |words: &[&str]| ran(place.command(&["sh"], Some(&programs)).args(["--prefix", "there"]).args(words));
    run(&[archive.to_str().unwrap()]).says(0, &["installed bowline 1.0.0", "--uninstall --prefix "]);
    assert!(place.path("there/bin/bowline").exists());
    run(&["--uninstall"]).says(0, &[]);
    assert_eq!(place.files_below("there"), [""; 0]);
    place.leaves_nothing_behind();
}

#[test]
fn urls_are_downloaded_with_curl_or_wget() {
    let place = Place::new();
    let archive = place.release("1.0.0");
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();
    let address = serve(place.directory.path().to_owned());
    let url = format!("http://{address}/{name}");
    let with = |more: &[&str], directory: &str| place.programs(directory, &[&PROGRAMS[..], more].concat());
    let curl = with(&["sh", "uname", "curl"], "curl");
    ran(place.command(&["sh"], Some(&curl)).arg(&url))
        .says(0, &["downloading http", "installed bowline 1.0.0"]);
    // The arguments for both busybox's and GNU's wget: -q -T SECONDS -O FILE URL.
    let wget = with(&["sh", "uname"], "wget");
    let curl_itself = curl.join("curl");
    fs::write(wget.join("wget"), format!("#!/bin/sh\nexec {} -fs -o \"$5\" \"$6\"\n", curl_itself.display()))
        .unwrap();
    fs::set_permissions(wget.join("wget"), fs::Permissions::from_mode(0o755)).unwrap();
    ran(place.command(&["sh"], Some(&wget)).arg(&url)).says(0, &["installed bowline 1.0.0"]);
    let none = with(&["sh", "uname"], "none");
    ran(place.command(&["sh"], Some(&none)).arg(&url)).says(1, &["neither curl nor wget is installed"]);

    ran(place.command(&["sh"], Some(&curl)).arg(format!("http://{address}/no-such-file")))
        .says(1, &["the download of http", "no-such-file failed", "404"]);
    fs::remove_file(format!("{}.sha256", archive.display())).unwrap();
    ran(place.command(&["sh"], Some(&curl)).arg(&url)).says(1, &[".sha256 failed", "--sha256 HEX"]);
    place.leaves_nothing_behind();
}

#[test]
fn a_damaged_archive_is_refused() {
    let place = Place::new();
    let archive = place.release("1.0.0");
    let archive = archive.to_str().unwrap();
    let whole = fs::read(archive).unwrap();
    fs::write(archive, &whole[..whole.len() / 2]).unwrap();
    place.run(&[archive]).says(1, &["is damaged or was replaced: its SHA-256 is wrong", "download it again"]);
    let sum = ran(Command::new("sha256sum").arg(archive)).text;
    let sum = sum.split(' ').next().unwrap();
    place.run(&["--sha256", sum, archive]).says(1, &["can't be unpacked"]);
    fs::remove_file(format!("{archive}.sha256")).unwrap();
    place.run(&[archive]).says(1, &["there is no", ".sha256"]);
    place.run(&["no-such-file"]).says(1, &["there is no file no-such-file"]);
    assert_eq!(place.files_below("home"), [""; 0]);
    place.leaves_nothing_behind();
}

#[test]
fn a_release_for_another_machine_is_refused() {
    let place = Place::new();
    let other = place.archive("1.0.0", "riscv64-linux", "echo 1.0.0", &[]);
    place
        .run(&[other.to_str().unwrap()])
        .says(1, &["bowline-1.0.0-riscv64-linux is for another machine; this one is", &this_machine()]);
    let broken = place.archive("1.0.0", &this_machine(), "echo no such interpreter >&2; exit 1", &[]);
    place
        .run(&[broken.to_str().unwrap()])
        .says(1, &["bowline does not run on this machine", "no such interpreter"]);
    assert_eq!(place.files_below("home"), [""; 0]);
    place.leaves_nothing_behind();
}

#[test]
fn what_cannot_be_written_is_named() {
    let place = Place::new();
    let archive = place.release("1.0.0");
    let archive = archive.to_str().unwrap();
    fs::write(place.path("file"), "").unwrap();
    place.run(&["--prefix", "file", archive]).says(1, &["can't write below", "Not a directory"]);

    fs::create_dir(place.path("closed")).unwrap();
    fs::set_permissions(place.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(place.path("tmp"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = place.command(&["sh"], None);
    command.args(["--prefix", "closed", archive]);
    // Root can write everywhere.
    let root = ran(Command::new("id").arg("-u")).text.trim() == "0";
    let refused = if root {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(command.get_program());
        other.args(command.get_args()).current_dir(place.directory.path());
        ran(other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))))
    } else {
        ran(&mut command)
    };
    refused.says(1, &["can't write below", "Permission denied", "fix: run as root (sudo)"]);
    place.leaves_nothing_behind();
}

#[test]
fn what_is_not_understood_is_a_usage_error() {
    let place = Place::new();
    for (words, text) in [
        (&["--no-such"][..], "unknown option --no-such"),
        (&[], "no archive given"),
        (&["one", "two"], "more than one archive: one, two"),
        (&["--prefix"], "--prefix needs a value"),
        (&["--uninstall", "one"], "--uninstall takes no archive"),
    ] {
        place.run(words).says(2, &[text, "sh install.sh ARCHIVE"]);
    }
    place.run(&["--help"]).says(0, &["sh install.sh ARCHIVE"]);
}
