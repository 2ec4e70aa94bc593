//! The deploy lock: Kamal's directory with Kamal's details file, and beside it an owner and a lease.
//!
//! Whoever holds it keeps one program (the *keeper*) running on the server, whose standard input is the holder's
//! connection. Each line on it renews the lease. When the holder dies, its connection ends, and the keeper
//! marks the lock as orphaned at once; when the network dies, the lease runs out. Either lets the next run
//! take over. A lock without an owner file is Kamal's, or a person's: it is never taken.

use super::Scope;
use crate::names::Names;
use crate::shell::{Script, quote};

/// Seconds after which a lock whose lease was not renewed counts as dead.
pub const LEASE_S: u64 = 60;

/// Takes the lock and keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The run.
    pub scope: Scope,
    /// The details (three lines), as [`details`] gives them.
    pub details: String,
}

/// The text of the details file: who, since when, which version, why.
pub fn details(who: &str, time: &str, version: &str, message: &str) -> String {
    format!("Locked by: {who} at {time}\nVersion: {version}\nMessage: {message}")
}

/// Base64 as Kamal writes it: 60 characters a line.
fn base64_of(details: &str) -> String {
    format!("\"$(printf %s {} | base64 -w 60)\"", quote(details))
}

/// The permissions of a directory that a keeper has made, and nobody else makes: it can be told whose it is from the
/// moment it is there, though the server may stop before the owner is written down.
const MODE: &str = "711";

/// A shell function `make`, which makes the lock's directory with these options of `mkdir`; it fails if there is one. One
/// that is gone when it is looked at was given back in between, and then there is another try. What else keeps it from
/// being made ends the script.
fn make(lock: &str) -> String {
    format!(
        "make() {{\n\
         bowline_tries=20\n\
         until bowline_said=$(mkdir \"$@\" {lock} 2>&1); do\n\
         [ ! -d {lock} ] || return 1\n\
         [ $((bowline_tries -= 1)) -gt 0 ] || {{ printf '%s\\n' \"$bowline_said\" >&2; exit 1; }}\n\
         done\n\
         }}\n"
    )
}

/// A shell function `dead`: whether the lock's owner is known to be gone.
fn dead(lock: &str) -> String {
    format!(
        "age() {{ echo $(($(date +%s) - $(stat -c %Y \"$1\" 2>/dev/null || echo 0))); }}\n\
         dead() {{\n\
         if [ ! -f {lock}/owner ]; then\n\
         [ \"$(stat -c %a {lock} 2>/dev/null)\" = {MODE} ] && [ ! -e {lock}/details ] && [ \"$(age {lock})\" -gt {LEASE_S} ]\n\
         return\n\
         fi\n\
         [ ! -e {lock}/orphaned ] || return 0\n\
         [ \"$(age {lock}/lease)\" -gt {LEASE_S} ]\n\
         }}\n"
    )
}

impl Keep {
    /// Prints `@locked`, or `@taken DETAILS` (base64, the dead owner's) or `@held DETAILS` (whoever is just taking it
    /// gets a moment to write them) and ends. Then reads
    /// lines: any renews the lease, `release` gives the lock back (`@released`). Prints `@lost` and ends if the
    /// lock has another owner. A holder that is killed before it hears any of this leaves the lock orphaned, too: what it would
    /// have heard must not end the keeper. Errors go to standard output too: of a program that is kept nothing else is read. (A
    /// `printf` of its own tells why it can't write, the shell's says "I/O error" of a full disk.)
    pub fn script(&self) -> Script {
        let lock = quote(&self.scope.names.lock());
        let run = quote(&self.scope.run);
        Script::new(format!(
            "exec 2>&1\n\
             trap '' PIPE\n\
             {dead}mine() {{ [ \"$(cat {lock}/owner 2>/dev/null)\" = {run} ]; }}\n\
             before() {{ cat {lock}/details 2>/dev/null | base64 -d 2>/dev/null | base64 | tr -d '\\n'; }}\n\
             claim() {{ : > {lock}/lease && env printf '%s\\n' {run} > {lock}/owner && env printf '%s\\n' {details} > {lock}/details && rm -f {lock}/orphaned; }}\n\
             mkdir -p .kamal || exit\n\
             {make}if make -m {MODE}; then\n\
             claim || {{ rm -rf {lock}; exit 1; }}\n\
             echo @locked\n\
             else\n\
             [ $(($(date +%s) - $(stat -c %Y {lock}.takeover 2>/dev/null || date +%s))) -le {LEASE_S} ] || rmdir {lock}.takeover 2>/dev/null\n\
             bowline_old=$(before)\n\
             if dead && mkdir {lock}.takeover 2>/dev/null; then\n\
             if dead; then claim; bowline_took=$?; else bowline_took=1; fi\n\
             rmdir {lock}.takeover\n\
             else bowline_took=1; fi\n\
             if [ $bowline_took != 0 ]; then\n\
             bowline_tries=20\n\
             while {{ [ -d {lock}.takeover ] || [ -z \"$(before)\" ]; }} && [ $((bowline_tries -= 1)) -gt 0 ]; do sleep 0.1; done\n\
             echo \"@held $(before)\"; exit 0\n\
             fi\n\
             {audit}echo \"@taken $bowline_old\"\n\
             fi\n\
             while IFS= read -r bowline_line; do\n\
             mine || {{ echo @lost; exit 0; }}\n\
             if [ \"$bowline_line\" = release ]; then\n\
             mv {lock} {lock}.{run} || exit 1\n\
             rm -rf {lock}.{run}; echo @released; exit 0\n\
             fi\n\
             : > {lock}/lease\n\
             done\n\
             mine && : > {lock}/orphaned\n",
            dead = dead(&lock),
            make = make(&lock),
            details = base64_of(&self.details),
            audit = self.scope.audit(None, "Took over the deploy lock of a run that is gone"),
        ))
    }
}

/// Prints the details of the lock, or nothing.
pub fn status(names: &Names) -> Script {
    let lock = quote(&names.lock());
    Script::new(format!("[ ! -d {lock} ] || base64 -d < {lock}/details || [ ! -d {lock} ]"))
}

/// What [`acquire`] exits with when there is a lock.
pub const HELD: u32 = 77;

/// Takes the lock by hand: no owner, no lease, nobody takes it over.
pub fn acquire(names: &Names, text: &str) -> Script {
    let lock = quote(&names.lock());
    Script::new(format!(
        "mkdir -p .kamal || exit\n\
         {make}make || exit {HELD}\n\
         env printf '%s\\n' {} > {lock}/details || {{ rm -rf {lock}; exit 1; }}\n",
        base64_of(text),
        make = make(&lock),
    ))
}

/// Removes the lock, whoever holds it; prints `@none` if there was none.
pub fn release(names: &Names) -> Script {
    let lock = quote(&names.lock());
    Script::new(format!("[ -d {lock} ] || {{ echo @none; exit 0; }}\nrm -rf {lock}\n"))
}
