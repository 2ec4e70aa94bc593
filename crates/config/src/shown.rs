//! How the types of the configuration serialize: in the form of the file, without secrets.
//!
//! [`super::show`] leaves out `null` and empty lists.

use std::time::Duration;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::secret::{REDACTED, is_secret_key};

/// Names and values. A value whose name sounds like a secret is hidden, because users put passwords there.
pub(super) struct Redacted<'a, V>(pub(super) &'a [(String, V)]);

impl<V: Serialize> Serialize for Redacted<'_, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return to.serialize_none();
        }
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match is_secret_key(name) {
                true => map.serialize_entry(name, REDACTED)?,
                false => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

pub(super) fn pairs<V: Serialize, S: Serializer>(pairs: &[(String, V)], to: S) -> Result<S::Ok, S::Error> {
    Redacted(pairs).serialize(to)
}

pub(super) fn seconds<S: Serializer>(
    duration: &(impl Into<Option<Duration>> + Copy),
    to: S,
) -> Result<S::Ok, S::Error> {
    (*duration).into().map(|duration| duration.as_secs()).serialize(to)
}

/// The name of a secret, in place of its value.
pub(super) fn secret(name: &str) -> String {
    format!("secret {name}")
}

pub(super) fn or_empty<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(text.as_deref().unwrap_or_default())
}

/// `:OPTIONS`, if there are any.
pub(super) fn suffix(options: Option<&str>) -> String {
    options.map(|options| format!(":{options}")).unwrap_or_default()
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
