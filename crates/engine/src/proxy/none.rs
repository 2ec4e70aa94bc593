//! No proxy: requests count as reaching a container while it runs.

use async_trait::async_trait;
use bowline_core::commands::app::IfHealthy;
use bowline_core::proxy::{Attach, Detach, Maintain};

use super::{Proxy, Seen, Serves, Target};
use crate::error::{Cause, Failure};
use crate::run::change::Done;

pub(super) struct NoProxy;

#[async_trait(?Send)]
impl Proxy for NoProxy {
    async fn ensure(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn attach(&self, _: &Attach, _: Target<'_>) -> Result<Seen, Cause> {
        Ok(Seen::Routed)
    }

    async fn detach(&self, _: &str, _: &Detach) -> Result<IfHealthy, Failure> {
        Ok(IfHealthy::Stop)
    }

    async fn maintain(&self, _: &str, _: &Maintain) -> Done {
        Ok(String::new())
    }

    async fn serves(&self) -> Serves {
        Serves::WhatRuns
    }
}
