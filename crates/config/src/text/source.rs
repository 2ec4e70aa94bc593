//! Turns the text of a YAML file into a tree that knows the position of each node.
//!
//! This is the only file that knows the YAML library. It reads the parser's events (`granit-parser`, on which `serde-saphyr`
//! is built) instead of a deserialised value, because it needs two things that no value keeps: the position of every key and
//! value, for errors that point at it, and the text of plain scalars. (`1.10` and `0644` differ as texts and as numbers, and
//! only the key decides which one is meant.)
//!
//! Anchors, aliases and `<<` are resolved here. The size of the tree is limited, so that aliases of aliases can't fill the
//! memory.

mod ruby;
mod words;

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span as Range, StrInput, Tag};

use crate::diagnostic::{Diagnostic, Span};
use crate::given::given;
pub(crate) use ruby::Plain;

/// Deeper than any sensible configuration.
const MAX_DEPTH: usize = 64;
/// The limit after aliases are resolved.
const MAX_NODES: usize = 100_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The position to report: of a scalar itself, of the key of a list or map.
    pub(crate) span: Span,
    pub(crate) kind: NodeKind,
    /// The value of the base file that this one of the destination replaced.
    pub(crate) replaced: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Keys in the order of the file, each once.
    Map(Vec<(Key, Node)>),
    List(Vec<Node>),
    Scalar(Scalar),
    /// An empty value, `~` or `null`.
    Null,
    /// A value that `shape` has reported as wrong.
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A scalar with escapes and line folding resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Without quotes, so that it may be a number or boolean.
    pub(crate) plain: bool,
}

impl Scalar {
    /// How Kamal reads it, if it isn't in quotes.
    pub(crate) fn read(&self) -> Option<Plain> {
        self.plain.then(|| Plain::read(&self.text))
    }

    /// The text. A Ruby symbol loses its colon.
    pub(crate) fn word(&self) -> &str {
        match self.read() {
            Some(Plain::Symbol) => self.text.get(1..).unwrap_or_default(),
            _ => &self.text,
        }
    }
}

/// Parses a file. Adds its problems to `errors`, and returns `None` if there is no tree at all.
pub(crate) fn parse(file: usize, text: &str, errors: &mut Vec<Diagnostic>) -> Option<Node> {
    let options = granit_parser::options! { emit_comments: false };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { file, text, parser, anchors: HashMap::new(), nodes: 0, errors };
    match builder.document() {
        Ok(root) => Some(root),
        Err(error) => {
            builder.errors.push(*error);
            None
        }
    }
}

/// Why the file can't be parsed.
type Fatal = Box<Diagnostic>;

struct Builder<'t, 'e> {
    file: usize,
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    errors: &'e mut Vec<Diagnostic>,
}

impl<'t> Builder<'t, '_> {
    /// Reads the first document. A second one that isn't empty is an error.
    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root = None;
        loop {
            let (event, range) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, &range, 0)?;
                    if root.is_none() {
                        root = Some(node);
                    } else if node.kind != NodeKind::Null {
                        let message = "a second YAML document in this file";
                        return Err(Box::new(
                            Diagnostic::error(node.span, message).help("remove the `---` line before it"),
                        ));
                    }
                }
            }
        }
        Ok(root.unwrap_or(Node { span: Span::whole(self.file), kind: NodeKind::Null, replaced: None }))
    }

    fn next(&mut self) -> Result<(Event<'t>, Range), Fatal> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Box::new(words::syntax_error(self.file, self.text, &error))),
            None => Ok((Event::StreamEnd, Range::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, range: &Range, depth: usize) -> Result<Node, Fatal> {
        let span = self.span(range);
        let tag_span = range.tag_span().map_or(span, |tag| self.span(&tag));
        if depth > MAX_DEPTH {
            return Err(Box::new(Diagnostic::error(span, "nested too deeply")));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => (0, self.alias(id, span)?),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = self.check_tag(tag.as_deref(), tag_span)?;
                (anchor, self.scalar(&text, style == ScalarStyle::Plain && !is_text, span))
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span)?;
                (anchor, self.list(span, depth)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), tag_span)?;
                (anchor, self.map(span, depth)?)
            }
            _ => return Err(Box::new(Diagnostic::error(span, "this is not YAML that can be read"))),
        };
        self.count(1, span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Fatal> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(Box::new(Diagnostic::error(span, "this alias is inside its own anchor")));
        };
        let (nodes, depth) = measure(&node);
        self.count(nodes, span)?;
        if depth > MAX_DEPTH {
            return Err(Box::new(Diagnostic::error(span, "nested too deeply")));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Fatal> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Box::new(Diagnostic::error(span, "too many values (aliases counted in full)")));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, plain: bool, span: Span) -> Node {
        if text.contains('\0') {
            self.errors.push(Diagnostic::error(span, "a NUL character, which no setting can contain"));
        }
        let null = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
        let kind =
            if null { NodeKind::Null } else { NodeKind::Scalar(Scalar { text: text.to_owned(), plain }) };
        Node { span, kind, replaced: None }
    }

    /// Whether the tag makes any scalar a text (`!!str`, `!`). Ignores YAML's other tags, and rejects custom ones.
    fn check_tag(&self, tag: Option<&Tag>, span: Span) -> Result<bool, Fatal> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => Ok(true),
            Some(tag) if tag.is_yaml_core_schema() => Ok(false),
            Some(tag) => Err(Box::new(
                Diagnostic::error(
                    span,
                    format!("the YAML tag `{}` has no meaning here", given(tag.original())),
                )
                .help("remove the tag"),
            )),
        }
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<Node, Fatal> {
        let mut items = Vec::new();
        let end = loop {
            let (event, range) = self.next()?;
            if event == Event::SequenceEnd {
                break range;
            }
            items.push(self.node(event, &range, depth + 1)?);
        };
        let span = items.first().map_or_else(|| self.through(span, &end), |first| first.span);
        Ok(Node { span, kind: NodeKind::List(items), replaced: None })
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Node, Fatal> {
        let mut entries: Vec<Entry> = Vec::new();
        let end = loop {
            let (event, range) = self.next()?;
            if event == Event::MappingEnd {
                break range;
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key_node = self.node(event, &range, depth + 1)?;
            let (event, range) = self.next()?;
            let mut value = self.node(event, &range, depth + 1)?;
            if merges {
                entries.push(Entry::Merge(self.merged_maps(value, key_node.span)));
            } else if let Some(key) = self.key(key_node) {
                if !matches!(value.kind, NodeKind::Scalar(_)) {
                    value.span = key.span;
                }
                entries.push(Entry::Own(key, value));
            }
        };
        let entries = self.flatten(entries);
        let span = entries.first().map_or_else(|| self.through(span, &end), |(key, _)| key.span);
        Ok(Node { span, kind: NodeKind::Map(entries), replaced: None })
    }

    fn key(&mut self, node: Node) -> Option<Key> {
        match node.kind {
            NodeKind::Scalar(scalar) => Some(Key { text: scalar.text, span: node.span }),
            _ => {
                self.errors.push(Diagnostic::error(node.span, "a key should be a string"));
                None
            }
        }
    }

    /// The maps that a `<<` merges into this one.
    fn merged_maps(&mut self, value: Node, key: Span) -> Vec<Vec<(Key, Node)>> {
        let nodes = match value.kind {
            NodeKind::List(items) => items,
            _ => vec![value],
        };
        let mut maps = Vec::new();
        for node in nodes {
            match node.kind {
                NodeKind::Map(entries) => maps.push(entries),
                _ => self.errors.push(
                    Diagnostic::error(key, "`<<` should be given a map, or a list of maps")
                        .help("usually an alias: `<<: *defaults`"),
                ),
            }
        }
        maps
    }

    /// Own entries win over merged ones, whatever their order. Earlier merged maps win over later ones.
    fn flatten(&mut self, entries: Vec<Entry>) -> Vec<(Key, Node)> {
        let mut own: HashMap<String, Span> = HashMap::new();
        for entry in &entries {
            if let Entry::Own(key, _) = entry {
                match own.get(&key.text) {
                    Some(first) => self.errors.push(
                        Diagnostic::error(key.span, format!("duplicate key: {}", given(&key.text)))
                            .label("given again here")
                            .also(*first, "first given here"),
                    ),
                    None => {
                        own.insert(key.text.clone(), key.span);
                    }
                }
            }
        }
        let mut flat: Vec<(Key, Node)> = Vec::new();
        let mut seen: std::collections::HashSet<String> = std::collections::HashSet::new();
        for entry in entries {
            let (candidates, merged) = match entry {
                Entry::Own(key, node) => (vec![(key, node)], false),
                Entry::Merge(maps) => (maps.into_iter().flatten().collect(), true),
            };
            for (key, node) in candidates {
                if !(merged && own.contains_key(&key.text)) && seen.insert(key.text.clone()) {
                    flat.push((key, node));
                }
            }
        }
        flat
    }

    fn span(&self, range: &Range) -> Span {
        let start = words::offset(self.text, &range.start);
        let end = words::offset(self.text, &range.end).max(start);
        // An empty span is invisible, so it extends over the next character.
        Span { file: self.file, start, end: end.max(words::next_char(self.text, start)) }
    }

    fn through(&self, start: Span, end: &Range) -> Span {
        Span { end: words::offset(self.text, &end.end).max(start.end), ..start }
    }
}

enum Entry {
    Own(Key, Node),
    Merge(Vec<Vec<(Key, Node)>>),
}

/// The number of nodes and levels of a tree.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<(usize, usize)> = match &node.kind {
        NodeKind::Map(entries) => entries.iter().map(|(_, value)| measure(value)).collect(),
        NodeKind::List(items) => items.iter().map(measure).collect(),
        _ => Vec::new(),
    };
    let nodes = children.iter().map(|(nodes, _)| nodes).sum::<usize>() + 1;
    (nodes, children.iter().map(|(_, depth)| depth).max().map_or(0, |depth| depth + 1))
}
