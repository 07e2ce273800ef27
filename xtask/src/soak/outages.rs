//! Token server and upstream killed and started again under load: what could have been served was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::task::JoinSet;

use super::calls::{Caller, nothing, some};
use super::gateway::Gateway;
use super::servers::Server;

const CALLERS: usize = 32;

/// What the callers see, and may expect.
#[derive(Default)]
struct World {
    over: AtomicBool,
    /// Odd while the upstream serves; another number each time it begins or ends to.
    serving: AtomicUsize,
    served: AtomicUsize,
    /// Could not be served: the upstream was away, at some moment of the call.
    missed: AtomicUsize,
}

/// Kills the servers again and again for so long; tells what came of it.
pub(super) async fn run(
    gateway: &Gateway,
    tokens: &mut Server,
    model: &mut Server,
    length: Duration,
) -> Result<String, String> {
    let world = Arc::new(World::default());
    world.serving.store(1, Ordering::SeqCst);
    let before = gateway.metric("gatepass_token_exchanges_total").await?;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(calls(gateway.port, number, Arc::clone(&world)));
    }
    let mut middle = None;
    let end = tokio::time::Instant::now() + length;
    let half = tokio::time::Instant::now() + length / 2;
    let mut kills = [0; 2];
    while tokio::time::Instant::now() < end {
        let pause = |from: u64, to: u64| Duration::from_millis(fastrand::u64(from..to));
        tokio::time::sleep(pause(200, 900)).await;
        if fastrand::bool() {
            tokens.kill();
            tokio::time::sleep(pause(50, 1200)).await;
            tokens.start().await?;
            kills[0] += 1;
        } else {
            world.serving.fetch_add(1, Ordering::SeqCst);
            model.kill();
            tokio::time::sleep(pause(50, 600)).await;
            model.start().await?;
            world.serving.fetch_add(1, Ordering::SeqCst);
            kills[1] += 1;
        }
        if middle.is_none() && tokio::time::Instant::now() > half {
            middle = Some(gateway.gauge()?);
        }
    }
    world.over.store(true, Ordering::SeqCst);
    while let Some(one) = callers.join_next().await {
        one.map_err(|cause| cause.to_string())??;
    }
    gateway.settled().await?;
    let after = gateway.gauge()?;
    let middle = middle.unwrap_or(after);
    let exchanges = gateway.metric("gatepass_token_exchanges_total").await? - before;
    let served = world.served.load(Ordering::SeqCst);
    let missed = world.missed.load(Ordering::SeqCst);
    if after.kib > middle.kib + middle.kib / 5 + 4096 {
        let (from, to) = (middle.kib, after.kib);
        return Err(format!(
            "memory grew from {from} to {to} KiB in the second half"
        ));
    }
    if after.files > middle.files + 64 || after.threads > middle.threads {
        return Err(format!(
            "something is left over: {middle:?}, then {after:?}"
        ));
    }
    if served < 100 {
        return Err(format!("only {served} calls were served"));
    }
    Ok(format!(
        "{} s with the token server killed {} times and the upstream {} times: {served} calls served, {missed} met an \
         upstream that was away, 0 lost; {exchanges} tokens obtained; memory {:.1} MiB at half time, {:.1} MiB at the end; \
         open files {} and {}, threads {} and {}",
        length.as_secs(),
        kills[0],
        kills[1],
        middle.kib as f64 / 1024.0,
        after.kib as f64 / 1024.0,
        middle.files,
        after.files,
        middle.threads,
        after.threads,
    ))
}

/// One caller, until it is over; an error is a call that was lost.
async fn calls(port: u16, number: usize, world: Arc<World>) -> Result<(), String> {
    let mut caller = Caller::to(port).await?;
    let mut turn = number;
    while !world.over.load(Ordering::SeqCst) {
        turn += 1;
        let (method, path, body) = match turn % 3 {
            0 => (Method::GET, "/m/call", nothing()),
            1 => (Method::POST, "/m/call", some(4096)),
            _ => (Method::GET, "/m/bytes/200000", nothing()),
        };
        let before = world.serving.load(Ordering::SeqCst);
        let answer = caller.call(method.clone(), path, body).await;
        let after = world.serving.load(Ordering::SeqCst);
        let all_the_time = before == after && before % 2 == 1;
        match answer {
            Ok((StatusCode::OK, length, _)) => {
                if path.ends_with("200000") && length != 200_000 {
                    return Err(format!("{length} bytes looked like a whole answer"));
                }
                world.served.fetch_add(1, Ordering::Relaxed);
            }
            Ok((status, _, why)) if all_the_time => {
                let why = String::from_utf8_lossy(&why).into_owned();
                return Err(format!("{method} {path} was lost: {status} {why}"));
            }
            Err(why) if all_the_time => return Err(format!("{method} {path} was lost: {why}")),
            Ok((StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT, ..)) => {
                world.missed.fetch_add(1, Ordering::Relaxed);
                // As a program would, and so that an outage is not counted a thousand times.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok((status, _, why)) => {
                let why = String::from_utf8_lossy(&why).into_owned();
                return Err(format!("{method} {path}: {status} {why}"));
            }
            // A torn answer tears the caller's connection.
            Err(_) => {
                world.missed.fetch_add(1, Ordering::Relaxed);
                caller = Caller::to(port).await?;
            }
        }
    }
    Ok(())
}
