//! `build …`.

use bowline_core::commands::builder::Output;
use bowline_engine as engine;

use super::details::show_all;
use crate::args::Build;
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::{Sort, results};

/// Does what is asked for.
pub(super) async fn run(settings: &mut Settings, what: Build) -> Result<u8, Ended> {
    match what {
        Build::Push(args) => {
            settings.options.no_cache = args.cache.no_cache;
            push(settings, output(&args.output)).await
        }
        Build::Deliver(cache) => {
            settings.options.no_cache = cache.no_cache;
            deliver(settings).await
        }
        Build::Pull => pull(settings).await,
        Build::Dev(args) => {
            settings.options.no_cache = args.cache.no_cache;
            dev(settings, output(&args.output)).await
        }
        Build::Create | Build::Remove | Build::Details => builder(settings, &what).await,
    }
}

/// A file that is named relative to where we are is there, wherever the build runs.
fn output(words: &str) -> Output {
    let here = std::env::current_dir().unwrap_or_default();
    Output::new(words, &here.to_string_lossy())
}

async fn push(settings: &Settings, output: Output) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::build::push(&session.world, &session.project, &settings.options, output).await;
    let image = session.close(ended)?;
    results::say(settings, &image);
    Ok(exit::DONE)
}

async fn dev(settings: &Settings, output: Output) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::dev::dev(&session.world, &session.project, &settings.options, output).await;
    let image = session.close(ended)?;
    results::say(settings, &image);
    Ok(exit::DONE)
}

async fn pull(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::pull::pull(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

async fn deliver(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Change, false).await?;
    let ended = engine::pull::deliver(&session.world, &session.project, &settings.options).await;
    let gathered = session.close(ended)?;
    show_all(settings, &gathered)
}

async fn builder(settings: &Settings, what: &Build) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let (world, project) = (&session.world, &session.project);
    let ended = match what {
        Build::Create => engine::builder::create(world, project).await,
        Build::Remove => engine::builder::remove(world, project).await,
        _ => engine::builder::details(world, project).await,
    };
    let text = session.close(ended)?;
    results::say(settings, &text);
    Ok(exit::DONE)
}
