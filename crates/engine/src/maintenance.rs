//! `app maintenance`, `app live`: a page in the app's place, and back.

use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::proxy::any_role;
use crate::run::change::Change;
use crate::world::{Gathered, Options, Project};

/// The largest page, in bytes: it goes into a file that the proxy reads whole.
const LARGEST: usize = 1 << 20;

/// What the page says, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub message: Option<String>,
    /// `Retry-After`.
    pub retry_after: u32,
    /// How long requests that the app has may take; `drain_timeout` unless given.
    pub drain_timeout: Option<u64>,
}

/// What replaces the app.
pub(crate) struct Page {
    /// The project's own page, if it has one.
    pub own: Option<String>,
    /// The text; the proxy's usual one unless given.
    pub message: Option<String>,
    /// `Retry-After`.
    pub retry_after: u32,
    /// How long requests that the app has may take, in seconds.
    pub drain_timeout: u64,
}

/// `app maintenance`: new requests get 503 and a page. Waits for the requests that the app already has.
pub async fn begin(call: Call<'_>, request: &Request) -> Result<Gathered> {
    check(call.project, call.options)?;
    let page = Page {
        own: own_page(call)?,
        message: request.message.clone(),
        retry_after: request.retry_after,
        drain_timeout: request.drain_timeout.unwrap_or(call.config().drain_timeout.as_secs()),
    };
    let mut change = Change::begin(call).await?;
    let pause = async |place| change.proxy(place).pause(&change, place, &page).await;
    let part = change.each_role(pause).await;
    change.keep(part);
    change.end().await
}

/// `app live`: the app gets requests again.
pub async fn end(call: Call<'_>) -> Result<Gathered> {
    check(call.project, call.options)?;
    let mut change = Change::begin(call).await?;
    let resume = async |place| change.proxy(place).resume(&change, place).await;
    let part = change.each_role(resume).await;
    change.keep(part);
    change.end().await
}

/// Reports an error for roles without a proxy, which can't have a maintenance page.
fn check(project: &Project, options: &Options) -> Result<()> {
    any_role(&Selection::new(&project.config, &options.filters)?)
}

/// `503.html` of `error_pages_path`, if the project has one.
fn own_page(call: Call<'_>) -> Result<Option<String>> {
    let Some(directory) = &call.config().error_pages_path else { return Ok(None) };
    let path = format!("{}/503.html", directory.trim_end_matches('/'));
    let wrong = |reason: String, hint: &str| RunError::Local {
        what: "maintenance page".into(),
        reason,
        hint: Some(hint.into()),
        standing: Vec::new(),
    };
    let page = call.world.local.read(&path).map_err(|reason| wrong(reason, "it should be UTF-8 text"))?;
    match page {
        Some(page) if page.len() > LARGEST => Err(wrong(
            format!("{path} has {} bytes; the limit is {LARGEST}", page.len()),
            "leave images to another server",
        )),
        page => Ok(page),
    }
}
