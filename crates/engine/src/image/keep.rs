//! A build for servers that get the image from this machine: into the store that is kept here.

use bowline_core::commands::builder::Output;

use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::image::build::Build;
use crate::image::clone::Source;
use crate::local::{run, words};
use crate::ports::{Built, LocalCommand};

/// Builds, and keeps the image under the first of the names. A builder of its own writes a directory, and compresses layers as it
/// does; from Docker the image is saved.
pub(super) async fn build(build: &Build<'_>, source: &Source, images: Vec<String>) -> Result<()> {
    let world = build.world();
    let (directory, _held) = world.images.workspace().await.map_err(failed)?;
    let image = images.first().cloned().unwrap_or_default();
    let built = if build.writes_layouts() {
        let layout = format!("{directory}/layout");
        build.build_to(source, images, Output::Other(format!("oci,tar=false,dest={layout}"))).await?;
        Built::Layout(layout)
    } else {
        build.build_to(source, images, Output::Docker).await?;
        let archive = format!("{directory}/image.tar");
        world.events.emit(Event::Phase(Phase::Keep(image.clone())));
        let command = LocalCommand {
            words: words(&["docker", "save", "--output", &archive, &image]),
            ..Default::default()
        };
        run(world, &command).await.map_err(|said| said.at("saving the image", None))?;
        Built::Archive(archive)
    };
    let kept = async {
        world.images.take(&built, &image).await?;
        drop(_held);
        // As many as servers may go back to, and the one that comes.
        let config = &build.project().config;
        world.images.tidy(&config.repository(), config.retain_containers + 1).await
    };
    tokio::select! {
        kept = kept => kept.map_err(failed),
        () = world.stop.triggered() => Err(RunError::interrupted()),
    }
}

fn failed(reason: String) -> RunError {
    RunError::Local {
        what: "keeping the image".into(),
        hint: crate::error::hint_to(&reason),
        reason,
        standing: Vec::new(),
    }
}
