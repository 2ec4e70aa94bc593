//! `audit`: shows the audit log of every server.

use bowline_core::commands::audit;
use bowline_core::names::Names;
use bowline_core::plan::step::Step;
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::call::Call;
use crate::error::Result;
use crate::world::{Gathered, HostOutput};

pub async fn audit(call: Call<'_>, lines: usize) -> Result<Gathered> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let (fleet, mut failures) = call.connect(&selection.hosts).await?;
    let step = Step::Run("show the audit log", audit::tail(&Names::of(call.config()), lines));
    let hosts: Vec<&str> = selection.hosts.iter().copied().filter(|host| fleet.has(host)).collect();
    let results = join_all(hosts.iter().map(|host| fleet.run(host, None, &step))).await;
    let mut outputs = Vec::new();
    for (host, result) in hosts.into_iter().zip(results) {
        let output = fleet.report(result, &mut failures);
        outputs.extend(output.map(|output| HostOutput { host: host.into(), role: None, output }));
    }
    Ok(Gathered { outputs, failures, total: selection.hosts.len() })
}
