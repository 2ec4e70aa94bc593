//! No proxy: a container gets requests as soon as it runs, if it takes any, and until it stops.

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
