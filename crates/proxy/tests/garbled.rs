//! Garbled files, commands and values: each is parsed or refused, and none crashes the proxy.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "tests")]

#[path = "../../core/tests/common/garble.rs"]
mod garble;
#[path = "common/properties.rs"]
mod properties;
#[path = "common/samples.rs"]
mod samples;

/// Checks a property with garbled samples, of which at least this many must still be readable.
fn holds(property: fn(&str) -> bool, samples: &[&str], at_least: u32) {
    let mut read = 0_u32;
    garble::each(samples, |text| read += u32::from(property(text)));
    assert!(read >= at_least, "only {read} were read");
}

#[test]
fn state_files() {
    holds(properties::state_file, &samples::STATES, 50);
}

#[test]
fn commands() {
    holds(properties::command, &samples::COMMANDS, 5);
}

#[test]
fn durations() {
    holds(properties::duration, &samples::DURATIONS, 50);
}

#[test]
fn what_operators_name() {
    holds(properties::name, &samples::NAMES, 20);
}

#[test]
fn changes_of_a_successor() {
    let changes = samples::changes();
    holds(properties::change, &changes.each_ref().map(String::as_str), 5);
}

#[test]
fn pages() {
    holds(properties::page, &samples::PAGES, 50);
}

#[test]
fn headers_of_the_proxy_protocol() {
    holds(properties::proxy_header, &samples::PROXY_HEADERS, 50);
}

#[test]
fn addresses_that_proxies_pass_on() {
    holds(properties::address, &samples::ADDRESSES, 50);
}

#[test]
fn headers_and_rules() {
    holds(properties::rule, &samples::RULES, 50);
}
