//! All rows of the matrix, each in a runtime of its own with time that stands still.

use std::future::Future;

use super::Row;
use super::replies;
use super::time;

pub(crate) fn all() -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for fault in replies::faults() {
        rows.push(alone(async { replies::at_first(&fault).await })?);
    }
    rows.push(alone(async {
        replies::at_renewal(&replies::faults()).await
    })?);
    rows.push(alone(time::cold_crowd())?);
    rows.push(alone(time::crossing())?);
    rows.push(alone(time::short_lives())?);
    rows.push(alone(time::same_token())?);
    rows.push(alone(time::revoked())?);
    rows.push(alone(time::always_401())?);
    rows.push(alone(time::one_route_401())?);
    rows.push(alone(time::late_401())?);
    rows.extend(alone(time::clocks())?);
    rows.push(alone(time::long_outage())?);
    rows.push(alone(time::crowd_while_down())?);
    Ok(rows)
}

/// One thread, and a clock that moves only while everybody waits.
fn alone<T>(row: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|cause| format!("no runtime: {cause}"))?;
    runtime.block_on(row)
}
