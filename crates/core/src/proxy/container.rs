//! What the containers of all proxies have in common.

use crate::commands::answer;
use crate::commands::network::FAILED;
use crate::names::NETWORK;

/// Shell lines that define the functions of `container.sh`. They need [`crate::commands::ask::functions`].
pub(super) fn functions(name: &str) -> String {
    format!(
        "bowline_name={name} bowline_network={NETWORK} bowline_failed={FAILED}\n{}",
        answer::sent(include_str!("container.sh"))
    )
}
