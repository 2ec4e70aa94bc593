//! The pages that the proxy itself responds with, such as 404 and 503.
//!
//! A service may bring its own (`--error-pages DIR`): the file `STATUS.html` is the page for that status, written in
//! the part of Go's html templates that [`template`] supports. Other statuses get a built-in page or a plain heading.

mod builtin;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::StatusCode;

use template::Template;

/// The custom pages of one service; none by default.
#[derive(Debug, Default)]
pub struct ErrorPages(BTreeMap<u16, Template>);

/// Why a directory of error pages can't be used. The user sees kamal-proxy's text; this cause goes to the log.
#[derive(Debug)]
pub enum Error {
    Unreadable(PathBuf, io::Error),
    Empty(PathBuf),
    /// A page is too large, isn't text, or uses an unsupported part of templates.
    Page(PathBuf, String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable(path, e) => write!(f, "can't read {}: {e}", path.display()),
            Error::Empty(path) => write!(f, "there is no *.html file in {}", path.display()),
            Error::Page(path, what) => write!(f, "{}: {what}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

const LARGEST_PAGE: u64 = 4 << 20;

impl ErrorPages {
    /// Reads and checks every `*.html` in the directory, even if its name isn't a status.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let unreadable = |e| Error::Unreadable(directory.to_owned(), e);
        let mut pages = BTreeMap::new();
        let mut found = false;
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_none_or(|extension| extension != "html") || path.is_dir() {
                continue;
            }
            found = true;
            let page = read_page(&path)?;
            if let Some(status) = status_of(&path) {
                pages.insert(status, page);
            }
        }
        if found { Ok(ErrorPages(pages)) } else { Err(Error::Empty(directory.to_owned())) }
    }

    /// Renders the service's own page, the built-in one, or a heading. `message` is the text of `stop --message`.
    pub fn render(&self, status: StatusCode, message: &str) -> Bytes {
        match self.0.get(&status.as_u16()) {
            Some(page) => page.render(message).into(),
            None => builtin::page(status, message),
        }
    }
}

fn read_page(path: &Path) -> Result<Template, Error> {
    let unreadable = |e| Error::Unreadable(path.to_owned(), e);
    if fs::metadata(path).map_err(unreadable)?.len() > LARGEST_PAGE {
        return Err(Error::Page(path.to_owned(), format!("is larger than {} MiB", LARGEST_PAGE >> 20)));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::Page(path.to_owned(), "is not UTF-8 text".into()))?;
    Template::parse(&text).map_err(|e| Error::Page(path.to_owned(), e.to_string()))
}

fn status_of(path: &Path) -> Option<u16> {
    let digits = path.file_stem()?.to_str().filter(|stem| stem.len() == 3)?;
    digits.parse().ok().filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn rendered(pages: &ErrorPages, status: StatusCode, message: &str) -> String {
        String::from_utf8(pages.render(status, message).to_vec()).unwrap()
    }

    #[test]
    fn own_page_then_built_in_then_heading() {
        let directory = directory(&[
            ("503.html", b"<p>{{ .Message }}</p>"),
            ("about.html", b"unused"),
            ("404.txt", b"{{ range }}"),
        ]);
        let pages = ErrorPages::load(directory.path()).unwrap();
        assert_eq!(
            rendered(&pages, StatusCode::SERVICE_UNAVAILABLE, "<b> & 'c'"),
            "<p>&lt;b&gt; &amp; &#39;c&#39;</p>"
        );
        assert!(rendered(&pages, StatusCode::NOT_FOUND, "").contains("<title>404"));
        assert_eq!(rendered(&pages, StatusCode::BAD_REQUEST, ""), "<h1>400 Bad Request</h1>");
        assert_eq!(rendered(&pages, StatusCode::IM_A_TEAPOT, ""), "<h1>418 I'm a teapot</h1>");
    }

    #[test]
    fn built_in_pages_are_whole() {
        let pages = ErrorPages::default();
        for status in [404, 413, 502, 503, 504] {
            let page = rendered(&pages, StatusCode::from_u16(status).unwrap(), "");
            assert!(page.starts_with("<!doctype html>"), "{page}");
            assert!(page.contains(&format!("<title>{status}")), "{page}");
            assert!(!page.contains("{{"), "{page}");
        }
        let stopped = rendered(&pages, StatusCode::SERVICE_UNAVAILABLE, "Back at <noon>");
        assert!(stopped.contains("Back at &lt;noon&gt;"), "{stopped}");
    }

    #[test]
    fn a_directory_that_can_not_serve_is_an_error() {
        let missing = ErrorPages::load(Path::new("/nonexistent/pages")).unwrap_err();
        assert!(matches!(missing, Error::Unreadable(..)), "{missing}");
        let empty = directory(&[("404.txt", b"")]);
        assert!(matches!(ErrorPages::load(empty.path()).unwrap_err(), Error::Empty(_)));
        for content in [
            &b"{{ if }}"[..],
            b"{{ range .Items }}{{ end }}",
            b"\xff\xfe",
            b"<script>{{ .Message }}</script>",
        ] {
            let pages = directory(&[("404.html", b"fine"), ("other.html", content)]);
            let error = ErrorPages::load(pages.path()).unwrap_err();
            assert!(matches!(error, Error::Page(..)), "{error}");
            assert!(error.to_string().contains("other.html"), "{error}");
        }
    }
}
