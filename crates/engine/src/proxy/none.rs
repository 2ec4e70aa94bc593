//! No proxy: a container counts as reached while it runs.

use async_trait::async_trait;
use bowline_core::commands::app::IfHealthy;
use bowline_core::proxy::{Attach, Detach};

use super::{Proxy, Seen, Serves, Target};
use crate::error::{Cause, Failure};
use crate::maintenance::Page;
use crate::run::change::{Change, Place, Told};

/// No proxy.
pub(super) struct NoProxy;

#[async_trait(?Send)]
impl Proxy for NoProxy {
    fn runs(&self) -> bool {
        true
    }

    async fn ensure(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn attach(&self, _: &Attach, _: Target<'_>) -> Result<Seen, Cause> {
        Ok(Seen::Routed)
    }

    async fn detach(&self, _: &str, _: &Detach) -> Result<IfHealthy, Failure> {
        Ok(IfHealthy::Stop)
    }

    async fn pause(&self, _: &Change<'_>, _: Place<'_>, _: &Page) -> Told {
        Ok(String::new())
    }

    async fn resume(&self, _: &Change<'_>, _: Place<'_>) -> Told {
        Ok(String::new())
    }

    async fn serves(&self) -> Serves {
        Serves::WhatRuns
    }
}
