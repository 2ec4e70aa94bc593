//! `.dockerignore`: which files in a directory a build receives, by Docker's rules.
//!
//! The last pattern that matches a path, or a directory above it, decides. A pattern after `!` includes the path again.
//! An invalid pattern matches nothing, so Bowline lists too many files rather than too few.

use glob::{MatchOptions, Pattern};

#[derive(Debug, Clone, Default)]
pub struct Dockerignore(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    keeps: bool,
}

/// Mostly as in a shell: only `**` crosses a slash, but a leading dot has no special meaning.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl Dockerignore {
    pub fn new(text: &str) -> Self {
        Self(text.trim_start_matches('\u{feff}').lines().filter_map(Rule::new).collect())
    }

    /// Whether the build ignores a file. `path` is relative to the directory that is built.
    pub fn leaves_out(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let paths: Vec<&str> = above.chain([path]).collect();
        let fits = |rule: &&Rule| paths.iter().any(|path| rule.pattern.matches_with(path, OPTIONS));
        self.0.iter().rfind(fits).is_some_and(|rule| !rule.keeps)
    }
}

impl Rule {
    fn new(line: &str) -> Option<Self> {
        // Docker checks for comments before it trims the line.
        if line.starts_with('#') {
            return None;
        }
        let line = line.trim();
        let (keeps, text) = match line.strip_prefix('!') {
            Some(text) => (true, text.trim()),
            None => (false, line),
        };
        let text = text.trim_matches('/');
        let text = text.strip_prefix("./").unwrap_or(text);
        if text.is_empty() {
            return None;
        }
        Some(Self { pattern: Pattern::new(text).ok()?, keeps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let ignore = Dockerignore::new(
            "# a comment\n\n/node_modules/\n*.log\n**/*.tmp\nsecret?\n./config\n!config/public.yml\ndocs/**\n[a\n",
        );
        let table = [
            ("node_modules/x/y.js", true),
            ("app/node_modules/x", false),
            ("a.log", true),
            ("log/a.log", false),
            ("a.tmp", true),
            ("x/y/a.tmp", true),
            ("secret1", true),
            ("secret12", false),
            ("config/database.yml", true),
            ("config/public.yml", false),
            ("docs/a/b.md", true),
            (".env", false),
            ("[a", false),
        ];
        for (path, left_out) in table {
            assert_eq!(ignore.leaves_out(path), left_out, "{path}");
        }
        assert!(Dockerignore::new("*").leaves_out(".env"));
        assert!(!Dockerignore::default().leaves_out("a"));
    }
}
