//! Reads the pages of `error_pages_path`, which a proxy shows instead of its own error pages.

use bowline_core::request::Pages;

use crate::call::Call;
use crate::error::RunError;
use crate::event::Event;

/// The largest maintenance page, in bytes. Traefik reads the file that contains it into memory.
const LARGEST: usize = 1 << 20;

/// Reads all pages for an error status (`4xx.html`, `5xx.html`); none without `error_pages_path`.
pub(crate) fn read(call: Call<'_>) -> Result<Pages, RunError> {
    let Some(path) = &call.config().error_pages_path else { return Ok(Pages::new()) };
    let directory = format!("{}/", path.trim_end_matches('/'));
    let mut pages = Pages::new();
    for name in call.world.local.list(&directory) {
        let is_page = matches!(name.as_bytes(), [b'4' | b'5', _, _, ending @ ..] if ending == b".html");
        if !is_page {
            continue;
        }
        let read = call.world.local.read_bytes(&format!("{directory}{name}"));
        let page = read.map_err(|reason| RunError::local("error pages", reason, None))?;
        pages.extend(page.map(|page| (name, page)));
    }
    if pages.is_empty() {
        let text = format!("{path} (`error_pages_path`) has no page for an error, such as 502.html");
        call.world.events.emit(Event::Note { host: None, text });
    }
    Ok(pages)
}

/// Reads `503.html` in `error_pages_path`, if the project has one.
pub(crate) fn maintenance(call: Call<'_>) -> Result<Option<String>, RunError> {
    let Some(directory) = &call.config().error_pages_path else { return Ok(None) };
    let path = format!("{}/503.html", directory.trim_end_matches('/'));
    let wrong = |reason: String, hint: &str| RunError::local("maintenance page", reason, Some(hint.into()));
    let page = call.world.local.read(&path).map_err(|reason| wrong(reason, "it should be UTF-8 text"))?;
    match page {
        Some(page) if page.len() > LARGEST => Err(wrong(
            format!("{path} has {} bytes; the limit is {LARGEST}", page.len()),
            "link images from another server instead of embedding them",
        )),
        page => Ok(page),
    }
}
