//! `sshkit`: settings of Kamal's SSH library, which Bowline ignores.

use crate::describe::{COUNT, Keys, Setting};

pub(crate) const KEYS: Keys = Keys::new(
    "sshkit",
    "Settings of Kamal's SSH library.",
    &[
        Setting::new("max_concurrent_starts", COUNT, "how many connections to open at the same time")
            .default("30"),
        Setting::new("pool_idle_timeout", COUNT, "seconds until an unused connection closes").default("900"),
        Setting::new("dns_retries", COUNT, "how often to retry when a host name can't be resolved")
            .default("3")
            .kamal2(""),
    ],
)
.no_effect("Bowline starts at most 8 logins at a time at one address, keeps one connection to each server, and keeps it alive");
