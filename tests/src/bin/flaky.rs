//! Lists the tests that only passed on a retry, with the beginning of each first failure: `flaky REPORT DIRECTORY` reads
//! nextest's report and writes the whole output of each first failure to a file in the directory.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::Path;
use std::{env, fs, process};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [report, directory] = arguments.as_slice() else {
        eprintln!("usage: flaky REPORT DIRECTORY");
        process::exit(2);
    };
    // Without a report, no test ran.
    let Ok(report) = fs::read_to_string(report) else { return };
    if let Err(error) = keep(&flaky(&report), Path::new(directory)) {
        eprintln!("{directory}: {error}");
        process::exit(1);
    }
}

/// A test that failed before it passed, and the output of its failure.
#[derive(Debug, PartialEq, Eq)]
struct Flaky {
    name: String,
    said: String,
}

fn keep(tests: &[Flaky], directory: &Path) -> std::io::Result<()> {
    if tests.is_empty() {
        return Ok(());
    }
    println!("\n== flaky: passed only on a retry. Each is a bug.");
    fs::create_dir_all(directory)?;
    for test in tests {
        let file = directory.join(format!("{}.txt", test.name.replace("::", "-")));
        fs::write(&file, &test.said)?;
        println!("   {}  (the first failure: {})", test.name, file.display());
        for line in beginning(&test.said) {
            println!("     | {line}");
        }
    }
    Ok(())
}

/// The lines that say what failed: those before the backtrace, at most 12.
fn beginning(said: &str) -> impl Iterator<Item = &str> {
    let lines = said.lines().filter(|line| !line.trim().is_empty());
    lines.take_while(|line| !line.trim().starts_with("stack backtrace")).take(12)
}

/// Parses nextest's JUnit report: tags start at the beginning of a line, and the tests' output is escaped.
fn flaky(report: &str) -> Vec<Flaky> {
    let cases = report.split("<testcase ").skip(1);
    cases
        .filter_map(|case| {
            let (_, failed) = case.split_once("<flakyFailure ")?;
            let (failed, _) = failed.split_once("</flakyFailure>")?;
            let (_, said) = failed.split_once('>')?;
            Some(Flaky { name: attribute(case, "name")?, said: plain(said) })
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!("{name}=\""))?;
    Some(plain(value.split_once('"')?.0))
}

/// The text without tags and escapes.
fn plain(xml: &str) -> String {
    let text = xml.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    let text = text.collect::<Vec<_>>().join("");
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"<testsuites name="nextest-run">
    <testsuite name="bowline-tests::kill">
        <testcase name="fine" classname="bowline-tests::kill" time="0.047"/>
        <testcase name="s05_wavers" classname="bowline-tests::kill" time="0.009">
            <flakyFailure time="0.463" message="panicked at a.rs:2" type="test failure with exit code 101">panicked at a.rs:2:
first time a&quot;b &gt; 1
                <system-out>
out &lt;testcase name="x"&gt; &amp;amp;
</system-out>
            </flakyFailure>
        </testcase>
        <testcase name="fails" classname="bowline-tests::kill" time="0.583">
            <failure message="always" type="test failure">always</failure>
            <rerunFailure message="always" type="test failure">always</rerunFailure>
        </testcase>
    </testsuite>
</testsuites>"#;

    #[test]
    fn only_what_passed_the_second_time_is_flaky_and_its_first_failure_is_kept() {
        let [test] = flaky(REPORT).try_into().expect("one test");
        assert_eq!(test.name, "s05_wavers");
        assert!(test.said.starts_with("panicked at a.rs:2:\nfirst time a\"b > 1\n"), "{}", test.said);
        assert!(test.said.contains("out <testcase name=\"x\"> &amp;\n"), "{}", test.said);
        let said = format!("one\n\n  stack backtrace:\n{}", test.said);
        assert_eq!(beginning(&said).collect::<Vec<_>>(), ["one"]);
        let directory = tempfile::tempdir().expect("a directory");
        keep(&[Flaky { name: "a::b".into(), said: "first".into() }], directory.path()).expect("kept");
        assert_eq!(fs::read_to_string(directory.path().join("a-b.txt")).expect("the file"), "first");
    }
}
