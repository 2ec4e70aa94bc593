//! Checks names of repositories and tags.

/// Whether this is a valid repository name in the distribution specification: lower-case parts separated by slashes.
pub fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_part)
}

/// Whether this is letters and digits, separated by one dot, one or two underscores, or any number of dashes.
fn is_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = part;
    loop {
        let after_word = rest.trim_start_matches(is_word);
        if after_word.len() == rest.len() {
            return false;
        }
        if after_word.is_empty() {
            return true;
        }
        rest = after_word.trim_start_matches(|c| !is_word(c));
        let between = &after_word[..after_word.len() - rest.len()];
        if !matches!(between, "." | "_" | "__") && between.contains(|c| c != '-') {
            return false;
        }
    }
}

pub fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for name in ["app", "me/app", "a/b/c/d", "a.b", "a_b", "a__b", "a---b", "9", "my-app/web.v2"] {
            assert!(is_repository(name), "{name}");
        }
        let long = "a".repeat(256);
        for name in [
            "", "/", "a/", "/a", "a//b", "..", "../a", "a/../b", ".a", "a.", "a..b", "a___b", "a_-b", "A",
            "ä", "a b", "a%2fb", "a\0", "-a", "a:b", &long,
        ] {
            assert!(!is_repository(name), "{name}");
        }
        for tag in ["v1", "_", "1.2.3", "latest-staging", "6e0f_uncommitted_1"] {
            assert!(is_tag(tag), "{tag}");
        }
        for tag in ["", ".a", "-a", "a/b", "a:b", "ä", "a b", &"a".repeat(129)] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
