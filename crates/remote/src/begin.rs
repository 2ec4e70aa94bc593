//! Finds the start of a program's own output, after anything that a login shell's start-up files print.

use bowline_core::shell::beginning;
use bowline_engine::ports::ServerError;

/// How many bytes of that earlier output to keep, for the error if the program never starts.
const KEPT: usize = 4 * 1024;

/// One output stream of a program, before and after the program's start.
#[derive(Debug)]
pub(crate) struct Begin {
    mark: Vec<u8>,
    before: Vec<u8>,
    begun: bool,
}

impl Begin {
    /// `word` is part of the program's command line, which prints it at its start.
    pub(crate) fn new(word: &str) -> Self {
        Self { mark: beginning(word).into_bytes(), before: Vec::new(), begun: false }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// The part of these bytes that the program itself wrote.
    pub(crate) fn own(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.begun {
            return bytes.to_vec();
        }
        self.before.extend_from_slice(bytes);
        let found = self.before.windows(self.mark.len()).position(|window| window == self.mark);
        let Some(at) = found else {
            let excess = self.before.len().saturating_sub(KEPT);
            self.before.drain(..excess);
            return Vec::new();
        };
        self.begun = true;
        let own = self.before.split_off(at + self.mark.len());
        self.before.truncate(at);
        own
    }

    fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.before);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }
}

#[derive(Debug)]
pub(crate) struct Begins {
    pub(crate) out: Begin,
    pub(crate) err: Begin,
}

impl Begins {
    pub(crate) fn new(word: &str) -> Self {
        Self { out: Begin::new(word), err: Begin::new(word) }
    }

    /// The error for a login shell that ended or stayed silent (`how`) before it ran the program.
    pub(crate) fn never(&self, how: &str) -> ServerError {
        let said = [self.err.said(), self.out.said()].into_iter().find(|said| !said.is_empty());
        let refused = said.as_deref().is_some_and(is_refusal);
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        let hint = if refused {
            "this user can log in but can't run commands: give it a shell there (`chsh -s /bin/sh USER`), or set `ssh: user:` to another"
        } else {
            "does a start-up file there (.bashrc, .zshenv, .cshrc, config.fish) end the shell or start another one (`exit`, \
             `exec zsh`)? Let it do so only at a terminal, or make that shell the login shell (`chsh`)"
        };
        ServerError::Unreachable {
            reason: format!("logged in, but the login shell {how} without running the command{said}"),
            hint: Some(hint.into()),
        }
    }
}

/// Whether this is the message of `nologin` or a similar program.
fn is_refusal(said: &str) -> bool {
    let said = said.to_lowercase();
    ["not available", "nologin", "not permitted", "not allowed", "disabled"]
        .iter()
        .any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_is_dropped_however_it_is_cut_up() {
        let all = b"Welcome\n@bowline- @bowline-abcown\noutput @bowline-abc";
        for cut in 0..all.len() {
            let mut begin = Begin::new("abc");
            let own = [begin.own(&all[..cut]), begin.own(&all[cut..])].concat();
            assert_eq!(own, b"own\noutput @bowline-abc", "cut at {cut}");
        }
        let mut begin = Begin::new("abc");
        for _ in 0..1000 {
            assert!(begin.own(&[b'x'; 1000]).is_empty());
        }
        assert!(begin.before.len() <= KEPT);
        assert_eq!(begin.own(b"@bowline-abc1"), b"1");
    }
}
