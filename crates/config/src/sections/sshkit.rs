//! `sshkit`: settings of the library through which Kamal reaches servers.

use crate::describe::{COUNT, Keys, Setting};

pub(crate) const KEYS: Keys = Keys::new(
    "sshkit",
    "The connections of Kamal's SSH library.",
    &[
        Setting::new("max_concurrent_starts", COUNT, "connections that are begun at once").default("30"),
        Setting::new("pool_idle_timeout", COUNT, "seconds until a connection that isn't used is closed")
            .default("900"),
        Setting::new("dns_retries", COUNT, "further tries where a name can't be resolved")
            .default("3")
            .kamal2(""),
    ],
)
.no_effect(
    "Bowline has limits of its own: 8 starts at once at one address, and connections that are kept alive",
);
