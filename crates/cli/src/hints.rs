//! Hints about what to do next on the command line. The engine provides the hints that belong to a failure.

use crate::args::CONFIG_FILE;
use crate::settings::Settings;
use crate::ui::clean;
use crate::ui::paint::Paint;

pub(crate) const AGAIN: &str = "some steps may be unfinished: run the command again to finish them";
pub(crate) const COMMANDS: &str = "`bowline help` lists them";
pub(crate) const CONFIRM: &str = "`-y` confirms it in advance";

/// The command line for these words with the same project and destination.
pub(crate) fn call(settings: &Settings, words: &str) -> String {
    let mut call = format!("bowline {words}");
    let flags = [
        ("-c", Some(&settings.config_file).filter(|file| *file != CONFIG_FILE)),
        ("-d", settings.destination.as_ref()),
    ];
    for (flag, value) in flags {
        if let Some(value) = value {
            let value = shlex::try_quote(value).unwrap_or_default();
            call.push_str(&format!(" {flag} {value}"));
        }
    }
    call
}

pub(crate) fn new_project(settings: &Settings) -> String {
    let check = call(settings, "doctor");
    format!("Now set the servers and the host name in {}, commit, and run `{check}`.", settings.config_file)
}

pub(crate) fn deploy_version(version: &str) -> String {
    format!("--version {version} deploys that version")
}

/// `release` is the command that releases the lock.
pub(crate) fn locked(release: &str, host: &str) -> String {
    format!("wait until it is released; if no deploy is running, run `{release} -h {host}`")
}

pub(crate) fn alias(name: &str, text: &str) -> String {
    format!("hint: `{name}` is an alias: {text}")
}

pub(crate) fn lines(hint: Option<&str>, paint: Paint) -> Vec<String> {
    clean::hanging(&format!("  {} ", paint.cyan("hint:")), hint.unwrap_or_default(), 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Globals;
    use crate::settings::Surroundings;

    #[test]
    fn a_hint_names_the_project_and_the_destination() {
        let around = Surroundings { drawable: false, colour_out: false, colour_err: false };
        let called = |globals: &Globals| call(&Settings::new(globals, &[], around), "lock release");
        let mut globals = Globals { config_file: "config/deploy.yml".into(), ..Globals::default() };
        assert_eq!(called(&globals), "bowline lock release");
        globals.config_file = "my app.yml".into();
        globals.destination = Some("staging".into());
        assert_eq!(called(&globals), "bowline lock release -c 'my app.yml' -d staging");
    }
}
