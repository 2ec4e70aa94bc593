//! Ordered names and values.

use serde::{Serialize, Serializer};

/// The entries of a YAML map, in the order of the file.
pub type Pairs = Vec<(String, String)>;

/// Merges `over` into `base`: existing names are replaced in their place, new ones are appended.
pub fn merge_pairs(base: &Pairs, over: &Pairs) -> Pairs {
    let mut pairs = base.clone();
    for (name, value) in over {
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => old.clone_from(value),
            None => pairs.push((name.clone(), value.clone())),
        }
    }
    pairs
}

/// Removes duplicates. Each item keeps its first position.
pub fn unique<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// The value of a flag of `docker run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionValue {
    /// `true`: the bare flag.
    Flag,
    /// `--flag VALUE`.
    Value(String),
    /// The flag once for each value.
    List(Vec<String>),
}

impl OptionValue {
    pub fn values(&self) -> &[String] {
        match self {
            OptionValue::Flag => &[],
            OptionValue::Value(value) => std::slice::from_ref(value),
            OptionValue::List(values) => values,
        }
    }
}

impl Serialize for OptionValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            OptionValue::Flag => to.serialize_bool(true),
            OptionValue::Value(value) => to.serialize_str(value),
            OptionValue::List(values) => values.serialize(to),
        }
    }
}
