//! The settings of `ssh_config` for the transport: local address, address family and algorithms.

use std::borrow::Cow;
use std::net::SocketAddr;

use russh::keys::Algorithm;
use russh::{Preferred, cipher, kex, mac};

use super::{Pairs, trouble};
use crate::Result;

/// Keywords that list algorithms.
pub(super) const LISTS: [&str; 4] = ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) family: Family,
    /// `BindAddress`.
    pub(crate) address: Option<String>,
    /// `BindInterface`.
    pub(crate) interface: Option<String>,
}

/// `AddressFamily`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Family {
    #[default]
    Any,
    Inet,
    Inet6,
}

impl Ends {
    pub(super) fn read(pairs: &Pairs) -> Self {
        let family = match pairs.first("addressfamily") {
            Some("inet") => Family::Inet,
            Some("inet6") => Family::Inet6,
            _ => Family::Any,
        };
        let text = |key| pairs.some(key).map(str::to_owned);
        Self { family, address: text("bindaddress"), interface: text("bindinterface") }
    }

    pub(crate) fn fitting(&self, host: &str, all: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
        let (version, family) = match self.family {
            Family::Any => return Ok(all),
            Family::Inet => (4, "inet"),
            Family::Inet6 => (6, "inet6"),
        };
        let fitting: Vec<SocketAddr> =
            all.into_iter().filter(|address| address.is_ipv4() == (version == 4)).collect();
        if fitting.is_empty() {
            return Err(trouble(format!(
                "{host} has no IPv{version} address, and AddressFamily is `{family}`"
            )));
        }
        Ok(fitting)
    }
}

/// The allowed algorithms, best first. `None` where the configuration sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Algorithms {
    ciphers: Option<Vec<String>>,
    macs: Option<Vec<String>>,
    kex: Option<Vec<String>>,
    host_keys: Option<Vec<String>>,
}

impl Algorithms {
    pub(super) fn read(pairs: &Pairs) -> Self {
        let list = |key| pairs.first(key).map(|list| list.split(',').map(str::to_owned).collect());
        let [ciphers, macs, kex, host_keys] = LISTS.map(list);
        Self { ciphers, macs, kex, host_keys }
    }

    /// The algorithms for a connection. `keys` are the types of host keys, best first.
    pub(crate) fn preferred(&self, keys: Vec<Algorithm>) -> Result<Preferred> {
        let default = Preferred::DEFAULT;
        let mut exchange =
            chosen("KexAlgorithms", self.kex.as_deref(), default.kex, |name| kex::Name::try_from(name).ok())?;
        if self.kex.is_some() {
            // Pseudo-algorithms that announce extensions.
            let marks = Preferred::DEFAULT.kex;
            let marks = marks
                .iter()
                .filter(|name| ["ext-", "kex-"].iter().any(|mark| name.as_ref().starts_with(mark)));
            exchange.to_mut().extend(marks.copied());
        }
        let key = |name: &str| keys.iter().find(|key| key.as_str() == name).cloned();
        let allowed = chosen("HostKeyAlgorithms", self.host_keys.as_deref(), keys.clone().into(), key)?;
        let ours = keys.iter().filter(|key| allowed.contains(key)).cloned();
        Ok(Preferred {
            kex: exchange,
            key: ours.collect(),
            cipher: chosen("Ciphers", self.ciphers.as_deref(), default.cipher, |name| {
                cipher::Name::try_from(name).ok()
            })?,
            mac: chosen("MACs", self.macs.as_deref(), default.mac, |name| mac::Name::try_from(name).ok())?,
            ..default
        })
    }
}

fn chosen<T: Clone>(
    keyword: &str,
    list: Option<&[String]>,
    default: Cow<'static, [T]>,
    find: impl Fn(&str) -> Option<T>,
) -> Result<Cow<'static, [T]>> {
    let Some(list) = list else { return Ok(default) };
    let found: Vec<T> = list.iter().filter_map(|name| find(name)).collect();
    if found.is_empty() {
        return Err(trouble(format!("none of the {keyword} is supported: {}", list.join(","))));
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(text: &str) -> Result<Preferred, String> {
        let algorithms = Algorithms::read(&Pairs(super::super::pairs(text)));
        algorithms.preferred(Preferred::DEFAULT.key.into_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn of_the_algorithms_that_are_named_those_are_used_that_there_are() {
        let chosen = preferred(
            "ciphers aes256-ctr,arcfour,aes128-ctr\nmacs umac-64@openssh.com,hmac-sha2-512\n\
             kexalgorithms sntrup761x25519-sha512,curve25519-sha256\nhostkeyalgorithms rsa-sha2-512,ssh-ed25519\n",
        )
        .unwrap();
        assert_eq!(*chosen.cipher, [cipher::AES_256_CTR, cipher::AES_128_CTR]);
        assert_eq!(*chosen.mac, [mac::HMAC_SHA512]);
        assert_eq!(chosen.kex[0], kex::CURVE25519);
        assert!(chosen.kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT), "{:?}", chosen.kex);
        let keys: Vec<&str> = chosen.key.iter().map(Algorithm::as_str).collect();
        assert_eq!(keys, ["ssh-ed25519", "rsa-sha2-512"], "what is known of the host comes first");
        assert_eq!(preferred("").unwrap().cipher, Preferred::DEFAULT.cipher);
    }

    #[test]
    fn a_list_of_which_nothing_is_supported_is_an_error() {
        for (list, keyword) in [
            ("ciphers arcfour", "Ciphers"),
            ("macs umac-64@openssh.com", "MACs"),
            ("kexalgorithms sntrup761x25519-sha512", "KexAlgorithms"),
            ("hostkeyalgorithms ssh-dss", "HostKeyAlgorithms"),
        ] {
            let error = preferred(list).unwrap_err();
            let names = list.split_once(' ').unwrap().1;
            assert_eq!(error, format!("none of the {keyword} is supported: {names}"));
        }
    }

    #[test]
    fn addresses_of_the_other_family_are_left_out() {
        let all = || vec!["192.0.2.1:22".parse().unwrap(), "[2001:db8::1]:22".parse().unwrap()];
        let fitting = |text: &str, all: Vec<SocketAddr>| {
            let ends = Ends::read(&Pairs(super::super::pairs(text)));
            ends.fitting("web", all).map_err(|error| error.to_string())
        };
        assert_eq!(fitting("addressfamily any", all()).unwrap(), all());
        assert_eq!(fitting("addressfamily inet", all()).unwrap(), all()[..1]);
        assert_eq!(fitting("addressfamily inet6", all()).unwrap(), all()[1..]);
        assert_eq!(
            fitting("addressfamily inet6", all()[..1].to_vec()),
            Err("web has no IPv6 address, and AddressFamily is `inet6`".into())
        );
    }
}
