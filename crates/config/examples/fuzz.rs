//! Loads randomly broken configurations for some seconds, and stops at the first one that the loader fails on.
//!
//!     cargo run --release -p bowline-config --example fuzz -- SECONDS [SEED]
//!
//! It changes the projects in `tests/projects` at random, renders and loads them, and renders the diagnostics. No
//! case may panic or take a second of processor time, and every diagnostic must point into its file. The same seed
//! produces the same cases. A case that fails is written to a file.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a developer tool: it prints, and panics on errors"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bowline_config::template::{Ended, Outputs, Template, Unrendered};
use bowline_config::{Destination, Diagnostics, SourceFile, load, show::show};

/// The most processor time that a case may take.
const MOST: Duration = Duration::from_secs(1);
/// A case that takes this long hangs, even on a busy machine.
const HANGS: Duration = Duration::from_secs(60);

/// Pieces that have a meaning in YAML, in ERB or in the tables.
const PIECES: &[&str] = &[
    ":",
    ": ",
    "- ",
    "\n",
    "\n\n",
    "  ",
    "\t",
    "'",
    "\"",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "<<: *a",
    "|",
    ">-",
    "|2",
    "!x ",
    "!!str ",
    "~",
    "null",
    "%",
    "@",
    "`",
    "#",
    " #",
    "---\n",
    "...\n",
    "? ",
    "\\",
    "\u{feff}",
    "\0",
    "é",
    "\u{1F600}",
    "\r\n",
    "<%= ENV['X'] %>",
    "<%",
    "%>",
    "<% if true %>",
    "<% end %>",
    "<%= `x` %>",
    "true",
    "no",
    "0644",
    "1.10",
    "22:22",
    ":sym",
    "1e9",
    "-1",
    "99999999999999999999",
    "\"5\"",
    "hosts",
    "proxy: true",
    "proxy:",
    "traefik: {}",
    "servers:",
    "env:",
    "clear:",
    "secret:",
    "tags:",
    "healthcheck:",
    "accessories:",
    "ssl: true",
    "host: a",
    "registry: {server: \"localhost:5000\"}",
    "builder: {remote: x}",
    "options: {restart: no}",
    "x-a: &a {b: c}",
    "role:",
    "hooks_output: :quiet",
    "minimum_version: 3",
    "boot: {limit: 10%}",
    "aliases: {a: b}",
    "ssh: {proxy: 'a@b:1'}",
];

/// A small generator (xorshift64*), so that the seed alone determines a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    fn of<'a, T: AsRef<str>>(&mut self, items: &'a [T]) -> &'a str {
        items[self.below(items.len())].as_ref()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1);
    let corpus = corpus();
    let current: Arc<Mutex<(String, String)>> = Arc::default();
    let begun = watch(&current);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (started, mut cases, mut loaded, mut slowest) = (Instant::now(), 0u64, 0u64, Duration::ZERO);
    while started.elapsed() < Duration::from_secs(seconds) {
        let base = changed(&corpus, &mut random);
        let over = if random.below(3) == 0 { changed(&corpus, &mut random) } else { String::new() };
        *current.lock().unwrap() = (base.clone(), over.clone());
        begun.store(now(), Ordering::Relaxed);
        let before = processor_time();
        loaded += u64::from(case(&base, &over));
        let took = processor_time().saturating_sub(before);
        assert!(took < MOST, "it took {took:?}");
        slowest = slowest.max(took);
        cases += 1;
    }
    println!("{cases} cases from seed {seed}, {loaded} of them accepted; the slowest took {slowest:?}");
}

/// Writes the current case to a file if something panics or hangs.
fn watch(current: &Arc<Mutex<(String, String)>>) -> Arc<AtomicU64> {
    let begun = Arc::new(AtomicU64::new(now()));
    let tell = |current: &Mutex<(String, String)>| {
        let (base, over) = current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let path = std::env::temp_dir().join("bowline-fuzz-case.txt");
        std::fs::write(&path, format!("{base}\n=== the destination's ===\n{over}")).unwrap();
        eprintln!("the case is in {}", path.display());
    };
    let usual = std::panic::take_hook();
    let panicked = Arc::clone(current);
    std::panic::set_hook(Box::new(move |info| {
        tell(&panicked);
        usual(info);
    }));
    let (since, hanging) = (Arc::clone(&begun), Arc::clone(current));
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if now().saturating_sub(since.load(Ordering::Relaxed)) > HANGS.as_secs() {
                eprintln!("it hangs");
                tell(&hanging);
                std::process::exit(1);
            }
        }
    });
    begun
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// The processor time that this thread has used. Only Linux provides it; elsewhere, only hanging cases are noticed.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn corpus() -> Vec<String> {
    let projects = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/projects");
    let paths = |directory: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let files = paths(&projects).iter().flat_map(|project| paths(project)).collect::<Vec<_>>();
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn changed(corpus: &[String], random: &mut Random) -> String {
    let mut text = random.of(corpus).to_owned();
    for _ in 0..=random.below(6) {
        let (start, end) = range(&text, random);
        match random.below(7) {
            0 => text.replace_range(start..end, ""),
            1 => text.insert_str(start, random.of(PIECES)),
            2 => text.replace_range(start..end, random.of(PIECES)),
            3 => text.truncate(end),
            4 => {
                let other = random.of(corpus);
                let (from, to) = range(other, random);
                text.insert_str(start, &other[from..to]);
            }
            5 => text = lines(&text, random),
            _ => {
                let piece = text[start..end].to_owned();
                text.insert_str(end, &piece);
            }
        }
    }
    text
}

/// A short range of a text, at character boundaries.
fn range(text: &str, random: &mut Random) -> (usize, usize) {
    let boundary = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(random.below(text.len() + 1));
    (start, boundary((start + random.below(40)).min(text.len())))
}

/// Moves or indents a line, changes its value, or inserts an unknown key above it.
fn lines(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let at = random.below(lines.len());
    match random.below(4) {
        0 => {
            let line = lines.remove(at);
            lines.insert(random.below(lines.len() + 1), line);
        }
        1 => lines[at].insert_str(0, &" ".repeat(random.below(5))),
        2 => {
            let key = lines[at].split(':').next().unwrap_or_default().to_owned();
            lines[at] = format!("{key}: {}", random.of(PIECES));
        }
        _ => {
            let indent = lines[at].len() - lines[at].trim_start().len();
            lines.insert(at, format!("{:indent$}{}", "", random.of(PIECES)));
        }
    }
    lines.join("\n") + "\n"
}

/// Returns whether the case was accepted.
fn case(base: &str, over: &str) -> bool {
    let file = |name: &str, text: &str| rendered(SourceFile::new(name, text));
    let Some(file_of_base) = file("config/deploy.yml", base) else { return false };
    let over = match over {
        "" => None,
        text => match file("config/deploy.staging.yml", text) {
            Some(file) => Some(Destination { name: "staging".into(), file }),
            None => return false,
        },
    };
    let texts = [base.to_owned(), over.as_ref().map(|over| over.file.text.clone()).unwrap_or_default()];
    match load(file_of_base, over) {
        Ok(loaded) => {
            told(&loaded.warnings, &texts);
            !show(&loaded.config).is_empty()
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a word");
            told(&errors, &texts);
            false
        }
    }
}

fn rendered(file: SourceFile) -> Option<SourceFile> {
    let text = [file.text.clone()];
    let template = match Template::new(file) {
        Ok(template) => template,
        Err(errors) => {
            told(&errors, &text);
            return None;
        }
    };
    let mut outputs = Outputs::new();
    loop {
        match template.render(&|name| (name.len() % 2 == 0).then(|| "x: y".to_owned()), &outputs) {
            Ok(file) => return Some(file),
            Err(Unrendered::Failed(errors)) => {
                told(&errors, &text);
                return None;
            }
            Err(Unrendered::Run(program)) => {
                outputs.insert(program, Ended::Well("- out\n".into()));
            }
        }
    }
}

/// Checks that all diagnostics can be rendered and point into the files.
fn told(diagnostics: &Diagnostics, texts: &[String]) {
    for colour in [false, true] {
        assert!(diagnostics.is_empty() || !diagnostics.render(colour).is_empty());
    }
    for item in diagnostics {
        let text = texts.get(item.span.file).expect("a file that was given");
        assert!(item.span.start <= item.span.end && item.span.end <= text.len().max(1), "{item:?}");
        assert!(text.is_char_boundary(item.span.start.min(text.len())), "{item:?}");
        let place = diagnostics.locate(item);
        assert!(place.line <= text.matches('\n').count() + 1 && place.column >= 1, "{place:?}");
    }
}
