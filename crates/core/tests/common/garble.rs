//! Text that a broken or malicious server might print: samples of real answers, changed at random. Each parser gets
//! thousands of them, or as many as fit in `BOWLINE_FUZZ_SECONDS` seconds if that variable is set.
//!
//! The tests of several crates include this file. A number always produces the same text, to repeat a failing case.

use std::time::{Duration, Instant};

/// The number of cases without `BOWLINE_FUZZ_SECONDS`.
const CASES: u64 = 2000;
/// The longest time to parse a text of at most a megabyte, on a slow machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(10);

/// Strings that have a meaning to the parsers.
const PIECES: [&str; 45] = [
    "\n",
    "\n\n",
    " ",
    "\t",
    "\r",
    "\0",
    "@",
    "@end\n",
    "@ready ",
    "@id ",
    "@log\n",
    "@health ",
    "@state ",
    "@failed ",
    "@ended ",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "18446744073709551615",
    "9223372036854775808",
    "0.1",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{fffd}",
    "é",
    "\u{1F600}",
    "=",
    "==",
    "#",
    "*",
    "!",
    "|1|",
    "::",
];

struct Garbler(u64);

impl Garbler {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items.get(self.below(items.len())).copied().unwrap_or_default()
    }

    /// A random character boundary in a text.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn range(&mut self, text: &str) -> std::ops::Range<usize> {
        let (a, b) = (self.place(text), self.place(text));
        a.min(b)..a.max(b)
    }

    fn text(&mut self, samples: &[&str]) -> String {
        let mut text = self.of(samples).to_owned();
        for _ in 0..=self.below(8) {
            let range = self.range(&text);
            match self.below(6) {
                0 => text.replace_range(range, ""),
                1 => text.insert_str(range.start, self.of(&PIECES)),
                2 => text.replace_range(range, self.of(&PIECES)),
                3 => text.insert_str(range.start, self.of(samples)),
                4 => {
                    let piece = text.get(range.clone()).unwrap_or_default().to_owned();
                    text.insert_str(range.end, &piece);
                }
                // Sometimes repeats a piece very often.
                _ if self.below(20) == 0 && !range.is_empty() => {
                    let piece = text.get(range.clone()).unwrap_or_default();
                    let many = piece.repeat((1 << 20) / piece.len().max(1));
                    text.insert_str(range.end, &many);
                }
                _ => text.insert_str(range.end, self.of(&PIECES)),
            }
        }
        text
    }
}

/// The text with this number, made from these samples.
#[allow(dead_code, reason = "not everybody who includes this wants single texts")]
pub(crate) fn text(number: u64, samples: &[&str]) -> String {
    Garbler(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1).text(samples)
}

/// Passes a great number of such texts to a parser. It may reject them, but must neither panic nor take long.
pub(crate) fn each(samples: &[&str], mut read: impl FnMut(&str)) {
    let seconds = std::env::var("BOWLINE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let (began, mut number, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    while seconds.map_or(number < CASES, |seconds| began.elapsed() < Duration::from_secs(seconds)) {
        number += 1;
        let text = text(number, samples);
        let case = Case(number);
        let since = Instant::now();
        read(&text);
        let took = since.elapsed();
        assert!(took < LONGEST, "{} bytes took {took:?}", text.len());
        slowest = slowest.max(took);
        std::mem::forget(case);
    }
    println!("{number} texts, the slowest took {slowest:?}");
}

/// Prints the number of the case if the parser panics.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        println!("it was text number {}", self.0);
    }
}
