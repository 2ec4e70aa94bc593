//! Access to a service: `--allow-ip` and `--basic-auth`.
//!
//! Rules are parsed at deploy and evaluated once per request. With both kinds, a request must satisfy both.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ring::{hmac, rand};

use crate::client_address::Ranges;

#[derive(Debug, Default)]
pub struct AccessRules {
    allowed: Option<Ranges>,
    users: Option<Users>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// The address is not allowed: 403.
    Forbidden,
    /// The credentials are missing or wrong: 401 with [`CHALLENGE`] as `WWW-Authenticate`.
    Unauthorized,
}

pub const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"Restricted\", charset=\"UTF-8\"");

impl AccessRules {
    /// Parses the values of `--allow-ip` and `--basic-auth`. The error names the flag.
    pub fn new(allow_ip: &[String], basic_auth: &[String]) -> Result<Self, String> {
        let allowed = match allow_ip {
            [] => None,
            ranges => Some(Ranges::parse(ranges).map_err(|e| format!("allow-ip: {e}"))?),
        };
        let users = match basic_auth {
            [] => None,
            pairs => Some(Users::new(pairs)?),
        };
        Ok(AccessRules { allowed, users })
    }

    /// Returns true if every request passes, so that the plane can skip the check.
    pub fn is_open(&self) -> bool {
        self.allowed.is_none() && self.users.is_none()
    }

    /// Returns true if the service requires a user. Its `Authorization` header then isn't passed to the target.
    pub fn has_users(&self) -> bool {
        self.users.is_some()
    }

    pub fn check(&self, client: IpAddr, authorization: Option<&HeaderValue>) -> Verdict {
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(client)) {
            return Verdict::Forbidden;
        }
        match &self.users {
            Some(users) if !users.accept(authorization) => Verdict::Unauthorized,
            _ => Verdict::Pass,
        }
    }
}

/// The accepted pairs of user and password. Only their keyed hashes are kept. Every check compares all of them, each
/// in constant time, so that timing reveals neither a pair's length nor its position.
struct Users {
    key: hmac::Key,
    tags: Vec<hmac::Tag>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Users({})", self.tags.len())
    }
}

impl Users {
    fn new(pairs: &[String]) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
            .map_err(|_| "basic-auth: the system provides no random numbers".to_owned())?;
        for pair in pairs {
            // The messages must not contain the pair, because they are logged.
            match pair.split_once(':') {
                Some(("", _)) => return Err("basic-auth: the user is missing in USER:PASSWORD".into()),
                Some((_, "")) => return Err("basic-auth: the password is missing in USER:PASSWORD".into()),
                Some(_) if pair.chars().any(char::is_control) => {
                    return Err("basic-auth: USER:PASSWORD contains a control character".into());
                }
                Some(_) => {}
                None => return Err("basic-auth: expected USER:PASSWORD".into()),
            }
        }
        let tags = pairs.iter().map(|pair| hmac::sign(&key, pair.as_bytes())).collect();
        Ok(Users { key, tags })
    }

    fn accept(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(pair) = authorization.and_then(|value| decode(value.as_bytes())) else {
            return false;
        };
        self.tags
            .iter()
            .fold(false, |found, tag| found | hmac::verify(&self.key, &pair, tag.as_ref()).is_ok())
    }
}

/// Extracts `USER:PASSWORD` from `Basic BASE64`.
fn decode(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    STANDARD.decode(credentials.trim_ascii()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    fn basic(pair: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).unwrap()
    }

    #[test]
    fn a_listed_address_passes() {
        let rules = AccessRules::new(&words(&["192.0.2.0/24", "2001:db8::1"]), &[]).unwrap();
        assert!(!rules.is_open());
        for (address, verdict) in [
            ("192.0.2.200", Verdict::Pass),
            ("::ffff:192.0.2.200", Verdict::Pass),
            ("192.0.3.1", Verdict::Forbidden),
            ("2001:db8::1", Verdict::Pass),
            ("2001:db8::2", Verdict::Forbidden),
        ] {
            assert_eq!(rules.check(address.parse().unwrap(), None), verdict, "{address}");
        }
    }

    #[test]
    fn a_known_user_passes() {
        let rules =
            AccessRules::new(&[], &words(&["ann:secret", "ben:with:colon", "çelik:pässword"])).unwrap();
        let client = "192.0.2.1".parse().unwrap();
        for pair in ["ann:secret", "ben:with:colon", "çelik:pässword"] {
            assert_eq!(rules.check(client, Some(&basic(pair))), Verdict::Pass, "{pair}");
        }
        let lower = HeaderValue::from_str(&format!("basic {}", STANDARD.encode("ann:secret"))).unwrap();
        assert_eq!(rules.check(client, Some(&lower)), Verdict::Pass);
        for pair in ["ann:", "ann:secre", "ann:secrets", "ben:secret", ":", "", "ann"] {
            assert_eq!(rules.check(client, Some(&basic(pair))), Verdict::Unauthorized, "{pair}");
        }
        for header in
            ["", "Basic", "Basic ", "Basic !!", "Bearer abc", "ann:secret", "Basic\tYW5uOnNlY3JldA=="]
        {
            let header = HeaderValue::from_str(header).unwrap();
            assert_eq!(rules.check(client, Some(&header)), Verdict::Unauthorized, "{header:?}");
        }
        assert_eq!(rules.check(client, None), Verdict::Unauthorized);
    }

    #[test]
    fn both_kinds_are_needed() {
        let rules = AccessRules::new(&words(&["192.0.2.1"]), &words(&["ann:secret"])).unwrap();
        let (inside, outside) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert_eq!(rules.check(outside, Some(&basic("ann:secret"))), Verdict::Forbidden);
        assert_eq!(rules.check(inside, None), Verdict::Unauthorized);
        assert_eq!(rules.check(inside, Some(&basic("ann:secret"))), Verdict::Pass);
    }

    #[test]
    fn nonsense_is_refused_without_showing_secrets() {
        for pair in ["", "secret", ":secret", "ann:", "ann:sec\nret"] {
            let error = AccessRules::new(&[], &words(&[pair])).unwrap_err();
            assert!(error.starts_with("basic-auth: "), "{error}");
            assert!(!error.contains("sec"), "{error}");
        }
        assert!(AccessRules::new(&words(&["192.0.2.0/33"]), &[]).unwrap_err().starts_with("allow-ip: "));
        let rules = AccessRules::new(&[], &words(&["ann:secret"])).unwrap();
        assert!(!format!("{rules:?}").contains("ann"));
    }

    #[test]
    fn survives_hostile_headers() {
        let rules = AccessRules::new(&[], &words(&["ann:secret"])).unwrap();
        let client = "192.0.2.1".parse().unwrap();
        let good = basic("ann:secret").as_bytes().to_vec();
        let mut random = crate::seeded::Random::new(1);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            random.mutate(&mut bytes);
            let Ok(header) = HeaderValue::from_bytes(&bytes) else { continue };
            let verdict = rules.check(client, Some(&header));
            let right = decode(&bytes).is_some_and(|pair| pair == b"ann:secret");
            assert_eq!(verdict == Verdict::Pass, right, "{header:?}");
        }
    }
}
