//! The answers of the scripts for a proxy's container and the maintenance pages.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::commands::answer::{Unreadable, lines};
use crate::commands::policy::Returns;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the container was created.
    pub made: bool,
    /// Whether the previous one was started again.
    pub back: bool,
    /// For how many milliseconds no proxy accepted requests, as measured on the server.
    pub gap_ms: Option<u64>,
    /// The addresses on the network `kamal`.
    pub addresses: Vec<IpAddr>,
    /// Names of the containers or services that still need the proxy, so that it wasn't removed, for display.
    pub kept: Option<String>,
    /// The restart policy of a stopped proxy, if it couldn't be changed.
    pub returns: Returns,
}

impl Answer {
    /// The address, for an answer about a single container.
    pub fn address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(answer: &str) -> Result<Self, Unreadable> {
        let mut read = Self { returns: answer.parse()?, ..Self::default() };
        for line in lines(answer) {
            match line.word {
                "made" => read.made = true,
                "back" => read.back = true,
                "gap" => read.gap_ms = Some(line.value()?),
                "address" => read.addresses.extend(addresses(line.rest)),
                "kept" => read.kept = Some(line.some()?.to_owned()),
                _ => {}
            }
        }
        Ok(read)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.made {
            writeln!(f, "@made")?;
        }
        if self.back {
            writeln!(f, "@back")?;
        }
        self.gap_ms.iter().try_for_each(|gap| writeln!(f, "@gap {gap}"))?;
        self.addresses.iter().try_for_each(|address| writeln!(f, "@address {address}"))?;
        self.kept.iter().try_for_each(|names| writeln!(f, "@kept {names}"))?;
        self.returns.fmt(f)
    }
}

/// Parses a list of addresses. Docker prints other words for a container without one.
pub(crate) fn addresses(list: &str) -> impl Iterator<Item = IpAddr> {
    list.split_whitespace().filter_map(|address| address.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let address: IpAddr = "172.18.0.2".parse().unwrap();
        let answers = [
            Answer::default(),
            Answer { made: true, gap_ms: Some(7), addresses: vec![address], ..Answer::default() },
            Answer {
                back: true,
                kept: Some("shop-web-1 blog".into()),
                returns: Returns(Some("always".into())),
                ..Answer::default()
            },
        ];
        for answer in answers {
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
    }

    #[test]
    fn a_container_without_an_address_has_none() {
        assert_eq!("@address invalid IP\n@address \n".parse(), Ok(Answer::default()));
        assert!("@kept \n".parse::<Answer>().is_err());
    }
}
