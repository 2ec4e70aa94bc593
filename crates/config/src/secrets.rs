//! Where a configuration names secrets, so that an error about a missing secret can point there.

use super::diagnostic::{Diagnostic, Diagnostics, Severity, Source, Span};
use super::pairs::unique;
use super::suggest::nearest;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SecretUse {
    pub(super) name: String,
    pub(super) span: Span,
}

/// All places that name a secret, and the files that they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUses {
    sources: Vec<Source>,
    uses: Vec<SecretUse>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSecret<'a> {
    pub name: &'a str,
    pub known: &'a [&'a str],
    /// What to do if the name is not a typo.
    pub help: &'a str,
}

/// How many more places to show for a name after the first one.
const OTHERS: usize = 3;

impl SecretUses {
    pub(super) fn new(sources: Vec<Source>, uses: Vec<SecretUse>) -> Self {
        Self { sources, uses }
    }

    /// Each name once, in the order of the files.
    pub fn names(&self) -> Vec<&str> {
        unique(self.uses.iter().map(|place| place.name.as_str()))
    }

    /// Reports missing secrets, with the places that name them.
    pub fn missing(&self, missing: &[MissingSecret<'_>], severity: Severity) -> Diagnostics {
        let items = missing.iter().map(|missing| self.one(missing, severity)).collect();
        Diagnostics::new(self.sources.clone(), items)
    }

    /// Reports a secret whose value is wrong, with the places that name it.
    pub fn wrong(&self, name: &str, message: &str, help: &str) -> Diagnostics {
        let item = self.about(name, message).help(help);
        Diagnostics::new(self.sources.clone(), vec![item])
    }

    /// An error at the places that name a secret.
    fn about(&self, name: &str, message: &str) -> Diagnostic {
        let mut places = self.uses.iter().filter(|place| place.name == name).map(|place| place.span);
        let span = places.next().unwrap_or(Span::whole(0));
        let item = Diagnostic::error(span, message).label("needed here");
        places.take(OTHERS).fold(item, |item, span| item.also(span, "and here"))
    }

    fn one(&self, missing: &MissingSecret<'_>, severity: Severity) -> Diagnostic {
        let message = format!("no secrets file defines `{}`", missing.name);
        let item = Diagnostic { severity, ..self.about(missing.name, &message) };
        match nearest(missing.name, missing.known.iter().copied()) {
            Some(near) => item.help(format!("did you mean `{near}`? otherwise {}", missing.help)),
            None => item.help(missing.help),
        }
    }
}
