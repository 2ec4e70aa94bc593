//! Makes the output of servers and programs harmless: a log line must not move the cursor, recolour the screen, set
//! the window title or reverse text. Every renderer passes such text through this module.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// Cleans one line: removes terminal sequences, and makes other control characters visible (`\x07`). Tabs stay.
pub fn line(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    // Whether a string sequence (OSC, DCS) can still end in this line. Searched for only once, as a search for each
    // sequence would take quadratic time.
    let mut can_end = true;
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => skip_sequence(&mut chars, &mut can_end),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            char if is_unsafe(char) && char.is_ascii() => {
                let _ = write!(out, "\\x{:02x}", u32::from(char));
            }
            char if is_unsafe(char) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(char));
            }
            char => out.push(char),
        }
    }
    out
}

/// Cleans several lines. The result has no line feed at the end.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, text) in text.lines().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        out.push_str(&line(text));
    }
    out
}

/// Cleans several lines, with `first` before the first one and the others indented by this many spaces.
pub fn hanging(first: &str, text: &str, indent: usize) -> Vec<String> {
    let text = lines(text);
    let place = |number| if number == 0 { first.to_owned() } else { " ".repeat(indent) };
    text.lines().enumerate().map(|(number, line)| place(number) + line).collect()
}

/// Control characters (C0, C1, delete), and characters that change the direction of text or are invisible.
fn is_unsafe(char: char) -> bool {
    (char.is_control() && char != '\t')
        || matches!(char, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Skips the sequence after an escape character, except an unterminated string, which could hide the rest of the line.
fn skip_sequence(chars: &mut Peekable<Chars<'_>>, can_end: &mut bool) {
    match chars.peek().copied() {
        Some('[') => {
            chars.next();
            while chars.next_if(|char| (' '..='?').contains(char)).is_some() {}
            chars.next_if(|char| ('@'..='~').contains(char));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let mut ahead = chars.clone();
            while let Some(char) = ahead.next().filter(|_| *can_end) {
                let ends = match char {
                    '\u{7}' | '\u{9c}' => true,
                    '\u{1b}' => ahead.next_if_eq(&'\\').is_some(),
                    _ => false,
                };
                if ends {
                    *chars = ahead;
                    return;
                }
            }
            *can_end = false;
            chars.next();
        }
        Some(_) => {
            while chars.next_if(|char| (' '..='/').contains(char)).is_some() {}
            chars.next_if(|char| ('0'..='~').contains(char));
        }
        None => {}
    }
}

#[cfg(test)]
#[path = "../../../core/tests/common/garble.rs"]
#[allow(clippy::print_stdout, reason = "it says how much was tried")]
mod garble;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbled_text_is_harmless() {
        let said = [
            "\u{1b}[1;31mred\u{1b}[0m",
            "\u{1b}]8;;http://e\u{1b}\\link\u{1b}]8;;\u{7}",
            "10%\r20%\n\u{9b}31m\u{9d}x\u{9c}",
        ];
        garble::each(&said, |text| {
            assert!(!lines(text).chars().any(|char| is_unsafe(char) && char != '\n'), "{text:?}");
        });
    }

    #[test]
    fn terminal_sequences_are_left_out() {
        assert_eq!(line("\u{1b}[1;31mred\u{1b}[0m"), "red");
        assert_eq!(line("\u{1b}[2J\u{1b}[Hcleared"), "cleared");
        assert_eq!(line("\u{1b}]0;title\u{7}x"), "x");
        assert_eq!(line("\u{1b}]8;;http://e\u{1b}\\link\u{1b}]8;;\u{1b}\\"), "link");
        assert_eq!(line("\u{1b}(Bx\u{1b}cy\u{1b}"), "xy");
    }

    #[test]
    fn a_sequence_without_end_hides_nothing() {
        assert_eq!(line("\u{1b}]0;the rest"), "0;the rest");
        assert_eq!(line("\u{1b}[31"), "");
        assert_eq!(line("\u{1b}[\u{1b}[31mx"), "x");
    }

    #[test]
    fn many_sequences_without_end_take_no_longer_than_others() {
        let began = std::time::Instant::now();
        let text = "\u{1b}]".repeat(1_000_000);
        assert_eq!(line(&text), "");
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    #[test]
    fn other_control_characters_become_visible() {
        assert_eq!(line("a\u{7}b\u{8}c\u{7f}"), "a\\x07b\\x08c\\x7f");
        assert_eq!(line("10%\r20%\r\n"), "10%\\r20%");
        assert_eq!(line("a\u{9b}31mb\u{202e}c\u{200b}"), "a\\u{9b}31mb\\u{202e}c\\u{200b}");
    }

    #[test]
    fn plain_text_stays() {
        assert_eq!(line("größe\t→ ✓ 日本"), "größe\t→ ✓ 日本");
        assert_eq!(lines("a\u{1b}[1m\nb\r\n"), "a\nb");
    }

    #[test]
    fn nothing_harmful_is_ever_left() {
        for first in 0..=0xff_u8 {
            for second in ['[', ']', 'P', '\u{1b}', '\u{7}', 'x'] {
                let text = format!("\u{1b}{second}{}\u{1b}{}", char::from(first), char::from(first));
                assert!(!line(&text).chars().any(is_unsafe), "{text:?}");
            }
        }
    }
}
