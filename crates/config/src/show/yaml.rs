//! Writes a serialized value as YAML.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::source::Plain;

/// A value whose keys keep the order in which they were serialized. `serde_json`'s own value sorts them.
pub(super) enum Node {
    /// Left out of a map.
    Nothing,
    /// A number or a boolean.
    Bare(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Converts a value by way of JSON, which has the same kinds of values.
pub(super) fn node(value: &impl Serialize) -> Node {
    let json = serde_json::to_string(value);
    json.and_then(|json| serde_json::from_str(&json)).unwrap_or(Node::Nothing)
}

impl Node {
    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Node)>) -> Self {
        Node::Map(entries.into_iter().map(|(key, node)| (key.into(), node)).collect())
    }

    pub(super) fn with(mut self, key: &str, node: Node) -> Self {
        if let Node::Map(entries) = &mut self {
            entries.push((key.into(), node));
        }
        self
    }

    pub(super) fn unless_empty(self) -> Self {
        match self {
            Node::Map(entries) if entries.iter().all(|(_, node)| node.is_nothing()) => Node::Nothing,
            other => other,
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Node::Nothing) || matches!(self, Node::List(items) if items.is_empty())
    }

    /// The value as JSON, without the entries that a document leaves out.
    pub(super) fn value(&self) -> serde_json::Value {
        match self {
            Node::Nothing => serde_json::Value::Null,
            Node::Bare(text) => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
            Node::Text(text) => text.as_str().into(),
            Node::List(items) => items.iter().map(Node::value).collect(),
            Node::Map(entries) => {
                let there = entries.iter().filter(|(_, node)| !node.is_nothing());
                there.map(|(key, node)| (key.clone(), node.value())).collect()
            }
        }
    }

    /// The value as a document: one line per entry of a map, and each list in one line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.lines(0, &mut text);
        text
    }

    fn lines(&self, depth: usize, out: &mut String) {
        let Node::Map(entries) = self else { return };
        for (key, node) in entries.iter().filter(|(_, node)| !node.is_nothing()) {
            out.push_str(&format!("{:depth$}{}:", "", scalar(key)));
            if let Node::Map(_) = node {
                let before = out.len();
                out.push('\n');
                node.lines(depth + 2, out);
                if out.len() == before + 1 {
                    out.truncate(before);
                    out.push_str(" {}\n");
                }
            } else {
                out.push_str(&format!(" {}\n", node.inline()));
            }
        }
    }

    fn inline(&self) -> String {
        match self {
            Node::Nothing | Node::Map(_) => "~".into(),
            Node::Bare(text) => text.clone(),
            Node::Text(text) => scalar(text),
            Node::List(items) => {
                format!("[{}]", items.iter().map(Node::inline).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A text as a YAML scalar: plain if it can't be read as anything else, otherwise in double quotes.
pub(crate) fn scalar(text: &str) -> String {
    // Commas and brackets would end an entry of a list.
    let safe = |c: char| c.is_ascii_alphanumeric() || " _-./:@+%=$()|*~".contains(c);
    let bare = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.')
        && text.chars().all(safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "null")
        && Plain::read(text) == Plain::Text
        && text.parse::<f64>().is_err();
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".into(),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.into(),
    };
    if bare { text.to_owned() } else { format!("\"{}\"", text.chars().map(escaped).collect::<String>()) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Nothing)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Bare(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Bare(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Node::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Node::Map(map))
            }
        }
        from.deserialize_any(Any)
    }
}
