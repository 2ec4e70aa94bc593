//! Plays a made-up run into a view: `cargo run --example show -- [SERVERS] [broken] [ask] [query] [FLAGS]`.
//! The first Ctrl-C prints a message, the second ends the run. `ask` asks for a passphrase in the middle.

mod events;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bowline_cli::args::Globals;
use bowline_cli::exit::Ended;
use bowline_cli::settings::{Settings, Surroundings, Verbosity, View};
use bowline_cli::ui::prompt::Asker;
use bowline_cli::ui::{Focus, Follow, Screen, out, report};
use bowline_cli::{invocation, signals};
use bowline_engine::event::Events;
use bowline_engine::world::StopSignal;

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = |word: &str| words.iter().any(|other| other == word);
    let servers = words.iter().find_map(|word| word.parse().ok()).unwrap_or(4).max(3);
    let globals =
        Globals { verbose: given("-v"), quiet: given("-q"), json: given("--json"), ..Globals::default() };
    let settings = Settings::new(&globals, &[], Surroundings::look());
    let focus = if given("query") { Focus::Result } else { Focus::Progress };
    let screen = Screen::start(&settings, focus, Follow::No, || ());
    let handle = screen.handle();
    let (trigger, _stop) = StopSignal::new();
    signals::listen(Arc::new(trigger), screen.handle());
    for (number, (after, event)) in events::run(servers, given("broken")).into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(after)).await;
        handle.emit(event);
        if number == 15 && given("ask") {
            let asker = Asker::new(&handle);
            std::thread::spawn(move || asker.passphrase(Path::new("/home/anna/.ssh/id_ed25519")));
        }
    }
    let tally = screen.finish(!given("broken"));
    if given("broken") {
        invocation::conclude(&settings, Err(Ended::Run(events::error(servers))));
    } else if settings.view != View::Json && settings.verbosity != Verbosity::Quiet {
        out::stdout([report::success(&tally, settings.out)]);
    }
}
