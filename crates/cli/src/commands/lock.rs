//! `lock status`, `lock acquire`, `lock release`.

use super::details::show_all;
use crate::args::Lock;
use crate::exit::{self, Ended};
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::{Sort, results};
use bowline_engine as engine;

/// Runs one of them.
pub(super) async fn run(settings: &Settings, what: Lock) -> Result<u8, Ended> {
    match what {
        Lock::Status => status(settings).await,
        Lock::Acquire { message } => acquire(settings, &message).await,
        Lock::Release => release(settings).await,
    }
}

/// Shows who holds the lock.
async fn status(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended =
        session.query(engine::lock::status(&session.world, &session.project, &settings.options)).await;
    let held = session.close(ended)?;
    if held.outputs.is_empty() && held.failures.is_empty() {
        results::say(settings, NONE);
    }
    show_all(settings, &held)
}

/// Takes it.
async fn acquire(settings: &Settings, message: &str) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::lock::acquire(&session.world, &session.project, &settings.options, message).await;
    session.close(ended)?;
    results::say(settings, "Acquired the deploy lock");
    Ok(exit::DONE)
}

/// Gives it back.
async fn release(settings: &Settings) -> Result<u8, Ended> {
    let session = Session::open(settings, Sort::Query, false).await?;
    let ended = engine::lock::release(&session.world, &session.project, &settings.options).await;
    let (host, released) = session.close(ended)?;
    let said = if released { "Released the deploy lock".to_owned() } else { format!("{NONE} on {host}") };
    results::say(settings, &said);
    Ok(exit::DONE)
}

const NONE: &str = "There is no deploy lock";
