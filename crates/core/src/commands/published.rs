//! The ports that a container publishes on the server: whether they are free is asked before another one stops for it.

/// What a script exits with when they aren't; a line `@taken PORT/PROTOCOL WHO` says for each who has it, if that is
/// known. Nothing was stopped.
pub const PORT_TAKEN: u32 = 79;

const FUNCTIONS: &str = include_str!("published.sh");

/// Shell lines that end the script, after these for tidying up, if a port of the container `next` is had by anybody but
/// the container `old`. `next` was made and doesn't run. Both are quoted. They need [`super::ask::functions`].
pub(crate) fn free_or(next: &str, old: &str, tidy: &str) -> String {
    format!(
        "{FUNCTIONS}bowline_taken=$(taken {next} {old}) || exit\n\
         [ -z \"$bowline_taken\" ] || {{ printf '%s\\n' \"$bowline_taken\"; {tidy}; exit {PORT_TAKEN}; }}\n"
    )
}
