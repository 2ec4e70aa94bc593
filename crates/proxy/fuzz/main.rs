//! Fuzzes everything that the proxy parses, with libFuzzer. `FUZZ_TARGET` selects the parser.
#![no_main]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed property ends the fuzzer")]

use std::sync::LazyLock;

use bowline_proxy::plane::fuzzing;
use libfuzzer_sys::fuzz_target;

#[path = "../tests/common/properties.rs"]
mod properties;
#[path = "../tests/common/samples.rs"]
mod samples;

type Property = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

static TARGET: LazyLock<Property> = LazyLock::new(|| {
    let name = variable("FUZZ_TARGET");
    of_text(match name.as_str() {
        "state" => properties::state_file,
        "command" => properties::command,
        "change" => properties::change,
        "duration" => properties::duration,
        "name" => properties::name,
        "page" => properties::page,
        "proxy-header" => properties::proxy_header,
        "address" => properties::address,
        "rule" => properties::rule,
        "head" => return Box::new(fuzzing::head),
        "chunks" => return Box::new(fuzzing::chunks),
        _ => panic!("FUZZ_TARGET is {name:?}, see bin/fuzz"),
    })
});

/// Writes samples of real input to the corpus, for the fuzzer to start from.
fn write_samples() {
    let changes = samples::changes();
    let changes = changes.each_ref().map(String::as_str);
    let samples: &[&str] = match variable("FUZZ_TARGET").as_str() {
        "state" => &samples::STATES,
        "command" => &samples::COMMANDS,
        "change" => &changes,
        "duration" => &samples::DURATIONS,
        "name" => &samples::NAMES,
        "page" => &samples::PAGES,
        "proxy-header" => &samples::PROXY_HEADERS,
        "address" => &samples::ADDRESSES,
        "rule" => &samples::RULES,
        "head" => &samples::HEADS,
        _ => &samples::BODIES,
    };
    for (number, sample) in samples.iter().enumerate() {
        std::fs::write(format!("{}/sample-{number}", variable("FUZZ_CORPUS")), sample).unwrap();
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn of_text(property: fn(&str) -> bool) -> Property {
    Box::new(move |bytes| std::str::from_utf8(bytes).is_ok_and(property))
}

fuzz_target!(init: write_samples(), |bytes: &[u8]| {
    TARGET(bytes);
});
