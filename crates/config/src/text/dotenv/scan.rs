//! Finds the ends of quoted parts and parentheses in a text for a shell.

/// Where the `)` is that closes what was opened just before `from`.
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

/// Where the quote is that ends `'…`.
fn single(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find('\'').map(|length| from + length)
}

/// Where the quote is that ends `"…`, in which commands may stand.
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

/// How long the name is that begins here: letters, digits and `_`.
pub(super) fn name(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len())
}

/// A reference at a `$`: its name, and the place after it. `None` if this is no reference to a name, and the place
/// where a `}` is missing as an error.
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
