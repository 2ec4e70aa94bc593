//! Sends an image from this machine to servers through their SSH connections: each server pulls the layers that it lacks.
//! If sshd opens no port, streams the whole image to `docker load`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bowline_core::commands::registry::{Receive, Served, Way, runs};
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use bowline_core::shell::{Line, Script};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::ports::{Attached, Exit, FarOutput, Image, Images, Output, Piece, Pieces, ServerError, Variant};
use crate::run::fleet::Fleet;

/// The maximum number of bytes kept from the output of `docker load`.
const PRINTED: usize = 256 * 1024;

const EVERY: Duration = Duration::from_secs(1);

/// A server that has the image now: its name, its last output, and the number of bytes it received.
pub(crate) type Sent<'h> = (&'h str, Output, u64);

/// Sends an image to servers in parallel. If this machine lacks the image, gets it from a server that has it. Reports each
/// failure immediately, not when the last server is done.
pub(crate) async fn to_all<'h>(
    images: &dyn Images,
    fleet: &Fleet,
    receive: &Receive,
    hosts: &[&'h str],
    failed: &(dyn Fn(Failure) + Sync),
) -> Vec<Sent<'h>> {
    let mut sender = match Sender::new(images, fleet, receive).await {
        Ok(sender) => sender,
        Err(cause) => {
            let step = Step::Receive(receive.clone());
            hosts.iter().for_each(|host| failed(fleet.failed(host, None, &step, cause.clone())));
            return Vec::new();
        }
    };
    let (mut sent, lacking) = sender.to_each(hosts, failed).await;
    if lacking.is_empty() {
        return sent;
    }
    let from = sent.first().map(|(host, ..)| *host);
    if let Some(from) = from {
        match sender.fetch(images, from).await {
            Ok(()) => {
                let lacking: Vec<&str> = lacking.iter().map(|(host, _)| *host).collect();
                sent.extend(sender.to_each(&lacking, failed).await.0);
                return sent;
            }
            Err(failure) => {
                let text = format!("could not get the image from {from}: {}", failure.cause);
                fleet.emit(Event::Note { host: None, text });
            }
        }
    }
    lacking.into_iter().for_each(|(_, failure)| failed(failure));
    sent
}

pub(crate) struct Sender<'a> {
    fleet: &'a Fleet,
    /// `None` if this machine lacks the image. Servers may have it.
    image: Option<Arc<dyn Image>>,
    receive: Receive,
}

impl<'a> Sender<'a> {
    pub(crate) async fn new(images: &dyn Images, fleet: &'a Fleet, receive: &Receive) -> Result<Self, Cause> {
        let image = images.open(&receive.image, &receive.offered()).await.map_err(unusable)?;
        Ok(Self { fleet, image, receive: receive.clone() })
    }

    /// Sends the image to servers in parallel. If this machine lacks the image, also returns the servers that need it.
    async fn to_each<'h>(
        &self,
        hosts: &[&'h str],
        failed: &(dyn Fn(Failure) + Sync),
    ) -> (Vec<Sent<'h>>, Vec<(&'h str, Failure)>) {
        let one = async |host: &'h str| match self.to(host).await {
            Ok((output, bytes)) => Some(Ok((host, output, bytes))),
            Err(failure) if self.image.is_none() && failure.cause == self.absent() => {
                Some(Err((host, failure)))
            }
            Err(failure) => {
                failed(failure.explained());
                None
            }
        };
        let (mut sent, mut lacking) = (Vec::new(), Vec::new());
        for ended in join_all(hosts.iter().map(|host| one(host))).await.into_iter().flatten() {
            match ended {
                Ok(done) => sent.push(done),
                Err(lacks) => lacking.push(lacks),
            }
        }
        (sent, lacking)
    }

    /// Sends the image to a server. Returns the number of bytes.
    pub(crate) async fn to(&self, host: &str) -> Result<(Output, u64), Failure> {
        let Some(image) = &self.image else { return self.look(host).await.map(|output| (output, 0)) };
        let offer = image.offer();
        let architectures = image.variants().into_iter().map(|variant| variant.image.architecture).collect();
        let step = |way| Step::Receive(Receive { way, ..self.receive.clone() });
        match self.fleet.listen(host, offer.clone().accepts()).await? {
            Some(listening) => {
                let step =
                    step(Way::Pull(Served { port: listening.port, auth: offer.auth(), architectures }));
                let pulling = self.fleet.run(host, None, &step);
                let output = self.watched(host, image.size(), || offer.sent(), pulling).await?;
                Ok((output, offer.sent()))
            }
            None => {
                let text = "sshd opened no port here, so the whole image is sent (`AllowTcpForwarding remote` in sshd_config \
                            allows sending only the missing layers; if it is set, sshd's log on the server says what failed)";
                self.fleet.emit(Event::Note { host: Some(host.into()), text: text.into() });
                self.load(host, image.as_ref(), &step(Way::Load)).await
            }
        }
    }

    /// Checks whether the server has the image that this machine lacks.
    async fn look(&self, host: &str) -> Result<Output, Failure> {
        let step = Step::Receive(Receive { way: Way::There, ..self.receive.clone() });
        self.fleet.run(host, None, &step).await.map_err(|mut failure| {
            if failure.has_status(Status::NoSuchImage) {
                failure.cause = self.absent();
            }
            failure
        })
    }

    fn absent(&self) -> Cause {
        Cause::Other {
            reason: format!("{} is neither on this server nor on this machine", self.receive.image),
            hint: Some("build it: deploy without `--skip-push`, or run `bowline build push` first".into()),
        }
    }

    /// Gets the image from a server that has it.
    async fn fetch(&mut self, images: &dyn Images, host: &str) -> Result<(), Failure> {
        let image = &self.receive.image;
        let text = format!("{image} is not on the deploying machine: copying it from this server");
        self.fleet.emit(Event::Note { host: Some(host.into()), text });
        let save = Line::new("docker").words(["save", image]);
        let step = Step::Run("save the image", Script::new(format!("exec {save}\n")));
        let (attached, started) = self.fleet.attach(host, None, &step, None).await?;
        attached.input.end().await;
        let mut saved = Saved { output: attached.output, said: Vec::new() };
        let taking = async { Ok(images.receive(&mut saved, image).await) };
        let taken = self.fleet.pull_limit().bound(taking).await;
        self.fleet.ended(host, None, &step, started, matches!(taken, Ok(Ok(()))));
        let opened = match taken {
            Ok(Ok(())) => images.open(image, &self.receive.offered()).await.map_err(unusable),
            Ok(Err(reason)) => Err(Cause::Other { reason, hint: None }),
            Err(error) => Err(error.into()),
        };
        self.image = opened.map_err(|cause| self.fleet.failed(host, None, &step, cause))?;
        Ok(())
    }

    /// Runs `work`, and reports its progress meanwhile.
    async fn watched<T>(
        &self,
        host: &str,
        size: u64,
        sent: impl Fn() -> u64,
        work: impl Future<Output = T>,
    ) -> T {
        let (started, mut before) = (Instant::now(), 0);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(EVERY) => {}
            }
            let bytes = sent();
            let per_second = bytes - before;
            before = bytes;
            let (host, elapsed) = (host.into(), started.elapsed());
            self.fleet.emit(Event::Sending { host, bytes, size, per_second, elapsed });
        }
    }

    async fn load(&self, host: &str, image: &dyn Image, step: &Step) -> Result<(Output, u64), Failure> {
        let ask =
            Step::Run("ask for the platform", Script::new("docker version --format '{{.Server.Arch}}'"));
        let architecture = self.fleet.run(host, None, &ask).await?.stdout.trim().to_owned();
        let failed = |cause| self.fleet.failed(host, None, step, cause);
        let Some(variant) = fitting(&image.variants(), &architecture) else {
            let said = format!("this server is {architecture}");
            let unfit = Status::OtherPlatform.explain(&said).map(Cause::from);
            return Err(failed(unfit.unwrap_or(Cause::Other { reason: said, hint: None })));
        };
        let (attached, started) = self.fleet.attach(host, None, step, None).await?;
        let pieces = image.archive(&self.receive.image, &variant);
        let limit = self.fleet.pull_limit();
        let sent = AtomicU64::new(0);
        let feeding = feed(attached, pieces, &sent);
        let sent = || sent.load(Ordering::Relaxed);
        let fed = self.watched(host, image.size(), sent, limit.bound(feeding)).await;
        let done = matches!(&fed, Ok(Ok(output)) if output.success());
        self.fleet.ended(host, None, step, started, done);
        match fed {
            Ok(Ok(output)) if output.success() => Ok((output, sent())),
            Ok(Ok(output)) if output.status() == Some(Status::Fenced) => Err(failed(Cause::fenced(&output))),
            Ok(Ok(output)) => Err(failed(Cause::Command(output))),
            Ok(Err(reason)) => Err(failed(unusable(reason))),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// The architecture of the image for a server, if there is one: the server's own, or another that it can run.
fn fitting(variants: &[Variant], server: &str) -> Option<String> {
    let all = || variants.iter().map(|variant| &variant.image.architecture);
    let own = all().find(|architecture| *architecture == server);
    own.or_else(|| all().find(|architecture| runs(server, std::slice::from_ref(architecture)))).cloned()
}

fn unusable(reason: String) -> Cause {
    let hint = Some("deploy without `--skip-push`, which rebuilds what is missing or damaged".into());
    Cause::Other { reason: format!("the image can't be read on this machine: {reason}"), hint }
}

/// The output of a program on a server, such as an image archive.
struct Saved {
    output: Box<dyn FarOutput>,
    said: Vec<u8>,
}

#[async_trait]
impl Pieces for Saved {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            match self.output.next().await.map_err(|error| error.to_string())? {
                ControlFlow::Continue(Piece::Out(bytes)) => return Ok(Some(bytes)),
                ControlFlow::Continue(Piece::Err(bytes)) => keep(&mut self.said, &bytes),
                ControlFlow::Break(Exit::Status(0)) => return Ok(None),
                ControlFlow::Break(exit) => {
                    return Err(format!("{} ({exit})", String::from_utf8_lossy(&self.said).trim()));
                }
            }
        }
    }
}

/// Streams the pieces to a program, and counts their bytes. Returns the program's output, or why the pieces ended early.
async fn feed(
    attached: Attached,
    mut pieces: Box<dyn Pieces>,
    sent: &AtomicU64,
) -> Result<Result<Output, String>, ServerError> {
    let Attached { mut output, input } = attached;
    let feeding = async {
        while let Some(piece) = pieces.next().await? {
            let length = piece.len() as u64;
            input.send(piece).await;
            sent.fetch_add(length, Ordering::Relaxed);
        }
        input.end().await;
        std::future::pending::<Result<(), String>>().await
    };
    let reading = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        loop {
            match output.next().await? {
                ControlFlow::Continue(Piece::Out(bytes)) => keep(&mut out, &bytes),
                ControlFlow::Continue(Piece::Err(bytes)) => keep(&mut err, &bytes),
                ControlFlow::Break(exit) => return Ok(printed(exit, &out, &err)),
            }
        }
    };
    tokio::select! {
        biased;
        output = reading => output.map(Ok),
        Err(reason) = feeding => Ok(Err(reason)),
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = PRINTED.saturating_sub(kept.len());
    kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
}

fn printed(exit: Exit, out: &[u8], err: &[u8]) -> Output {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Output { exit, stdout: text(out), stderr: text(err) }
}
