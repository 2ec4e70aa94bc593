//! Renders the ERB in configuration files.
//!
//! Kamal renders its files as ERB templates before it reads them as YAML. Bowline evaluates common constructs (variables,
//! commands, conditions) itself, without Ruby. If a file contains anything else, the user's own Ruby renders the whole file.
//! If there is no Ruby, Bowline also evaluates some constructs of Ruby's libraries (`Dotenv`, files, lists).
//!
//! Rendering needs the environment and runs programs, which this crate doesn't do. So the caller asks repeatedly: rendering
//! ends either with the text, or with a program whose output is missing ([`Unrendered::Run`]). The caller runs the program,
//! adds its result to the [`Outputs`], and asks again. So each distinct command runs once.
//!
//! `scan` finds the tags, `expr` and `literal` read the Ruby in a tag, `block` nests conditions, `evaluate` computes the value
//! of an expression, `rendered` maps positions in the text back to the file, and `ruby` handles files that only Ruby can render.

mod block;
mod evaluate;
mod expr;
mod literal;
mod rendered;
mod ruby;
mod scan;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use evaluate::Variables;

use crate::diagnostic::{Diagnostic, Diagnostics, Source, SourceFile};
use crate::mask;
use crate::rendered::{From, Rendered};
use block::{Branch, Node};
use evaluate::{Evaluation, Value, Wrong};
use ruby::RubyTemplate;
use scan::Token;

/// A file that may contain ERB tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    file: SourceFile,
    tokens: Vec<Token>,
    way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// The file has no tag.
    AsItIs,
    /// By Bowline.
    BuiltIn(Vec<Node>),
    /// By Ruby, or by Bowline if there is no Ruby.
    Either(Vec<Node>),
    /// By Ruby, because of these constructs.
    Ruby(Vec<expr::Unsupported>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Program {
    Shell(String),
    /// The text of the file at a path.
    File(String),
    /// Ruby, which renders this template from its standard input. Exit status 127 means that there is no Ruby.
    Ruby(String),
}

impl Program {
    pub fn words(&self) -> Vec<String> {
        match self {
            Program::Shell(command) => ["/bin/sh", "-c", command].map(Into::into).into(),
            Program::File(path) => ["cat", "--", path].map(Into::into).into(),
            Program::Ruby(_) => ruby::words(),
        }
    }

    pub fn input(&self) -> Option<&str> {
        match self {
            Program::Shell(_) | Program::File(_) => None,
            Program::Ruby(template) => Some(template),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Successfully, with this on its standard output.
    Well(String),
    /// With a failure. `how` describes it: `exit code 1`.
    Badly { how: String, stderr: String },
    /// There is no Ruby on this machine.
    Missing,
}

pub type Outputs = HashMap<Program, Ended>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unrendered<E> {
    /// This program must run first.
    Run(Program),
    Failed(E),
}

impl Template {
    /// Finds the tags in a file.
    ///
    /// # Errors
    /// A tag is never closed, or conditions and their ends don't match.
    pub fn new(file: SourceFile) -> Result<Self, Diagnostics> {
        Self::read(file, true)
    }

    /// Like [`Self::new`], for a file that isn't YAML: a line that begins with `#` isn't necessarily a comment.
    pub fn of_text(file: SourceFile) -> Result<Self, Diagnostics> {
        Self::read(file, false)
    }

    fn read(file: SourceFile, yaml: bool) -> Result<Self, Diagnostics> {
        if !file.text.contains("<%") {
            return Ok(Self { file, tokens: Vec::new(), way: Way::AsItIs });
        }
        let tokens = match scan::scan(&file.text, yaml) {
            Ok(tokens) => tokens,
            Err(range) => {
                let error = Diagnostic::error(range, "this tag is never closed")
                    .help("close it with `%>`; write `<%%` for a `<%` that doesn't begin a tag");
                return Err(refused(&file, &[], vec![error]));
            }
        };
        let way = match block::read(&file.text, &tokens) {
            Err(constructs) => Way::Ruby(constructs),
            Ok(all) => match (all.prefers_ruby, block::tree(all)) {
                (true, Ok(nodes)) => Way::Either(nodes),
                (false, Ok(nodes)) => Way::BuiltIn(nodes),
                (_, Err(error)) => return Err(refused(&file, &tokens, vec![*error])),
            },
        };
        Ok(Self { file, tokens, way })
    }

    /// Renders the file.
    ///
    /// # Errors
    /// A program must run first, or the template has errors.
    pub fn render(
        &self,
        variables: Variables<'_>,
        outputs: &Outputs,
    ) -> Result<SourceFile, Unrendered<Diagnostics>> {
        let rendered = match &self.way {
            Way::AsItIs => return Ok(self.file.clone()),
            Way::BuiltIn(nodes) => render(&self.file.text, nodes, Evaluation::new(variables, outputs)),
            Way::Either(nodes) => {
                let template = RubyTemplate { text: &self.file.text, tokens: &self.tokens, constructs: &[] };
                match template.is_missing(outputs) {
                    true => render(&self.file.text, nodes, Evaluation::new(variables, outputs)),
                    false => template.render(outputs),
                }
            }
            Way::Ruby(constructs) => {
                RubyTemplate { text: &self.file.text, tokens: &self.tokens, constructs }.render(outputs)
            }
        };
        match rendered {
            Ok(mut rendered) => {
                rendered.open = block::open_tags(&self.file.text, &self.tokens);
                Ok(self.file.clone().with(rendered))
            }
            Err(Unrendered::Run(program)) => Err(Unrendered::Run(program)),
            Err(Unrendered::Failed(wrong)) => {
                Err(Unrendered::Failed(refused(&self.file, &self.tokens, wrong)))
            }
        }
    }
}

fn render(
    text: &str,
    nodes: &[Node],
    evaluation: Evaluation<'_>,
) -> Result<Rendered, Unrendered<Vec<Diagnostic>>> {
    let mut rendering = Rendering { text, evaluation, rendered: Rendered::default(), wrong: Vec::new() };
    rendering.all(nodes).map_err(Unrendered::Run)?;
    if rendering.wrong.is_empty() { Ok(rendering.rendered) } else { Err(Unrendered::Failed(rendering.wrong)) }
}

struct Rendering<'a> {
    text: &'a str,
    evaluation: Evaluation<'a>,
    rendered: Rendered,
    wrong: Vec<Diagnostic>,
}

impl Rendering<'_> {
    /// Renders nodes, and continues after an error. `Err` is a program to run first.
    fn all(&mut self, nodes: &[Node]) -> Result<(), Program> {
        for node in nodes {
            let done = match node {
                Node::Text { range, kept } => {
                    let from = if *kept { From::Comment } else { From::File };
                    let text = self.text.get(range.clone()).unwrap_or_default();
                    self.rendered.push(text, range.clone(), from);
                    Ok(())
                }
                Node::Output { span, expr } => self.evaluation.value(expr).map(|value| {
                    self.rendered.push(&value.text(), span.clone(), From::Tag);
                }),
                Node::If(branches) => self.branch(branches),
                Node::Do { span, statements } => {
                    statements.iter().try_for_each(|statement| self.evaluation.carry_out(statement, span))
                }
                Node::Each { list, name, nodes } => self.each(list, name, nodes),
            };
            match done {
                Ok(()) => {}
                Err(Unrendered::Run(program)) => return Err(program),
                Err(Unrendered::Failed(wrong)) => self.wrong.push(*wrong),
            }
        }
        Ok(())
    }

    fn each(&mut self, list: &expr::Expr, name: &str, nodes: &[Node]) -> Result<(), Unrendered<Wrong>> {
        for entry in self.evaluation.list(list, "each")? {
            self.evaluation.locals.push((name.to_owned(), Value::Text(entry)));
            self.all(nodes).map_err(Unrendered::Run)?;
        }
        Ok(())
    }

    fn branch(&mut self, branches: &[Branch]) -> Result<(), Unrendered<Wrong>> {
        for Branch { condition, nodes } in branches {
            let holds = match condition {
                Some(condition) => self.evaluation.value(condition)?.is_true(),
                None => true,
            };
            if holds {
                return self.all(nodes).map_err(Unrendered::Run);
            }
        }
        Ok(())
    }
}

/// The report on a file that can't be rendered.
fn refused(file: &SourceFile, tokens: &[Token], errors: Vec<Diagnostic>) -> Diagnostics {
    let hidden = mask::except(mask::in_text(&file.text), &block::open_tags(&file.text, tokens), &file.text);
    Diagnostics::new(vec![Source { file: file.clone(), hidden }], errors)
}
