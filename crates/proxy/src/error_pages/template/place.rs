//! The place of a value in the HTML. Text and quoted attributes can hold an escaped value. Scripts, styles, the
//! inside of a tag, unquoted attributes, and attributes with their own language (URLs, styles, event handlers) can't.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// The content of an element.
    #[default]
    Text,
    /// After `<`, with the characters since, until they show whether this is a tag, a comment, a declaration or text.
    Open(String),
    /// In `<!-- … -->`, with the number of dashes just read.
    Comment(u8),
    /// `<!doctype …>`
    Declaration,
    /// In the name of a tag. The name of an end tag starts with a slash.
    TagName(String),
    /// In a tag, between attributes.
    Tag(String),
    /// In the name of an attribute, or between it and its value.
    AttributeName { element: String, name: String },
    /// After the equals sign of an attribute.
    Value { element: String, name: String },
    /// In a quoted value.
    Quoted { element: String, name: String, quote: char },
    /// In a value without quotes.
    Unquoted(String),
    /// In an element whose content is not HTML, with the last characters read, to find its end tag.
    Raw { element: String, tail: String },
}

impl Place {
    /// The place after more of the page's text.
    pub(super) fn after(self, text: &str) -> Place {
        text.chars().fold(self, Place::step)
    }

    /// The place after either of two branches, if the rest of the page means the same after both.
    pub(super) fn join(self, other: Place) -> Option<Place> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Place::Comment(_), Place::Comment(_)) => Some(Place::Comment(0)),
            (Place::Raw { element, .. }, Place::Raw { element: other, .. }) if element == other => {
                Some(Place::Raw { element, tail: String::new() })
            }
            (
                Place::Tag(a) | Place::AttributeName { element: a, .. },
                Place::Tag(b) | Place::AttributeName { element: b, .. },
            ) if a == b => Some(Place::Tag(a)),
            _ => None,
        }
    }

    /// Fails if a value is not allowed here.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Place::Text => Ok(()),
            Place::Raw { element, .. } if element == "title" || element == "textarea" => Ok(()),
            Place::Raw { .. } => Err("a value in a script or a style is not supported"),
            Place::Quoted { name, .. } if !has_own_language(name) => Ok(()),
            Place::Quoted { .. } => {
                Err("a value in an attribute that holds a URL, a style or a script is not supported")
            }
            Place::Value { .. } | Place::Unquoted(_) => Err("a value in an attribute needs quotes around it"),
            Place::Comment(_) => Err("a value in an HTML comment is not supported"),
            _ => Err("a value inside a tag is not supported"),
        }
    }

    fn step(self, c: char) -> Place {
        match self {
            Place::Text if c == '<' => Place::Open(String::new()),
            Place::Text => Place::Text,
            Place::Open(seen) => open(seen, c),
            Place::Comment(dashes) => match c {
                '-' => Place::Comment((dashes + 1).min(2)),
                '>' if dashes == 2 => Place::Text,
                _ => Place::Comment(0),
            },
            Place::Declaration if c == '>' => Place::Text,
            Place::Declaration => Place::Declaration,
            Place::TagName(name) => tag_name(name, c),
            Place::Tag(element) => in_tag(element, c),
            Place::AttributeName { element, name } => attribute_name(element, name, c),
            Place::Value { element, name } => match c {
                '"' | '\'' => Place::Quoted { element, name, quote: c },
                '>' => end_of_tag(element),
                c if c.is_ascii_whitespace() => Place::Value { element, name },
                _ => Place::Unquoted(element),
            },
            Place::Quoted { element, quote, .. } if c == quote => Place::Tag(element),
            Place::Unquoted(element) if c == '>' => end_of_tag(element),
            Place::Unquoted(element) if c.is_ascii_whitespace() => Place::Tag(element),
            Place::Raw { element, tail } => raw(element, tail, c),
            same @ (Place::Quoted { .. } | Place::Unquoted(_)) => same,
        }
    }
}

fn open(mut seen: String, c: char) -> Place {
    match (seen.as_str(), c) {
        ("" | "/", c) if c.is_ascii_alphabetic() => {
            seen.push(c.to_ascii_lowercase());
            Place::TagName(seen)
        }
        ("", '/' | '!') | ("!", '-') => {
            seen.push(c);
            Place::Open(seen)
        }
        ("!-", '-') => Place::Comment(0),
        ("", '<') => Place::Open(String::new()),
        ("", '?') => Place::Declaration,
        ("", _) => Place::Text,
        (_, '>') => Place::Text,
        // `<!doctype`, and what browsers parse as a comment: `<!x`, `<!-x`, `</1`.
        _ => Place::Declaration,
    }
}

fn tag_name(mut name: String, c: char) -> Place {
    match c {
        '>' => end_of_tag(name),
        '/' => Place::Tag(name),
        c if c.is_ascii_whitespace() => Place::Tag(name),
        c => {
            name.push(c.to_ascii_lowercase());
            Place::TagName(name)
        }
    }
}

fn in_tag(element: String, c: char) -> Place {
    match c {
        '>' => end_of_tag(element),
        '/' => Place::Tag(element),
        c if c.is_ascii_whitespace() => Place::Tag(element),
        c => Place::AttributeName { element, name: c.to_ascii_lowercase().to_string() },
    }
}

fn attribute_name(element: String, mut name: String, c: char) -> Place {
    match c {
        '=' => Place::Value { element, name },
        '>' => end_of_tag(element),
        '/' => Place::Tag(element),
        // Blanks may precede the equals sign. A new name after them replaces the old one.
        c if c.is_ascii_whitespace() => {
            if !name.ends_with(' ') {
                name.push(' ');
            }
            Place::AttributeName { element, name }
        }
        c => {
            if name.ends_with(' ') {
                name.clear();
            }
            name.push(c.to_ascii_lowercase());
            Place::AttributeName { element, name }
        }
    }
}

fn end_of_tag(element: String) -> Place {
    match element.as_str() {
        "script" | "style" | "title" | "textarea" => Place::Raw { element, tail: String::new() },
        _ => Place::Text,
    }
}

fn raw(element: String, mut tail: String, c: char) -> Place {
    let ends_name = c == '>' || c == '/' || c.is_ascii_whitespace();
    if ends_name && tail.strip_prefix("</") == Some(element.as_str()) {
        return in_tag(format!("/{element}"), c);
    }
    tail.push(c.to_ascii_lowercase());
    while tail.chars().count() > element.len() + 2 {
        tail.remove(0);
    }
    Place::Raw { element, tail }
}

fn has_own_language(attribute: &str) -> bool {
    let name = attribute.trim_end();
    let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
    let text = matches!(
        name,
        "title"
            | "alt"
            | "class"
            | "id"
            | "lang"
            | "dir"
            | "role"
            | "placeholder"
            | "label"
            | "name"
            | "summary"
    );
    let custom = name.starts_with("aria-")
        || (name.starts_with("data-") && !["src", "url", "uri", "href"].iter().any(|w| name.contains(w)));
    !text && !custom
}
