//! Installs a release on minimal machines: the archive and package from `bin/dist` are installed in bare containers,
//! which then deploy an app. The programs are those built for the tests, without debug information.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bowline_tests::docker::docker;
use bowline_tests::expect;
use bowline_tests::project::{Project, binary};
use bowline_tests::sandbox::{Ran, Sandbox, Server, root, run};
use tempfile::TempDir;

/// The output of `bin/dist`, from the programs next to this test.
struct Release {
    directory: TempDir,
}

impl Release {
    fn packed() -> Self {
        let directory = TempDir::with_prefix("bowline-release-").unwrap();
        for program in ["bowline", "bowline-proxy"] {
            let built = binary().with_file_name(program);
            let _ = run(Command::new("strip").arg("-o").arg(directory.path().join(program)).arg(built)).ok();
        }
        let mut dist = Command::new(root().join("bin/dist"));
        dist.arg("--binaries").arg(directory.path()).arg("--output").arg(directory.path());
        run(&mut dist).ok();
        Self { directory }
    }

    fn file(&self, ending: &str) -> PathBuf {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut found = entries.filter(|path| path.to_str().unwrap().ends_with(ending));
        found.next().unwrap()
    }
}

/// An idle container in the sandbox's network that is removed on drop.
struct Machine {
    name: String,
}

impl Machine {
    fn start(sandbox: &Sandbox, name: &str, image: &str) -> Self {
        let name = format!("{}-{name}-{}", sandbox.name, std::process::id());
        let label = format!("bowline.sandbox={}", sandbox.name);
        let words = ["run", "-d", "--name", &name, "--network", &sandbox.name, "--label", &label];
        docker(&[&words[..], &["--entrypoint", "sleep", image, "3600"]].concat()).ok();
        Self { name }
    }

    fn put(&self, from: &Path, to: &str) {
        docker(&["cp", "-q", from.to_str().unwrap(), &format!("{}:{to}", self.name)]).ok();
    }

    fn run(&self, script: &str) -> Ran {
        let words = ["exec", "-e", "HOME=/root", "-w", "/root", &self.name, "sh", "-c", script];
        run(Command::new("docker").args(words))
    }

    /// Copies the project to the machine, with the sandbox's SSH key.
    fn gets(&self, project: &Project, sandbox: &Sandbox) {
        project.write_config();
        self.run("mkdir -p .ssh app/.kamal && chmod 700 .ssh").ok();
        self.put(&sandbox.ssh_key, "/root/.ssh/id_ed25519");
        self.put(&sandbox.known_hosts, "/root/.ssh/known_hosts");
        self.put(&project.path().join("config"), "/root/app/");
        self.put(&project.path().join(".kamal/secrets"), "/root/app/.kamal/secrets");
        self.run("chown -R 0:0 .ssh app && chmod 600 .ssh/* app/.kamal/secrets").ok();
    }

    /// Runs a new user's first commands, then deploys an image from the registry.
    #[track_caller]
    fn deploys(&self, project: &Project, server: &Server, version: &str) {
        self.run("bowline version").says(env!("CARGO_PKG_VERSION")).ok();
        self.run(
            "mkdir new && cd new && bowline init && test -s config/deploy.yml && test -s .kamal/secrets",
        )
        .ok();
        self.run("cd app && bowline config").says(&project.service).ok();
        let deployed = self.run(&format!("cd app && bowline deploy --skip-push --version {version}"));
        deployed.exits(0);
        expect::runs(project, server, &[("web", version)]);
        assert!(server.serves(&project.host(), version), "{deployed}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", &self.name]);
    }
}

/// A project that names its server, so that the machine must resolve the name.
fn project(sandbox: &Sandbox, lease: &bowline_tests::sandbox::Lease) -> Project {
    let mut project = Project::proxied(sandbox, lease, "installed");
    project.set("servers", &format!("[{}]", lease[0].name));
    project.set("ssh", "{user: root, keys_only: true, keys: [/root/.ssh/id_ed25519]}");
    for version in ["v1", "v2"] {
        sandbox.push_version(&project.service, &project.service, version, &[]);
    }
    project
}

/// Installs an NSS module that aborts any program that loads it, like one for another version of the C library.
fn trap(machine: &Machine) {
    let directory = TempDir::new().unwrap();
    let (source, library) = (directory.path().join("trap.c"), directory.path().join("libnss_trap.so.2"));
    fs::write(
        &source,
        "#include <stdlib.h>\n__attribute__((constructor)) static void trap(void) { abort(); }\n",
    )
    .unwrap();
    let _ = run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source)).ok();
    machine.put(&library, "/usr/lib/x86_64-linux-gnu/libnss_trap.so.2");
    machine.run("echo 'hosts: trap files dns' >/etc/nsswitch.conf").ok();
    let trapped = machine.run("getent hosts localhost");
    assert_ne!(trapped.code, Some(0), "{trapped}");
}

#[test]
fn a_release_is_installed_on_bare_machines_and_deploys_from_there() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease);
    let release = Release::packed();

    // Without a C library, ssh, git or docker: only busybox and the release.
    let bare = Machine::start(sandbox, "bare", &sandbox.app_base);
    let archive = release.file(".tar.gz");
    let name = archive.file_name().unwrap().to_str().unwrap();
    bare.put(&archive, "/root/");
    bare.put(&release.file(".tar.gz.sha256"), "/root/");
    bare.put(&root().join("install.sh"), "/root/install.sh");
    let installed = bare.run(&format!("sh install.sh --system {name} && ln -s /usr/local/bin/* /bin/"));
    installed.says("installed bowline").ok();
    bare.gets(&project, sandbox);
    // The server has no proxy image, so Bowline sends the one from the archive.
    server.forget_proxy_image();
    bare.deploys(&project, server, "v1");
    bare.run("sh install.sh --system --uninstall && ! test -e /usr/local/bin/bowline && ! test -e /usr/local/bin/bowline-proxy").ok();

    let image = docker(&["inspect", "-f", "{{.Config.Image}}", &server.name]);
    let debian = Machine::start(sandbox, "debian", image.ok());
    debian.put(&release.file(".deb"), "/root/bowline.deb");
    debian.run("dpkg -i bowline.deb && dpkg -V bowline").ok();
    debian.gets(&project, sandbox);
    trap(&debian);
    debian.deploys(&project, server, "v2");
    debian.run("dpkg -r bowline && ! test -e /usr/bin/bowline").ok();
}
