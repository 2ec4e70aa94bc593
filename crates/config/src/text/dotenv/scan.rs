//! Finds the ends of quotes, parentheses and references in a shell program.

/// The position of the `)` for the `(` just before `from`.
pub(super) fn closing(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (from, 0usize);
    loop {
        at = match bytes.get(at)? {
            b'\\' => at + 2,
            b'\'' => single(text, at + 1)? + 1,
            b'"' => double(text, at + 1)? + 1,
            b'(' => {
                depth += 1;
                at + 1
            }
            b')' if depth == 0 => return Some(at),
            b')' => {
                depth -= 1;
                at + 1
            }
            _ => at + 1,
        };
    }
}

/// The position of the quote that ends `'…`.
fn single(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find('\'').map(|length| from + length)
}

/// The position of the quote that ends `"…`. There may be commands before it.
fn double(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        at = match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at + 2,
            b'$' if bytes.get(at + 1) == Some(&b'(') => closing(text, at + 2)? + 1,
            _ => at + 1,
        };
    }
}

/// The length of the name that begins here: letters, digits and `_`.
pub(super) fn name(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// A reference at a `$`: its name, and the position after it. `None` if no name follows. The error is the position
/// where a `}` is missing.
pub(super) fn reference(text: &str, at: usize) -> Result<Option<(&str, usize)>, usize> {
    let (start, braced) = match text.as_bytes().get(at + 1) {
        Some(b'{') => (at + 2, true),
        _ => (at + 1, false),
    };
    let end = start + name(text, start);
    let Some(found) = text.get(start..end).filter(|name| !name.is_empty()) else { return Ok(None) };
    match (braced, text.as_bytes().get(end)) {
        (false, _) => Ok(Some((found, end))),
        (true, Some(b'}')) => Ok(Some((found, end + 1))),
        (true, _) => Err(end),
    }
}
