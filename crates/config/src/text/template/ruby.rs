//! Templates that only Ruby can render: the user's `ruby` renders the whole file.
//!
//! To map the result back to the file, Ruby gets the template with a mark before each piece of text and each output tag. The
//! marks appear in the output in front of the pieces, and are then removed. A mark is only inserted where output is possible, so
//! that it changes nothing. (Between `case` and `when`, for example, Ruby allows no output.)

use std::fmt::Write as _;
use std::ops::Range;

use super::expr::Unsupported;
use super::scan::{TagKind, Token};
use super::{Ended, Outputs, Program, Unrendered};
use crate::diagnostic::{Diagnostic, Span};
use crate::rendered::{From, Rendered};

const SHOWN: usize = 5;

/// Renders standard input to standard output. Output of the template itself goes to standard error, so that it doesn't end up
/// in the configuration. An error is printed on a separate line, with the line of the template. The program leaves out the
/// message of an error that may contain a value.
const PROGRAM: &str = r#"
template = $stdin.read
output = $stdout.dup
$stdout.reopen($stderr)
begin
  require "active_support/core_ext/object/blank"
rescue LoadError
end
begin
  output.write(ERB.new(template, trim_mode: "-").result)
rescue Exception => error
  places = [error.message.to_s, *error.backtrace].map { |place| place[/\A\(erb\):(\d+)/, 1] }
  message =
    case error
    when NoMethodError then "there is no `#{error.name}` here"
    when NameError, KeyError, LoadError, SystemCallError, RuntimeError then error.message
    when SyntaxError then error.message.sub(/\A\(erb\):\d+: /, "")
    else ""
    end
  line = message.to_s.lines.first.to_s.strip
  $stderr.puts("", "@ruby #{places.compact.first || 0} #{error.class}#{": " unless line.empty?}#{line}")
  exit!(1)
end
"#;

/// The characters around the number of a mark, which YAML can't contain.
const BEGIN: char = '\u{2}';
const END: char = '\u{3}';

/// A file with Ruby that Bowline can't evaluate.
pub(super) struct RubyTemplate<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) constructs: &'a [Unsupported],
}

/// The gem that a failed `require` needs.
fn missing_gem(reason: &str) -> Option<String> {
    let (_, path) = reason.split_once("LoadError: cannot load such file -- ")?;
    let name = path.trim().split('/').next().filter(|name| !name.is_empty() && !name.starts_with('.'))?;
    Some(if name == "active_support" { "activesupport".into() } else { name.to_owned() })
}

/// Ruby and its arguments. `env` ends with status 127 if there is no Ruby.
pub(super) fn words() -> Vec<String> {
    ["env", "ruby", "-EUTF-8", "-ryaml", "-rjson", "-rerb", "-e", PROGRAM].map(Into::into).into()
}

impl RubyTemplate<'_> {
    pub(super) fn is_missing(&self, outputs: &Outputs) -> bool {
        outputs.get(&Program::Ruby(self.marked())) == Some(&Ended::Missing)
    }

    pub(super) fn render(&self, outputs: &Outputs) -> Result<Rendered, Unrendered<Vec<Diagnostic>>> {
        let program = Program::Ruby(self.marked());
        match outputs.get(&program) {
            None => Err(Unrendered::Run(program)),
            Some(Ended::Well(output)) => Ok(self.unmarked(output)),
            Some(Ended::Badly { how, stderr }) => Err(Unrendered::Failed(vec![self.failed(how, stderr)])),
            Some(Ended::Missing) => Err(Unrendered::Failed(vec![self.without_ruby()])),
        }
    }

    fn marked(&self) -> String {
        let mut input = String::with_capacity(self.text.len() * 2);
        for (number, token) in self.tokens.iter().enumerate() {
            let (source, marked) = match token {
                Token::Text { source, .. } => (source, true),
                Token::Tag(tag) => (&tag.source, tag.kind == TagKind::Output),
            };
            if marked {
                // Writing to a String doesn't fail.
                let _ = write!(input, "{BEGIN}{number}{END}");
            }
            let source = self.text.get(source.clone()).unwrap_or_default();
            match token {
                Token::Text { kept: true, .. } => {
                    input.push_str("<%%");
                    input.push_str(source.get(2..).unwrap_or_default());
                }
                _ => input.push_str(source),
            }
        }
        input
    }

    /// Removes the marks from Ruby's output, and finds where each piece comes from.
    fn unmarked(&self, output: &str) -> Rendered {
        let mut rendered = Rendered::default();
        for piece in output.split(BEGIN) {
            let marked = piece.split_once(END);
            let token = marked.and_then(|(number, _)| self.tokens.get(number.parse::<usize>().ok()?));
            let text = marked.map_or(piece, |(_, text)| text);
            let (origin, from) = match token {
                Some(Token::Text { text: range, kept, .. }) => {
                    let copied = self.text.get(range.clone()) == Some(text);
                    let from = if *kept { From::Comment } else { From::File };
                    (range.clone(), if copied { from } else { From::Tag })
                }
                Some(Token::Tag(tag)) => (tag.span.clone(), From::Tag),
                // Empty, unless the template changes its own output.
                None => (0..self.text.len(), From::Tag),
            };
            rendered.push(text, origin, from);
        }
        rendered
    }

    fn without_ruby(&self) -> Diagnostic {
        let mut places = self.constructs.iter();
        let message = "this template needs Ruby, and there is no `ruby` on this machine";
        let mut error = match places.next() {
            Some(first) => Diagnostic::error(first.span.clone(), message).label(first.label),
            None => Diagnostic::error(Span::whole(0), message),
        };
        for also in places.take(SHOWN - 1) {
            error = error.also(also.span.clone(), also.label);
        }
        error.help(
            "install Ruby, or write it with what is built in: `ENV[\"X\"]`, `ENV.fetch(\"X\", \"default\")`, \
             `` `command` ``, `File.read(\"path\")`, `Dotenv.load`, `name = …`, `strip`, `chomp`, `to_s`, `split`, `presence`, \
             `nil?`, `empty?`, `||`, `&&`, `==`, `if`/`else`, `….each do |x|`",
        )
    }

    /// The error that Ruby reported on standard error.
    fn failed(&self, how: &str, stderr: &str) -> Diagnostic {
        let message = "Ruby can't render this template";
        let told = stderr.lines().rev().find_map(|line| line.strip_prefix("@ruby "));
        let Some((line, reason)) = told.and_then(|told| told.split_once(' ')) else {
            return Diagnostic::error(Span::whole(0), format!("{message}: {how}"));
        };
        let error = match line.parse().ok().and_then(|line| self.line(line)) {
            Some(span) => Diagnostic::error(span, message).label(reason),
            None => Diagnostic::error(Span::whole(0), format!("{message}: {reason}")),
        };
        match missing_gem(reason) {
            Some(gem) => error.help(format!("`gem install {gem}`")),
            None => error,
        }
    }

    /// The code in a line (counted from 1), without the blanks around it.
    fn line(&self, number: usize) -> Option<Range<usize>> {
        let line = self.text.lines().nth(number.checked_sub(1)?)?;
        let from: usize = self.text.split_inclusive('\n').take(number - 1).map(str::len).sum();
        let start = from + (line.len() - line.trim_start().len());
        Some(start..(from + line.trim_end().len()).max(start + 1))
    }
}
