//! Images without a registry: real Docker Engines pull from our registry through `ssh -R`, with the classic and with
//! containerd's image store.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::future::pending;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bowline_registry::{Access, Image, Limits, Registry, Store, Traffic};
use bowline_tests::docker::docker;
use bowline_tests::sandbox::{Ran, Sandbox, Server, run};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, duplex, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const MIB: u64 = 1024 * 1024;

struct Served {
    store: Arc<Store>,
    registry: Arc<Registry>,
    traffic: Arc<Traffic>,
    port: u16,
    /// Connections are cut after this number of bytes.
    cut: Arc<AtomicU64>,
    directory: TempDir,
    _runtime: Runtime,
}

impl Served {
    fn start(access: Option<Access>) -> Self {
        let directory = TempDir::new().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store")).unwrap());
        // OpenSSH waits for the last forwarded connection to end, and Docker keeps some open.
        let limits = Limits { idle: Duration::from_secs(2), ..Limits::default() };
        let registry = Arc::new(Registry::new(Arc::clone(&store), access, limits));
        let (traffic, cut) = (Arc::<Traffic>::default(), Arc::new(AtomicU64::new(u64::MAX)));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn({
            let (registry, traffic, cut) = (Arc::clone(&registry), Arc::clone(&traffic), Arc::clone(&cut));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let cut = cut.load(Ordering::Relaxed);
                    tokio::spawn(pass(stream, Arc::clone(&registry), Arc::clone(&traffic), cut));
                }
            }
        });
        Self { store, registry, traffic, port, cut, directory, _runtime: runtime }
    }

    /// Takes the image that `save` writes and offers it.
    fn offer_saved(&self, mut save: Command, name: &str, image: &str) -> Image {
        let mut saving = save.stdout(Stdio::piped()).spawn().unwrap();
        let image = self.store.take_archive(saving.stdout.take().unwrap(), image).unwrap();
        assert!(saving.wait().unwrap().success());
        self.registry.offer(name, &image).unwrap();
        image
    }

    /// Runs a command on a server, with the registry forwarded meanwhile.
    fn ssh(&self, sandbox: &Sandbox, server: &Server, command: &str) -> Ran {
        let port = self.port;
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(sandbox.state.join("ssh_config")).args(["-o", "ExitOnForwardFailure=yes"]);
        run(ssh.args(["-R", &format!("127.0.0.1:{port}:127.0.0.1:{port}"), &server.address, command]))
    }

    fn pull(&self, sandbox: &Sandbox, server: &Server, name: &str) -> Ran {
        self.ssh(sandbox, server, &format!("docker pull localhost:{}/{name}", self.port))
    }

    /// The bytes sent since the last call.
    fn sent(&self, before: &mut u64) -> u64 {
        let sent = self.traffic.sent();
        sent - std::mem::replace(before, sent)
    }
}

/// Serves a connection until `cut` bytes were sent.
async fn pass(mut stream: TcpStream, registry: Arc<Registry>, traffic: Arc<Traffic>, cut: u64) {
    let (near, far) = duplex(64 * 1024);
    let (answers, mut questions) = split(near);
    let (mut from, mut to) = stream.split();
    let mut answers = answers.take(cut);
    tokio::spawn(async move { registry.serve(far, traffic).await });
    let ask = async {
        let _ = copy(&mut from, &mut questions).await;
        let _ = questions.shutdown().await;
        pending::<()>().await;
    };
    // Ends after the last answer, or at the byte where the connection is cut.
    tokio::select! {
        () = ask => {}
        _ = copy(&mut answers, &mut to) => {}
    }
}

/// Builds an image on this machine with a large layer, and a small one with the version on top.
fn build(sandbox: &Sandbox, directory: &TempDir, image: &str, version: &str) {
    let context = directory.path().join("context");
    fs::create_dir_all(&context).unwrap();
    if !context.join("large").exists() {
        let mut random = fs::File::open("/dev/urandom").unwrap();
        let mut large = fs::File::create(context.join("large")).unwrap();
        std::io::copy(&mut std::io::Read::take(&mut random, 8 * MIB), &mut large).unwrap();
    }
    fs::write(context.join("version"), version).unwrap();
    let dockerfile = format!("FROM {}\nCOPY large /large\nCOPY version /version\n", sandbox.app_base);
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    docker(&["build", "-q", "-t", image, context.to_str().unwrap()]).ok();
}

fn save(image: &str) -> Command {
    let mut save = Command::new("docker");
    save.args(["save", image]);
    save
}

/// An image on this machine, removed on drop.
struct Built(String);

impl Drop for Built {
    fn drop(&mut self) {
        let _ = docker(&["rmi", "-f", &self.0]);
    }
}

#[test]
fn a_server_pulls_what_docker_saved_and_of_the_next_version_only_what_changed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let (server, served) = (&lease[0], Served::start(None));
    let mut before = 0;
    for version in ["v1", "v2"] {
        let built = Built(format!("from-this-machine-{}:{version}", served.port));
        build(sandbox, &served.directory, &built.0, version);
        served.offer_saved(save(&built.0), &format!("me/app:{version}"), &built.0);
        served.pull(sandbox, server, &format!("me/app:{version}")).ok();
        let image = format!("localhost:{}/me/app:{version}", served.port);
        assert_eq!(server.run(&format!("docker run --rm {image} cat /version")).ok(), version);
        let id = ["image", "inspect", "-f", "{{.Id}}", &built.0];
        assert_eq!(
            server.run(&format!("docker image inspect -f '{{{{.Id}}}}' {image}")).ok(),
            docker(&id).ok()
        );
        let sent = served.sent(&mut before);
        if version == "v1" { assert!(sent > 8 * MIB, "{sent}") } else { assert!(sent < MIB / 16, "{sent}") }
    }
    served.pull(sandbox, server, "me/app:v2").ok();
    assert!(served.sent(&mut before) < MIB / 64, "an image that is there is not sent");
    served.pull(sandbox, server, "me/app:v3").says("manifest unknown");
    served.pull(sandbox, server, "me/other:v1").exits(1);
}

#[test]
fn an_interrupted_pull_goes_on_where_it_was() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let served = Served::start(None);
    let built = Built(format!("cut-{}:v1", served.port));
    build(sandbox, &served.directory, &built.0, "v1");
    let image = served.offer_saved(save(&built.0), "app:v1", &built.0);
    let whole: u64 = image.parts().map(|(_, size)| size).sum();
    served.cut.store(3 * MIB, Ordering::Relaxed);
    served.pull(sandbox, &lease[0], "app:v1").ok();
    // If Docker restarted the layer each time, it would never complete.
    let sent = served.traffic.sent();
    assert!(sent < whole + MIB, "{sent} bytes were sent of {whole}");
    let image = format!("localhost:{}/app:v1", served.port);
    assert_eq!(
        lease[0].run(&format!("docker run --rm {image} sh -c 'wc -c </large'")).ok(),
        (8 * MIB).to_string()
    );
}

#[test]
fn containerds_store_pulls_too_and_gives_whole_images_back() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let (containerd, classic) = (&lease[0], &lease[1]);
    let _store = containerd.with_containerd_store();
    let served = Served::start(Some(Access::new("bowline", "a password")));
    let at = format!("localhost:{}", served.port);
    let built = Built(format!("containerd-{}:v1", served.port));
    build(sandbox, &served.directory, &built.0, "v1");
    served.offer_saved(save(&built.0), "app:v1", &built.0);
    served.pull(sandbox, containerd, "app:v1").exits(1);
    assert_eq!(served.traffic.sent(), 0, "nothing without the password");
    let login =
        format!("echo a password | docker login -u bowline --password-stdin {at} && docker pull {at}/app:v1");
    served.ssh(sandbox, containerd, &login).ok();
    assert_eq!(containerd.run(&format!("docker run --rm {at}/app:v1 cat /version")).ok(), "v1");

    // Images that containerd's store saves, and that buildx builds there.
    let ssh = |command: &str| {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(sandbox.state.join("ssh_config")).args([&containerd.address, command]);
        ssh
    };
    served.offer_saved(ssh(&format!("docker save {at}/app:v1")), "app:saved", "app:saved");
    let script = format!(
        "rm -rf /tmp/context /tmp/layout && mkdir /tmp/context && cd /tmp/context && printf 'FROM {at}/app:v1\\nRUN echo built >/version\\n' >Dockerfile && \
         docker buildx build --output type=oci,tar=false,dest=/tmp/layout -t {at}/app:built -t {at}/app:latest ."
    );
    containerd.run(&script).ok();
    let layout = served.directory.path().join("layout");
    fs::create_dir(&layout).unwrap();
    let archive = served.directory.path().join("layout.tar");
    assert!(
        ssh("tar c -C /tmp/layout .").stdout(fs::File::create(&archive).unwrap()).status().unwrap().success()
    );
    run(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&layout)).ok();
    let image = served.store.take_layout(&layout, "app:built").unwrap();
    assert_eq!(image.platforms().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
    served.registry.offer("app:built", &image).unwrap();
    for (tag, version) in [("saved", "v1"), ("built", "built")] {
        let pull = login.replace("app:v1", &format!("app:{tag}"));
        served.ssh(sandbox, classic, &pull).ok();
        assert_eq!(classic.run(&format!("docker run --rm {at}/app:{tag} cat /version")).ok(), version);
    }
}
