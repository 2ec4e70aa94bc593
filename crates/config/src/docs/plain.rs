//! Markdown as plain text for a terminal.

use super::markdown::filled;

/// How much code and the cells of a table are indented.
const DEEPER: usize = 4;

/// Renders the Markdown that our texts use: paragraphs, lists, tables, code blocks and headings. Code stays in backquotes.
pub(super) fn plain(text: &str, columns: usize) -> String {
    let mut plain = Plain { columns, lines: Vec::new(), block: Block::default() };
    text.trim_end().lines().for_each(|line| plain.line(line));
    plain.end();
    plain.lines.join("\n")
}

#[derive(Debug, Default)]
enum Block {
    #[default]
    None,
    /// A paragraph, or an item of a list.
    Prose(String),
    Code,
    /// The headings of a table's columns.
    Table(Vec<String>),
}

struct Plain {
    columns: usize,
    lines: Vec<String>,
    block: Block,
}

impl Plain {
    fn line(&mut self, line: &str) {
        match (&mut self.block, line) {
            (Block::Code, line) if line.starts_with("```") => self.end(),
            (Block::Code, line) => self.lines.push(format!("{:DEEPER$}{line}", "")),
            (_, line) if line.starts_with("```") => self.begin(Block::Code),
            (_, "") => {
                self.end();
                self.lines.push(String::new());
            }
            (Block::Table(headings), line) if line.starts_with('|') => {
                let headings = headings.clone();
                self.row(&headings, &cells(line));
            }
            (_, line) if line.starts_with('|') => self.begin(Block::Table(cells(line))),
            (Block::Prose(text), line) if !line.starts_with(['-', '#']) => {
                text.push(' ');
                text.push_str(line.trim());
            }
            (_, line) => self.begin(Block::Prose(line.trim_start_matches('#').trim().to_owned())),
        }
    }

    fn begin(&mut self, block: Block) {
        self.end();
        self.block = block;
    }

    fn end(&mut self) {
        if let Block::Prose(text) = std::mem::take(&mut self.block) {
            let hanging = if text.starts_with("- ") { 2 } else { 0 };
            self.fill(&text, 0, hanging);
        }
    }

    /// A row as its first cell, with the others below it. The headings of the third and later columns precede their cells.
    fn row(&mut self, headings: &[String], cells: &[String]) {
        if cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            return;
        }
        let [first, others @ ..] = cells else { return };
        let cell = |(index, cell): (usize, &String)| match headings.get(index + 1) {
            Some(heading) if index > 0 => format!("{heading}: {cell}"),
            _ => cell.clone(),
        };
        let rest: Vec<String> = others.iter().enumerate().map(cell).collect();
        self.fill(first, 0, 0);
        self.fill(&rest.join(" · "), DEEPER, DEEPER);
    }

    fn fill(&mut self, text: &str, indent: usize, hanging: usize) {
        let text = inline(text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let lines = filled(&words, self.columns.saturating_sub(hanging.max(indent)));
        for (index, line) in lines.iter().enumerate() {
            let indent = if index == 0 { indent } else { hanging };
            self.lines.push(format!("{:indent$}{line}", ""));
        }
    }
}

/// The cells of a row. `\|` is a `|` in a cell.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').replace("\\|", "\0");
    let line = line.strip_suffix('|').unwrap_or(&line);
    line.split('|').map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// Removes emphasis and the targets of links. Code between several backquotes has backquotes of its own.
fn inline(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('`') {
        plain.push_str(&before.replace('*', ""));
        let code = after.trim_start_matches('`');
        let fence = "`".repeat(1 + after.len() - code.len());
        let Some((code, after)) = code.split_once(&fence) else { return plain + "`" + after };
        match fence.len() {
            1 => plain.push_str(&format!("`{code}`")),
            _ => plain.push_str(code.trim()),
        }
        rest = after;
    }
    plain + &rest.replace('*', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_text() {
        let text = "# Head\n\nA *long* **line** of `a*b`\nand `` `c` ``.\n\n- one two\n  three\n- four\n\n\
                    ```yaml\na: b\n  c: |\n```\n\n| key | value | more |\n|---|---|---|\n| `a \\| b` | one | two |\n";
        let expected = "Head\n\nA long line of\n`a*b` and `c`.\n\n- one two\n  three\n- four\n\n    a: b\n      c: |\n\n\
                        `a | b`\n    one · more:\n    two";
        assert_eq!(plain(text, 16), expected);
    }
}
