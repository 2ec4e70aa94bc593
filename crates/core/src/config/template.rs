//! ERB in a configuration file.
//!
//! Kamal renders its files as ERB templates before it reads them as YAML. That isn't done yet, and a template read
//! as YAML gives errors that make no sense, or worse, values with `<%` in them; so each such file is refused
//! first, with the lines in question. A tag within one comment line can do no harm and is let through.

use super::diagnostic::{Diagnostic, Span};

/// How many places are shown.
const SHOWN: usize = 5;

/// The error for a file with ERB in it.
pub(super) fn check(file: usize, text: &str) -> Option<Diagnostic> {
    let mut places = tags(text).map(|(start, end)| Span { file, start, end });
    let first = places.next()?;
    let mut error = Diagnostic::error(first, "ERB (`<% … %>`) is not supported yet")
        .label("Kamal would evaluate this as Ruby")
        .help("write the value out, or take it from the secrets file (`secret: [NAME]`, `password: [NAME]`)");
    for also in places.take(SHOWN - 1) {
        error = error.also(also, "and this");
    }
    Some(error)
}

/// Start and end of each tag, up to its line's end at most.
fn tags(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut offset = 0;
    text.split_inclusive('\n').flat_map(move |line| {
        let start = offset;
        offset += line.len();
        let comment = line.trim_start().starts_with('#');
        line.match_indices("<%").filter_map(move |(at, _)| {
            let close = line[at..].find("%>").map(|length| at + length + 2);
            let end = close.unwrap_or(line.trim_end().len());
            (!(comment && close.is_some())).then_some((start + at, start + end))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_line_by_line() {
        let text = "a: <%= ENV['X'] %>\n# <%= comment %>\n  <% if x\n %> é <%= 1 %><%= 2 %>\n";
        let found: Vec<&str> = tags(text).map(|(start, end)| &text[start..end]).collect();
        assert_eq!(found, ["<%= ENV['X'] %>", "<% if x", "<%= 1 %>", "<%= 2 %>"]);
        assert_eq!(check(0, "a: 50%\n"), None);
    }
}
