//! The place of a value in the HTML. Text and quoted attributes can hold an escaped value. Scripts, styles, the
//! inside of a tag, unquoted attributes, and attributes with their own language (URLs, styles, event handlers) can't.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum HtmlContext {
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

impl HtmlContext {
    /// The place after more of the page's text.
    pub(super) fn after(self, text: &str) -> HtmlContext {
        text.chars().fold(self, HtmlContext::step)
    }

    /// The place after either of two branches, if the rest of the page means the same after both.
    pub(super) fn join(self, other: HtmlContext) -> Option<HtmlContext> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (HtmlContext::Comment(_), HtmlContext::Comment(_)) => Some(HtmlContext::Comment(0)),
            (HtmlContext::Raw { element, .. }, HtmlContext::Raw { element: other, .. })
                if element == other =>
            {
                Some(HtmlContext::Raw { element, tail: String::new() })
            }
            (
                HtmlContext::Tag(a) | HtmlContext::AttributeName { element: a, .. },
                HtmlContext::Tag(b) | HtmlContext::AttributeName { element: b, .. },
            ) if a == b => Some(HtmlContext::Tag(a)),
            _ => None,
        }
    }

    /// Fails if a value is not allowed here.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            HtmlContext::Text => Ok(()),
            HtmlContext::Raw { element, .. } if element == "title" || element == "textarea" => Ok(()),
            HtmlContext::Raw { .. } => Err("a value in a script or a style is not supported"),
            HtmlContext::Quoted { name, .. } if !has_own_language(name) => Ok(()),
            HtmlContext::Quoted { .. } => {
                Err("a value in an attribute that holds a URL, a style or a script is not supported")
            }
            HtmlContext::Value { .. } | HtmlContext::Unquoted(_) => {
                Err("a value in an attribute needs quotes around it")
            }
            HtmlContext::Comment(_) => Err("a value in an HTML comment is not supported"),
            _ => Err("a value inside a tag is not supported"),
        }
    }

    fn step(self, c: char) -> HtmlContext {
        match self {
            HtmlContext::Text if c == '<' => HtmlContext::Open(String::new()),
            HtmlContext::Text => HtmlContext::Text,
            HtmlContext::Open(seen) => open(seen, c),
            HtmlContext::Comment(dashes) => match c {
                '-' => HtmlContext::Comment((dashes + 1).min(2)),
                '>' if dashes == 2 => HtmlContext::Text,
                _ => HtmlContext::Comment(0),
            },
            HtmlContext::Declaration if c == '>' => HtmlContext::Text,
            HtmlContext::Declaration => HtmlContext::Declaration,
            HtmlContext::TagName(name) => tag_name(name, c),
            HtmlContext::Tag(element) => in_tag(element, c),
            HtmlContext::AttributeName { element, name } => attribute_name(element, name, c),
            HtmlContext::Value { element, name } => match c {
                '"' | '\'' => HtmlContext::Quoted { element, name, quote: c },
                '>' => end_of_tag(element),
                c if c.is_ascii_whitespace() => HtmlContext::Value { element, name },
                _ => HtmlContext::Unquoted(element),
            },
            HtmlContext::Quoted { element, quote, .. } if c == quote => HtmlContext::Tag(element),
            HtmlContext::Unquoted(element) if c == '>' => end_of_tag(element),
            HtmlContext::Unquoted(element) if c.is_ascii_whitespace() => HtmlContext::Tag(element),
            HtmlContext::Raw { element, tail } => raw(element, tail, c),
            same @ (HtmlContext::Quoted { .. } | HtmlContext::Unquoted(_)) => same,
        }
    }
}

fn open(mut seen: String, c: char) -> HtmlContext {
    match (seen.as_str(), c) {
        ("" | "/", c) if c.is_ascii_alphabetic() => {
            seen.push(c.to_ascii_lowercase());
            HtmlContext::TagName(seen)
        }
        ("", '/' | '!') | ("!", '-') => {
            seen.push(c);
            HtmlContext::Open(seen)
        }
        ("!-", '-') => HtmlContext::Comment(0),
        ("", '<') => HtmlContext::Open(String::new()),
        ("", '?') => HtmlContext::Declaration,
        ("", _) => HtmlContext::Text,
        (_, '>') => HtmlContext::Text,
        // `<!doctype`, and what browsers parse as a comment: `<!x`, `<!-x`, `</1`.
        _ => HtmlContext::Declaration,
    }
}

fn tag_name(mut name: String, c: char) -> HtmlContext {
    match c {
        '>' => end_of_tag(name),
        '/' => HtmlContext::Tag(name),
        c if c.is_ascii_whitespace() => HtmlContext::Tag(name),
        c => {
            name.push(c.to_ascii_lowercase());
            HtmlContext::TagName(name)
        }
    }
}

fn in_tag(element: String, c: char) -> HtmlContext {
    match c {
        '>' => end_of_tag(element),
        '/' => HtmlContext::Tag(element),
        c if c.is_ascii_whitespace() => HtmlContext::Tag(element),
        c => HtmlContext::AttributeName { element, name: c.to_ascii_lowercase().to_string() },
    }
}

fn attribute_name(element: String, mut name: String, c: char) -> HtmlContext {
    match c {
        '=' => HtmlContext::Value { element, name },
        '>' => end_of_tag(element),
        '/' => HtmlContext::Tag(element),
        // Blanks may precede the equals sign. A new name after them replaces the old one.
        c if c.is_ascii_whitespace() => {
            if !name.ends_with(' ') {
                name.push(' ');
            }
            HtmlContext::AttributeName { element, name }
        }
        c => {
            if name.ends_with(' ') {
                name.clear();
            }
            name.push(c.to_ascii_lowercase());
            HtmlContext::AttributeName { element, name }
        }
    }
}

fn end_of_tag(element: String) -> HtmlContext {
    match element.as_str() {
        "script" | "style" | "title" | "textarea" => HtmlContext::Raw { element, tail: String::new() },
        _ => HtmlContext::Text,
    }
}

fn raw(element: String, mut tail: String, c: char) -> HtmlContext {
    let ends_name = c == '>' || c == '/' || c.is_ascii_whitespace();
    if ends_name && tail.strip_prefix("</") == Some(element.as_str()) {
        return in_tag(format!("/{element}"), c);
    }
    tail.push(c.to_ascii_lowercase());
    while tail.chars().count() > element.len() + 2 {
        tail.remove(0);
    }
    HtmlContext::Raw { element, tail }
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
