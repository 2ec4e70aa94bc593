//! Chooses the clients that get a rollout: listed values of the cookie `kamal-rollout`, and a share of the others.

use crate::state;

/// The cookie whose value decides.
pub const COOKIE: &str = "kamal-rollout";

#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    percentage: i64,
    split_point: f64,
    allowed: Vec<String>,
}

impl Split {
    /// `percentage` is the share of clients. The values in `allowed` always belong to it.
    pub fn new(percentage: i64, allowed: Vec<String>) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let split_point = percentage as f64 / 100.0 * f64::from(u32::MAX);
        Self { percentage, split_point, allowed }
    }

    /// Whether a client with this cookie value gets the rollout's targets.
    pub fn includes(&self, value: &str) -> bool {
        !value.is_empty()
            && (self.allowed.iter().any(|allowed| allowed == value)
                || f64::from(fnv1a(value.as_bytes())) <= self.split_point && self.percentage > 0)
    }

    pub fn to_file(&self) -> state::Rollout {
        state::Rollout {
            percentage: self.percentage,
            percentage_split_point: self.split_point,
            allowlist: self.allowed.clone(),
        }
    }

    pub fn of_file(rollout: &state::Rollout) -> Self {
        Self {
            percentage: rollout.percentage,
            split_point: rollout.percentage_split_point,
            allowed: rollout.allowlist.clone(),
        }
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_share_or_the_list() {
        let share = |percent| {
            let split = Split::new(percent, vec![]);
            (0..10_000).filter(|i| split.includes(&format!("user-{i}"))).count()
        };
        assert_eq!((share(0), share(100)), (0, 10_000));
        assert!((1_500..3_500).contains(&share(25)), "{}", share(25));
        let listed = Split::new(0, vec!["me".into()]);
        assert!(listed.includes("me") && !listed.includes("you") && !listed.includes(""));
        assert_eq!(Split::of_file(&listed.to_file()), listed);
    }
}
