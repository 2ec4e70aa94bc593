//! Errors and warnings about configuration files, rendered with their positions and source lines.
//!
//! A diagnostic is a value. Pure functions find and collect diagnostics (all of a file's, not only the first), and the caller
//! renders them. The rendered source text never shows a password, see `mask`.

mod masked;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::given;
use crate::rendered::Rendered;
pub(crate) use masked::Masked;

#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path to show in messages.
    pub path: String,
    pub text: String,
    /// The rendered text, if the file is a template.
    rendered: Option<Rendered>,
}

impl SourceFile {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), rendered: None }
    }

    pub(crate) fn with(self, rendered: Rendered) -> Self {
        Self { rendered: Some(rendered), ..self }
    }

    pub(crate) fn yaml(&self) -> &str {
        self.rendered.as_ref().map_or(&self.text, |rendered| &rendered.text)
    }

    /// Its text, rendered if it is a template.
    pub fn into_text(self) -> String {
        self.rendered.map_or(self.text, |rendered| rendered.text)
    }

    pub(crate) fn template(&self) -> Option<&Rendered> {
        self.rendered.as_ref()
    }
}

impl fmt::Debug for SourceFile {
    /// Leaves out the text, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({:?}, {} bytes)", self.path, self.text.len())
    }
}

/// A byte range in one of the files. An empty span at 0 means the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// 0 is the base file, 1 the destination's.
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

/// A range of the first file.
impl From<Range<usize>> for Span {
    fn from(Range { start, end }: Range<usize>) -> Self {
        Self { file: 0, start, end }
    }
}

impl Span {
    pub const fn whole(file: usize) -> Self {
        Self { file, start: 0, end: 0 }
    }

    fn is_whole(self) -> bool {
        self.end == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// The configuration can be used, but something in it doesn't do what it seems to.
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    pub span: Span,
    pub label: Option<String>,
    /// Related places, possibly in the other file, each with a label.
    pub also: Vec<(Span, String)>,
    /// More information, such as the output of a program.
    pub note: Option<String>,
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(span: impl Into<Span>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: span.into(),
            label: None,
            also: vec![],
            note: None,
            help: None,
        }
    }

    pub fn warning(span: impl Into<Span>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Moves its main position to another file.
    pub fn in_file(mut self, file: usize) -> Self {
        self.span.file = file;
        self
    }

    /// All its texts except for the note, which comes from a program.
    pub(crate) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let also = self.also.iter_mut().map(|(_, label)| label);
        std::iter::once(&mut self.message).chain(&mut self.label).chain(&mut self.help).chain(also)
    }

    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub fn also(mut self, span: impl Into<Span>, label: impl Into<String>) -> Self {
        self.also.push((span.into(), label.into()));
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location<'a> {
    pub path: &'a str,
    /// Counts from 1.
    pub line: usize,
    /// In characters, counts from 1.
    pub column: usize,
}

/// Follows the place in the user's file, and comes before the place in the masked text, which the renderer appends.
const END_OF_PLACE: char = '\0';

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) file: SourceFile,
    /// The byte ranges that must not be shown, in order and without overlaps.
    pub(crate) hidden: Vec<Range<usize>>,
}

/// All errors, then all warnings, each in the order of the files, and what is needed to render them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    sources: Vec<Source>,
    items: Vec<Diagnostic>,
    remedy: Option<String>,
}

impl Diagnostics {
    pub(crate) fn new(sources: Vec<Source>, mut items: Vec<Diagnostic>) -> Self {
        items.iter_mut().flat_map(Diagnostic::texts).for_each(|text| *text = given::plain(text));
        items.sort_by_key(|item| (item.severity, item.span));
        Self { sources, items, remedy: None }
    }

    /// Adds advice that may fix all of them, for the end of the report.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Both reports as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let before = self.sources.len();
        let moved = other.items.into_iter().map(|mut item| {
            let spans = item.also.iter_mut().map(|(span, _)| span);
            std::iter::once(&mut item.span).chain(spans).for_each(|span| span.file += before);
            item
        });
        self.items.extend(moved);
        self.items.sort_by_key(|item| (item.severity, item.span));
        self.sources.extend(other.sources);
        self.remedy = self.remedy.or(other.remedy);
        self
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Changes the notes, which come from programs and may contain anything.
    pub fn map_notes(mut self, change: impl Fn(&str) -> String) -> Self {
        for note in self.items.iter_mut().filter_map(|item| item.note.as_mut()) {
            *note = change(note);
        }
        self
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn locate(&self, diagnostic: &Diagnostic) -> Location<'_> {
        self.location(diagnostic.span)
    }

    fn location(&self, span: Span) -> Location<'_> {
        let Some(source) = self.sources.get(span.file) else {
            return Location { path: "", line: 1, column: 1 };
        };
        let before = source.file.text.get(..span.start).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        Location {
            path: &source.file.path,
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    /// Renders all of them with the lines that they are about. `color` is for a terminal.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let masked: Vec<Masked> = self.sources.iter().map(Masked::new).collect();
        let groups = self.items.iter().map(|item| self.group(item, &masked));
        let remedy = self.remedy.iter().map(|remedy| Group::with_title(Level::HELP.primary_title(remedy)));
        let reports: Vec<String> = groups.chain(remedy).map(|group| renderer.render(&[group])).collect();
        let text = reports.join("\n\n");
        let mut parts = text.split(END_OF_PLACE);
        let first = parts.next().unwrap_or_default().to_owned();
        let of_masked = |c: char| c == ':' || c.is_ascii_digit();
        parts.fold(first, |text, part| text + part.trim_start_matches(of_masked))
    }

    fn group<'a>(&'a self, item: &'a Diagnostic, masked: &'a [Masked]) -> Group<'a> {
        let level = match item.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(item.message.as_str()).elements(self.places(item, masked));
        if let Some(note) = &item.note {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &item.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    /// One snippet for each file that the diagnostic points to, the one with its main span first.
    fn places<'a>(
        &'a self,
        item: &'a Diagnostic,
        masked: &'a [Masked],
    ) -> Vec<annotate_snippets::Element<'a>> {
        type Annotations<'a> = Vec<annotate_snippets::Annotation<'a>>;
        let mut files: BTreeMap<(bool, usize), (Span, Annotations<'a>)> = BTreeMap::new();
        let own = (item.span, item.label.as_deref(), AnnotationKind::Primary);
        let others = item.also.iter().map(|(span, label)| (*span, Some(&**label), AnnotationKind::Context));
        let mut elements = Vec::new();
        for (span, label, kind) in std::iter::once(own).chain(others) {
            let Some(masked) = masked.get(span.file) else { continue };
            if span.is_whole() {
                if let Some(source) = self.sources.get(span.file) {
                    let origin = Origin::path(source.file.path.as_str()).line(1).char_column(1);
                    elements.push(origin.into());
                }
                continue;
            }
            let annotation = kind.span(masked.place(span.start..span.end)).label(label);
            let key = (span.file != item.span.file, span.file);
            let (first, annotations) = files.entry(key).or_insert_with(|| (span, Vec::new()));
            *first = if key.0 { span.min(*first) } else { item.span };
            annotations.push(annotation);
        }
        for ((_, file), (first, annotations)) in files {
            if let Some(masked) = masked.get(file) {
                let Location { path, line, column } = self.location(first);
                let path = format!("{path}:{line}:{column}{END_OF_PLACE}");
                let snippet = Snippet::source(masked.text()).path(path).annotations(annotations);
                elements.push(snippet.into());
            }
        }
        elements
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
