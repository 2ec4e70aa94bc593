//! Stores images on this machine for servers that pull from it: newly built ones, and files from the user.

use bowline_core::commands::builder::BuildOutput;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::image::build::Build;
use crate::image::clone::Source;
use crate::local::{Limit, words};
use crate::ports::{Given, LocalCommand, Variant};
use crate::world::World;

/// Builds the image, and stores it under the first of the names. A buildx builder writes a directory with layers that it
/// has compressed. From Docker, the image is saved.
pub(super) async fn build(build: &Build<'_>, source: &Source, images: Vec<String>) -> Result<()> {
    let world = build.call().world;
    let image = images.first().cloned().unwrap_or_default();
    if build.writes_layouts() {
        let (directory, _held) = world.images.workspace().await.map_err(failed)?;
        let layout = format!("{directory}/layout");
        build.build_to(source, images, BuildOutput::Other(format!("oci,tar=false,dest={layout}"))).await?;
        let taking = world.images.take(&layout, &image);
        world.unless_stopped(taking).await?.map_err(failed)?;
    } else {
        build.build_to(source, images, BuildOutput::Docker).await?;
        save(world, &image).await?;
    }
    tidy(build.call(), &image).await
}

/// Stores an image from this machine's Docker.
async fn save(world: &World, image: &str) -> Result<()> {
    world.events.emit(Event::Phase(Phase::Keep(image.into())));
    let command = LocalCommand { words: words(&["docker", "save", image]), ..Default::default() };
    world.events.emit(Event::Program { command: command.words.join(" ") });
    let mut saved = world.local.pieces(&command);
    let Limit { time, setting, .. } = Limit::build(world);
    let taking = tokio::time::timeout(time, world.images.receive(saved.as_mut(), image));
    let too_long = |_| Err(format!("it took longer than {} s ({setting} sets the limit)", time.as_secs()));
    let taken = world.unless_stopped(taking).await?.unwrap_or_else(too_long);
    taken.map_err(|reason| failed_at("saving the image", reason))
}

/// Stores the image in `--image-archive`, if that is set, as this version.
pub(crate) async fn given(call: Call<'_>, version: &str) -> Result<()> {
    if call.options.image_archive.is_some() {
        call.world.events.emit(Event::Phase(Phase::Keep(call.config().image_of(version))));
    }
    let Some(given) = look_into(call, version).await? else { return Ok(()) };
    given.keep().map_err(failed)?;
    tidy(call, &call.config().image_of(version)).await
}

/// Opens the image in `--image-archive`, if that is set, and checks that it belongs to this service.
pub(crate) async fn look_into(call: Call<'_>, version: &str) -> Result<Option<Box<dyn Given>>> {
    let Some(path) = &call.options.image_archive else { return Ok(None) };
    let config = call.config();
    if !config.registry.is_absent() {
        return Err(RunError::Usage {
            message: "`--image-archive` is for servers that get images from this machine, but the configuration has a registry".into(),
            hint: Some("push the image there, and deploy with `--skip-push --version V`; or remove `registry:`".into()),
        });
    }
    let refused =
        |reason: String, hint: String| RunError::local(format!("reading {path}"), reason, Some(hint));
    let expected = "expected what `docker save IMAGE` writes, which may be gzipped, or an OCI layout, as a directory or a tar archive";
    let image = config.image_of(version);
    let found = call.world.unless_stopped(call.world.images.look_into(path, &image)).await?;
    let found = found.map_err(|reason| {
        let hint = hint_to(&reason).unwrap_or_else(|| expected.into());
        refused(reason, hint)
    })?;
    match is_for(&found.variants(), &config.service, &config.builder.arch) {
        Ok(()) => Ok(Some(found)),
        Err((reason, hint)) => Err(refused(reason, hint)),
    }
}

/// Checks that an image has this service's label and supports all configured platforms.
fn is_for(variants: &[Variant], service: &str, arch: &[String]) -> Result<(), (String, String)> {
    if let Some(other) = variants.iter().find(|variant| variant.service.as_deref() != Some(service)) {
        let label = match &other.service {
            Some(label) => format!("has the label service={label}, which is the label of another service"),
            None => "doesn't have the label `service`, which marks images of this service on servers".into(),
        };
        return Err((
            format!("the image {label}"),
            format!("build it with `docker build --label service={service}`"),
        ));
    }
    let missing =
        arch.iter().find(|arch| !variants.iter().any(|variant| variant.image.architecture == **arch));
    if let Some(missing) = missing {
        let there: Vec<&str> = variants.iter().map(|variant| variant.platform.as_str()).collect();
        return Err((
            format!(
                "the image is for {}, but `builder: arch:` says that servers need {missing}",
                there.join(", ")
            ),
            format!("build it with `docker build --platform linux/{missing}`"),
        ));
    }
    Ok(())
}

/// Stores the image as the latest too, for accessories. Removes old versions, except those that servers can roll back to
/// and one more.
async fn tidy(call: Call<'_>, image: &str) -> Result<()> {
    let config = call.config();
    call.world.images.keep_as(image, &config.latest_image()).await.map_err(failed)?;
    call.world.images.tidy(&config.repository(), config.retain_containers + 1).await.map_err(failed)
}

fn failed(reason: String) -> RunError {
    failed_at("keeping the image", reason)
}

fn failed_at(what: &str, reason: String) -> RunError {
    let hint = hint_to(&reason);
    RunError::local(what, reason, hint)
}

fn hint_to(reason: &str) -> Option<String> {
    if reason.to_lowercase().contains("no space left on device") {
        let hint = "the disk of this machine's cache directory is full: free space there, or set XDG_CACHE_HOME to a directory with more";
        return Some(hint.into());
    }
    crate::error::hint_to(reason)
}
