//! Asks a server how much of an image it already has: the number of lowest layers that it shares with an image in its Docker.

use std::fmt;
use std::str::FromStr;

use crate::commands::answer::{self, Unreadable};
use crate::shell::{Script, quote};

/// The layers of an image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Docker's name of it, such as `amd64`.
    pub architecture: String,
    /// Lowest first.
    pub layers: Vec<Layer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its uncompressed content.
    pub content: String,
    /// Its size in bytes as it is sent.
    pub size: u64,
}

/// Prints [`Held`]. Changes nothing.
pub fn held(images: &[Layers]) -> Script {
    let one = |image: &Layers| {
        let layers: Vec<&str> = image.layers.iter().map(|layer| layer.content.as_str()).collect();
        format!("{}) echo {} ;;\n", quote(&image.architecture), quote(&layers.join(" ")))
    };
    let images: String = images.iter().map(one).collect();
    let file = answer::sent(include_str!("layers.sh"));
    Script::new(format!("bowline_of() {{\ncase $1 in\n{images}*) ;;\nesac\n}}\n{file}"))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub architecture: String,
    /// The number of the image's layers, counted from the lowest.
    pub layers: usize,
}

impl FromStr for Held {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let line = answer::lines(text).find(|line| line.word == "held");
        let line = line.ok_or(Unreadable::Missing("@held"))?;
        let (architecture, layers) = line.rest.split_once(' ').ok_or_else(|| line.unknown())?;
        let layers = layers.parse().map_err(|_| line.unknown())?;
        Ok(Self { architecture: architecture.into(), layers })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@held {} {}", self.architecture, self.layers)
    }
}
