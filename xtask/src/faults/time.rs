//! Faults that take time: load, rejections, clocks, an issuer that repeats itself.

use std::collections::BTreeSet;
use std::time::Duration;

use gatepass_core::Clock;
use gatepass_testkit::Reply;
use tokio::time::Instant;

use super::Row;
use super::world::{World, pass, shown};

const SECOND: Duration = Duration::from_secs(1);

fn row(
    fault: &'static str,
    known_from: &'static str,
    saw: String,
    world: &World,
    recovered: Option<Duration>,
    mut wrong: Vec<String>,
) -> Row {
    wrong.extend(world.common_faults());
    Row {
        fault,
        known_from,
        callers_saw: saw,
        requests: world.tokens.requests(),
        recovered: recovered.map_or("-".to_owned(), shown),
        wrong,
    }
}

fn expect(wrong: &mut Vec<String>, right: bool, what: impl Into<String>) {
    if !right {
        wrong.push(what.into());
    }
}

/// The most exchanges there may be while none fails: one, and one for each earliest soft deadline.
fn bound(elapsed: Duration, earliest_soft: f64) -> usize {
    let more = elapsed.as_secs_f64() / earliest_soft.max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    let more = more as usize;
    1 + more
}

pub(crate) async fn cold_crowd() -> Result<Row, String> {
    let world = World::new(3600)?;
    let _slow = world
        .tokens
        .clone()
        .answers_after(Duration::from_millis(300));
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.send().await.is_ok() })
        })
        .collect();
    pass(Duration::from_millis(100)).await;
    let (mut served, mut failed) = (0, 0);
    for (number, call) in calls.into_iter().enumerate() {
        if number % 10 != 9 {
            call.abort();
            continue;
        }
        match call.await {
            Ok(true) => served += 1,
            _ => failed += 1,
        }
    }
    let mut wrong = Vec::new();
    expect(
        &mut wrong,
        served == 1000 && failed == 0,
        format!("{served} served, {failed} failed"),
    );
    expect(
        &mut wrong,
        world.tokens.requests() == 1,
        "more than one exchange",
    );
    let saw = "9,000 went away midway, 1,000 served".to_owned();
    Ok(row(
        "10,000 callers at once, nothing held",
        "B9, moka",
        saw,
        &world,
        None,
        wrong,
    ))
}

/// Thousands of calls a second across fifty lifetimes of 5 s.
pub(crate) async fn crossing() -> Result<Row, String> {
    let world = World::new(5)?;
    world.send().await.map_err(|error| error.to_string())?;
    let start = Instant::now();
    let (mut failed, mut waits, mut stale) = (0, 0, 0);
    for _ in 0..50 * 5 * 100 {
        for _ in 0..20 {
            let before = Instant::now();
            match world.send().await {
                Ok(sent) => stale += usize::from(!world.tokens.accepts(&sent.token)),
                Err(_) => failed += 1,
            }
            waits += usize::from(before != Instant::now());
        }
        pass(Duration::from_millis(10)).await;
    }
    let mut wrong = Vec::new();
    expect(
        &mut wrong,
        (failed, waits, stale) == (0, 0, 0),
        format!("{failed} failed, {waits} waited, {stale} stale"),
    );
    let most = bound(start.elapsed(), 3.25 - 0.1875);
    expect(
        &mut wrong,
        world.tokens.requests() <= most,
        format!("more than {most} exchanges"),
    );
    let saw = "500,000 calls: 0 failed, 0 waited, 0 with an expired token".to_owned();
    Ok(row(
        "load across 50 lifetimes of 5 s, 2,000 calls/s",
        "B7, B8, B12",
        saw,
        &world,
        None,
        wrong,
    ))
}

/// A short or absent life: no call fails, an exchange a second at most.
pub(crate) async fn short_lives() -> Result<Row, String> {
    let (mut requests, mut wrong) = (0, Vec::new());
    let mut last = None;
    for lifetime in ["0", "1", "-1", "2"] {
        let world = World::new(3600)?;
        let body = format!(
            "{{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":{lifetime}}}"
        );
        world.tokens.always(Reply::json(body));
        let start = Instant::now();
        let mut failed = 0;
        while start.elapsed() < 30 * SECOND {
            failed += usize::from(world.send().await.is_err());
            pass(Duration::from_millis(50)).await;
        }
        expect(
            &mut wrong,
            failed == 0,
            format!("expires_in {lifetime}: {failed} failed"),
        );
        expect(
            &mut wrong,
            world.tokens.requests() <= 32,
            format!(
                "expires_in {lifetime}: {} exchanges",
                world.tokens.requests()
            ),
        );
        requests = requests.max(world.tokens.requests());
        wrong.extend(world.common_faults());
        last = Some(world);
    }
    let world = last.ok_or("no world")?;
    let mut row = row(
        "`expires_in` 0, 1, -1, 2 for ever, 30 s of calls",
        "B19, Envoy",
        "no failed call".to_owned(),
        &world,
        None,
        wrong,
    );
    row.requests = requests;
    Ok(row)
}

/// An issuer that hands out the same token, near its end, again and again.
pub(crate) async fn same_token() -> Result<Row, String> {
    let world = World::new(3600)?;
    let mut left = 60;
    let mut wrong = Vec::new();
    let reply = |left: u64| {
        Reply::json(format!(
            "{{\"access_token\":\"same\",\"token_type\":\"bearer\",\"expires_in\":{left}}}"
        ))
    };
    world.tokens.always(reply(left));
    for _ in 0..40 {
        expect(&mut wrong, world.send().await.is_ok(), "a call failed");
        pass(SECOND).await;
        left -= 1;
        world.tokens.always(reply(left));
    }
    expect(
        &mut wrong,
        world.tokens.requests() <= 20,
        format!("{} exchanges", world.tokens.requests()),
    );
    wrong.dedup();
    Ok(row(
        "the same near-expiry token again and again",
        "B5",
        "no failed call".to_owned(),
        &world,
        None,
        wrong,
    ))
}

/// A thousand calls in flight when a token is revoked.
pub(crate) async fn revoked() -> Result<Row, String> {
    let world = World::new(3600)?;
    world.send().await.map_err(|error| error.to_string())?;
    pass(2 * SECOND).await;
    world.tokens.revoke_all();
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.call(false).await })
        })
        .collect();
    let mut most = 0;
    let mut wrong = Vec::new();
    for call in calls {
        match call.await {
            Ok(Ok((200, sends))) => most = most.max(sends),
            other => wrong.push(format!(
                "{:?}",
                other.map(|result| result.map_err(|error| error.to_string()))
            )),
        }
    }
    wrong.dedup();
    expect(&mut wrong, most <= 2, "replayed more than once");
    expect(
        &mut wrong,
        world.tokens.requests() == 2,
        "more than one renewal",
    );
    let saw = "1,000 served, each sent twice at most".to_owned();
    Ok(row(
        "a revoked token, 1,000 calls in flight",
        "B11, storms",
        saw,
        &world,
        None,
        wrong,
    ))
}

/// An upstream that says 401 whatever comes.
pub(crate) async fn always_401() -> Result<Row, String> {
    let world = World::new(3600)?;
    let mut wrong = Vec::new();
    let (mut sends, mut calls) = (0, 0);
    for _ in 0..600 {
        match world.call(true).await {
            Ok((401, count)) => sends += count,
            other => wrong.push(format!("{:?}", other.map_err(|error| error.to_string()))),
        }
        calls += 1;
        pass(SECOND).await;
    }
    wrong.dedup();
    // Backoff of 1, 2, 4 .. 60 s within ten minutes.
    expect(
        &mut wrong,
        world.tokens.requests() <= 20,
        format!("{} exchanges", world.tokens.requests()),
    );
    let saw = format!("401, as it came; {calls} calls sent {sends} times");
    Ok(row(
        "an upstream that answers 401 for ever, 10 min",
        "gravitino",
        saw,
        &world,
        None,
        wrong,
    ))
}

/// One route says 401 for ever, another takes the same token.
pub(crate) async fn one_route_401() -> Result<Row, String> {
    let world = World::new(3600)?;
    let mut wrong = Vec::new();
    let mut stalled = 0;
    for _ in 0..600 {
        let refused = world.call(true).await;
        expect(
            &mut wrong,
            matches!(refused, Ok((401, _))),
            "the refusing route got something else",
        );
        let before = Instant::now();
        let served = world.call(false).await;
        expect(
            &mut wrong,
            matches!(served, Ok((200, 1))),
            "the good route suffered",
        );
        stalled += usize::from(before != Instant::now());
        pass(SECOND).await;
    }
    wrong.dedup();
    expect(
        &mut wrong,
        world.tokens.requests() <= 20,
        format!("{} exchanges", world.tokens.requests()),
    );
    let saw = format!("401 on the one, 200 on the other; {stalled} of 600 good calls waited");
    Ok(row(
        "one route answers 401 for ever, 10 min",
        "gravitino",
        saw,
        &world,
        None,
        wrong,
    ))
}

/// Late 401s of a token that was replaced long ago.
pub(crate) async fn late_401() -> Result<Row, String> {
    let world = World::new(60)?;
    let old = world.send().await.map_err(|error| error.to_string())?;
    pass(58 * SECOND).await;
    let fresh = world.send().await.map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    for _ in 0..10 {
        world.reject(&old).await;
    }
    let after = world.send().await.map_err(|error| error.to_string())?;
    expect(
        &mut wrong,
        after.token == fresh.token,
        "a fresh token was dropped",
    );
    expect(
        &mut wrong,
        world.tokens.requests() == 2,
        "an exchange too many",
    );
    Ok(row(
        "ten late 401s of a token that was replaced",
        "B11",
        "the fresh token".to_owned(),
        &world,
        None,
        wrong,
    ))
}

async fn clock(fault: &'static str, seconds: i64, want_exchange: bool) -> Result<Row, String> {
    let world = World::new(3600)?;
    world.send().await.map_err(|error| error.to_string())?;
    pass(10 * SECOND).await;
    world.clock.move_wall(seconds);
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..4000 {
        match world.send().await {
            Ok(sent) => {
                seen.insert(sent.token.clone());
                // The issuer's own time is the monotonic one: it did not jump.
                if world.clock.now().monotonic() > Duration::from_secs(3600) && seen.len() == 1 {
                    wrong.push("used past its end".to_owned());
                }
            }
            Err(error) => wrong.push(format!("a call failed: {error}")),
        }
        pass(SECOND).await;
    }
    wrong.dedup();
    let most = if want_exchange { 4 } else { 3 };
    expect(
        &mut wrong,
        world.tokens.requests() <= most,
        format!("{} exchanges", world.tokens.requests()),
    );
    expect(&mut wrong, world.tokens.requests() >= 2, "never renewed");
    Ok(row(
        fault,
        "B6, suspend",
        "no failed call".to_owned(),
        &world,
        None,
        wrong,
    ))
}

pub(crate) async fn clocks() -> Result<Vec<Row>, String> {
    Ok(vec![
        clock("the wall clock jumps an hour ahead", 3600, true).await?,
        clock("the wall clock jumps ten years ahead", 315_360_000, true).await?,
        clock("the wall clock jumps an hour back", -3600, false).await?,
        clock("the wall clock jumps ten years back", -315_360_000, false).await?,
        clock("the machine sleeps for half a life", 1800, false).await?,
    ])
}

/// Down for a long while, with callers all the time: asked seldom, and found again soon.
pub(crate) async fn long_outage() -> Result<Row, String> {
    let world = World::new(60)?;
    world.send().await.map_err(|error| error.to_string())?;
    world.tokens.always(Reply::status(503));
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    while start.elapsed() < 3600 * SECOND {
        let before = Instant::now();
        let _served_or_not = world.send().await;
        longest = longest.max(before.elapsed());
        pass(Duration::from_millis(500)).await;
    }
    let asked = world.tokens.requests();
    world.tokens.heal();
    let healed = Instant::now();
    while world.send().await.is_err() && healed.elapsed() < 100 * SECOND {
        pass(Duration::from_millis(100)).await;
    }
    let mut wrong = Vec::new();
    expect(
        &mut wrong,
        healed.elapsed() <= 16 * SECOND,
        "recovered late",
    );
    expect(
        &mut wrong,
        asked <= 3600 / 7,
        format!("asked {asked} times in an hour"),
    );
    expect(
        &mut wrong,
        longest <= Duration::from_millis(2_200),
        format!("a caller waited {}", shown(longest)),
    );
    let saw = format!("errors at once or within {}", shown(longest));
    Ok(row(
        "the token endpoint down for an hour",
        "B10, convoys",
        saw,
        &world,
        Some(healed.elapsed()),
        wrong,
    ))
}

/// Ten thousand callers while it is down: nobody queues behind anybody.
pub(crate) async fn crowd_while_down() -> Result<Row, String> {
    let world = World::new(60)?;
    world.tokens.always(Reply::silence());
    let start = Instant::now();
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.send().await.is_err() })
        })
        .collect();
    let mut wrong = Vec::new();
    for call in calls {
        expect(
            &mut wrong,
            call.await.unwrap_or(false),
            "a call hung or succeeded",
        );
    }
    wrong.dedup();
    expect(
        &mut wrong,
        start.elapsed() <= Duration::from_millis(11_100),
        format!("the last error came after {}", shown(start.elapsed())),
    );
    expect(&mut wrong, world.tokens.requests() <= 2, "a storm");
    world.tokens.heal();
    let healed = Instant::now();
    while world.send().await.is_err() && healed.elapsed() < 100 * SECOND {
        pass(Duration::from_millis(100)).await;
    }
    expect(
        &mut wrong,
        healed.elapsed() <= 16 * SECOND,
        "recovered late",
    );
    let saw = format!(
        "an error each, all within {}",
        shown(Duration::from_millis(11_000))
    );
    Ok(row(
        "10,000 callers, the token endpoint silent",
        "B10, B21",
        saw,
        &world,
        Some(healed.elapsed()),
        wrong,
    ))
}
