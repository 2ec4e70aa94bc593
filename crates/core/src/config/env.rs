//! `env`: variables of a container, in clear or from the secrets file.

/// A secret variable: its name in the container and the secret it takes its value from (`NAME` or `NAME:SOURCE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// The variable in the container.
    pub name: String,
    /// The key in the secrets file.
    pub source: String,
}

/// An env in the full format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env {
    /// Variables whose values stand in the configuration, in its order.
    pub clear: super::Pairs,
    /// Variables whose values come from the secrets file.
    pub secret: Vec<SecretRef>,
}

impl Env {
    /// Lays `over` on top: a variable it names replaces this one's, in place; new ones follow at the end.
    pub fn merge(&mut self, over: &Env) {
        for (name, value) in &over.clear {
            self.secret.retain(|secret| secret.name != *name);
            match self.clear.iter_mut().find(|(known, _)| known == name) {
                Some((_, old)) => old.clone_from(value),
                None => self.clear.push((name.clone(), value.clone())),
            }
        }
        for secret in &over.secret {
            self.clear.retain(|(name, _)| *name != secret.name);
            match self.secret.iter_mut().find(|known| known.name == secret.name) {
                Some(old) => old.clone_from(secret),
                None => self.secret.push(secret.clone()),
            }
        }
    }
}
