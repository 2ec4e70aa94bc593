//! No proxy: a container accepts requests directly, if at all, for as long as it runs.

use super::{Opens, Rules};

pub(super) struct NoProxy;

impl Rules for NoProxy {
    fn name(&self) -> &'static str {
        "no proxy"
    }

    fn opens(&self) -> Opens {
        Opens::Attached
    }
}
