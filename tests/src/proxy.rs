//! Support for tests of `proxy:`: a project that has one, requests with a host name, and the proxy's state.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::docker::{again, docker};
use crate::project::{Project, binary};
use crate::sandbox::{Lease, Sandbox, Server, run};

pub const CONTAINER: &str = "kamal-proxy";

/// The proxy's state file, in its volume.
const STATE: &str = "/var/lib/docker/volumes/kamal-proxy-config/_data/kamal-proxy.state";

impl Project {
    /// A project for Kamal 2 whose web role has its own host name, with the proxy under test.
    #[must_use]
    pub fn proxied(sandbox: &Sandbox, lease: &Lease, name: &str) -> Self {
        let mut project = Self::new(sandbox, lease, name);
        project.unset("traefik").unset("healthcheck").set_proxy("healthcheck: {interval: 1}");
        project
    }

    /// Sets `proxy:` to the project's host name and port, and these lines.
    pub fn set_proxy(&mut self, more: &str) -> &mut Self {
        let other = self.other_proxy.as_ref().filter(|_| !more.contains("run:"));
        let run = other.map(|(repository, tag)| {
            format!("run: {{registry: '{}', repository: {repository}, version: {tag}}}", self.registry)
        });
        let lines: String = more.lines().chain(run.as_deref()).map(|line| format!("\n  {line}")).collect();
        let proxy = format!("\n  host: {}\n  app_port: 3000{lines}", self.host());
        self.set("proxy", &proxy)
    }

    /// Removes `proxy: run:`, so that roles can set it.
    pub fn without_run(&mut self) -> &mut Self {
        self.other_proxy = None;
        self.set_proxy("healthcheck: {interval: 1}")
    }

    #[must_use]
    pub fn has_own_proxy(&self) -> bool {
        self.other_proxy.is_none()
    }

    /// The host name of the web role.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.test", self.service)
    }

    /// The name of a role's service in the proxy.
    #[must_use]
    pub fn route(&self, role: &str) -> String {
        format!("{}-{role}", self.service)
    }
}

impl Server {
    /// Sends a request with a host name. Returns status and body, with status 0 if there is no response.
    #[must_use]
    pub fn ask(&self, host: &str, path: &str) -> (u16, String) {
        let header = format!("Host: {host}");
        let mut curl = Command::new("curl");
        curl.args(["-s", "--noproxy", "*", "--max-time", "5", "-w", "\n%{http_code}", "-H", &header]);
        let ran = run(curl.arg(self.url(path)));
        let (body, status) = ran.stdout.rsplit_once('\n').unwrap_or_default();
        (status.parse().unwrap_or_default(), body.to_owned())
    }

    /// Whether requests for the host name reach this version.
    #[must_use]
    pub fn serves(&self, host: &str, version: &str) -> bool {
        self.ask(host, "/version") == (200, version.to_owned())
    }

    /// The proxy's state file, as a map from service names to services.
    ///
    /// # Panics
    /// When there is no such file, or it isn't a list of services.
    #[must_use]
    pub fn proxy_state(&self) -> BTreeMap<String, Value> {
        let ran = self.run(&format!("cat {STATE}"));
        let all: Vec<Value> = serde_json::from_str(ran.ok()).unwrap_or_else(|e| panic!("{e}:\n{ran}"));
        let named = |service: Value| (service["name"].as_str().unwrap_or_default().to_owned(), service);
        all.into_iter().map(named).collect()
    }

    /// The targets of a service, as they were passed to the proxy.
    ///
    /// # Panics
    /// When the proxy doesn't know the service.
    #[must_use]
    #[track_caller]
    pub fn targets(&self, service: &str) -> Vec<String> {
        let state = self.proxy_state();
        let found = state.get(service).unwrap_or_else(|| panic!("no {service} in {:?}", state.keys()));
        let targets = found["active_targets"].as_array().expect("a list of targets");
        targets.iter().map(|target| target.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Removes all images of proxies, whatever their names.
    ///
    /// # Panics
    /// When one can't be removed.
    pub fn forget_proxy_image(&self) {
        let title = "label=org.opencontainers.image.title=kamal-proxy";
        self.run(&format!("docker images -q --filter {title} | sort -u | xargs -r docker rmi -f")).ok();
    }

    /// The short id of a container, which Kamal uses as the target.
    #[must_use]
    pub fn short_id(&self, container: &str) -> String {
        let ran = self.run(&format!("docker inspect -f '{{{{.Id}}}}' {container}"));
        ran.ok().chars().take(12).collect()
    }
}

impl Sandbox {
    /// Pushes our proxy's image to the registry, for servers to pull. Returns its repository and tag.
    ///
    /// # Panics
    /// When the image can't be made or pushed.
    #[must_use]
    pub fn push_proxy(&self) -> (String, String) {
        if let Some(other) = self.push_other_proxy() {
            return other;
        }
        // Two tests must not load and remove the same image at the same time.
        let turn = self.lock_file("proxy");
        turn.lock().expect("the lock of the proxy's image");
        let archive = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = archive.path().display().to_string();
        let made = run(Command::new(proxy_program()).args(["image", "--output", &path]));
        let name = made.ok().to_owned();
        docker(&["load", "--input", &path]).ok();
        let pushed = format!("{}/{name}", self.registry);
        docker(&["tag", &name, &pushed]).ok();
        let mut push = Command::new("docker");
        push.arg("--config").arg(self.state.join("docker")).args(["push", "-q", &pushed]);
        again(|| run(&mut push)).ok();
        // Fails if a container on this machine runs from it.
        let _ = docker(&["rmi", "--no-prune", &pushed, &name]);
        let (repository, tag) = name.split_once(':').expect("a name with a tag");
        (repository.to_owned(), tag.to_owned())
    }
}

impl Sandbox {
    /// If `PROXY_UNDER_TEST` names a static program, pushes an image of that proxy to the registry. Returns its
    /// repository and tag. Without the variable, tests run with our own proxy.
    pub(crate) fn push_other_proxy(&self) -> Option<(String, String)> {
        let program = PathBuf::from(std::env::var_os("PROXY_UNDER_TEST")?);
        let size = fs::metadata(&program).expect("the program that PROXY_UNDER_TEST names").len();
        // Servers keep images, so each program needs its own tag.
        let (repository, tag) = ("other-kamal-proxy", format!("v0.99.{size}"));
        let pushed = format!("{}/{repository}:{tag}", self.registry);
        let turn = self.lock_file("proxy");
        turn.lock().expect("the lock of the proxy's image");
        let mark = self.state.join(format!("{repository}-{tag}"));
        if !mark.exists() {
            let mut import = Command::new("sh");
            import.args(["-euc", OTHER_IMAGE, "sh"]).arg(&program).arg(&pushed);
            run(&mut import).ok();
            let mut push = Command::new("docker");
            push.arg("--config").arg(self.state.join("docker")).args(["push", "-q", &pushed]);
            again(|| run(&mut push)).ok();
            fs::write(&mark, "").expect("a mark beside the sandbox's state");
        }
        Some((repository.to_owned(), tag))
    }
}

/// Builds an image like kamal-proxy's, without an operating system: `sh PROGRAM NAME`.
const OTHER_IMAGE: &str = r#"
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT
mkdir -p "$files/usr/local/bin" "$files/etc" "$files/home/kamal-proxy/.config/kamal-proxy" "$files/tmp"
cp "$1" "$files/usr/local/bin/kamal-proxy"
echo kamal-proxy:x:1001:1001::/home/kamal-proxy:/bin/sh >"$files/etc/passwd"
chmod 1777 "$files/tmp"
tar -C "$files" --owner=1001 --group=1001 -c . | docker import --change 'USER 1001:1001' --change 'CMD ["kamal-proxy", "run"]' \
  --change 'ENV PATH=/usr/local/bin' --change 'EXPOSE 80 443' \
  --change 'LABEL org.opencontainers.image.title=kamal-proxy' - "$2"
"#;

impl Server {
    /// Loads an image of our proxy with an older version number in the current program. Returns its tag.
    ///
    /// # Panics
    /// When the image can't be made or loaded.
    #[must_use]
    pub fn load_older_proxy(&self) -> String {
        let home = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| home.path().join(name).display().to_string();
        let program = older(fs::read(proxy_program()).expect("the proxy's program"));
        fs::write(at("bowline-proxy"), program).expect("a copy of it");
        fs::set_permissions(at("bowline-proxy"), fs::Permissions::from_mode(0o755)).expect("that it can run");
        let made = run(Command::new(at("bowline-proxy")).args(["image", "--output", &at("image")]));
        let name = made.ok().to_owned();
        docker(&["cp", &at("image"), &format!("{}:/tmp/older-proxy", self.name)]).ok();
        self.run("docker load -i /tmp/older-proxy && rm /tmp/older-proxy").ok();
        name.strip_prefix("bowline-proxy:").expect("our proxy's name").to_owned()
    }
}

/// Replaces all digits of the version number in a program with zeros.
fn older(mut program: Vec<u8>) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let part_of_number = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
    let mut at = 1;
    while at < program.len() {
        let end = at + version.len();
        if program[at] == version[0]
            && program[at..].starts_with(version)
            && !part_of_number(program.get(at - 1))
            && !part_of_number(program.get(end))
        {
            program[at..end].iter_mut().filter(|byte| byte.is_ascii_digit()).for_each(|byte| *byte = b'0');
        }
        at += 1;
    }
    program
}

fn proxy_program() -> PathBuf {
    binary().with_file_name("bowline-proxy")
}

/// Removes images on servers that came from another build of the proxy, which has the same tag.
pub(crate) fn forget_other_builds(lease: &Lease, sandbox: &Sandbox) {
    let Ok(modified) = fs::metadata(proxy_program()).and_then(|about| about.modified()) else { return };
    let build = format!("{modified:?}");
    for server in lease.iter() {
        let mark = sandbox.state.join(format!("{}.proxy", server.name));
        if fs::read_to_string(&mark).is_ok_and(|known| known == build) {
            continue;
        }
        server.forget_proxy_image();
        fs::write(&mark, &build).expect("a mark beside the server's lease");
    }
}
