//! The engine's promises, in fake time over an in-memory transport.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::kit::{Act, Kit, pass, settle};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn ten_thousand_cold_callers_share_one_exchange_even_if_most_go_away() {
    let kit = Kit::new(Act::Token("3600"));
    let calls: Vec<_> = (0..10_000)
        .map(|_| {
            let kit = kit.clone();
            tokio::spawn(async move { kit.token().await })
        })
        .collect();
    settle().await;
    let mut staying = Vec::new();
    for (number, call) in calls.into_iter().enumerate() {
        // The first caller of all, who started the exchange, goes away too.
        if number % 10 == 9 {
            staying.push(call)
        } else {
            call.abort()
        }
    }
    for call in staying {
        assert_eq!(call.await.unwrap().unwrap(), "tok-1");
    }
    assert_eq!(kit.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_across_fifty_lifetimes_fails_and_stalls_nobody() {
    let kit = Kit::new(Act::Token("5"));
    kit.token().await.unwrap();
    let started = tokio::time::Instant::now();
    let mut waits = 0;
    for _ in 0..50 * 5 * 20 {
        let before = tokio::time::Instant::now();
        kit.token().await.unwrap();
        waits += usize::from(tokio::time::Instant::now() != before);
        pass(Duration::from_millis(50)).await;
    }
    assert_eq!(waits, 0, "nobody waits after the first");
    let elapsed = started.elapsed().as_secs_f64();
    // The earliest soft deadline of 5 s: 3.25 s less a quarter of the window of 0.75 s.
    let bound = 1.0 + elapsed / (3.25 - 0.1875);
    assert!(
        kit.requests() as f64 <= bound,
        "{} exchanges, bound {bound}",
        kit.requests()
    );
    assert!(kit.requests() >= 50, "{} exchanges", kit.requests());
}

#[tokio::test(start_paused = true)]
async fn a_live_token_outlives_the_token_endpoint_but_not_itself() {
    let kit = Kit::new(Act::Token("60"));
    assert_eq!(kit.token().await.unwrap(), "tok-1");
    kit.always(Act::Torn);
    // Hard deadline: 54 s after the request left.
    for _ in 0..52 {
        pass(SECOND).await;
        assert_eq!(kit.token().await.unwrap(), "tok-1");
    }
    let renewals = kit.requests() - 1;
    assert!(
        (1..=6).contains(&renewals),
        "{renewals} attempts with backoff"
    );
    pass(3 * SECOND).await;
    let before = tokio::time::Instant::now();
    let error = kit.token().await.unwrap_err();
    assert!(before.elapsed() <= 5 * SECOND, "{:?}", before.elapsed());
    assert!(
        error.is_retryable() && error.to_string().contains("broke off"),
        "{error}"
    );
    kit.always(Act::Token("60"));
    pass(15 * SECOND).await;
    assert!(kit.token().await.unwrap().starts_with("tok-"));
}

#[tokio::test(start_paused = true)]
async fn every_failure_has_a_way_back() {
    let ways = [
        Act::Status(200, ""),
        Act::Status(200, "<html>"),
        Act::Status(200, "{\"access_token\":"),
        Act::Status(500, ""),
        Act::RetryAfter(429, "5"),
        Act::Status(400, "{\"error\":\"temporarily_unavailable\"}"),
        Act::Status(302, ""),
        Act::Torn,
        Act::Silence,
        Act::Panic,
        Act::Status(401, "{\"error\":\"invalid_client\"}"),
    ];
    for way in ways {
        let kit = Kit::new(Act::Token("3600"));
        kit.next(way.clone());
        kit.next(way);
        let first = kit.token().await;
        assert!(
            first.is_err() || kit.requests() == 3,
            "two failures in a row are seen"
        );
        // A held refusal lasts longest: 60 s at most, twice.
        pass(125 * SECOND).await;
        let mut healed = kit.token().await;
        if healed.is_err() {
            pass(61 * SECOND).await;
            healed = kit.token().await;
        }
        assert!(healed.unwrap().starts_with("tok-"));
        assert!(kit.requests() <= 4);
    }
}

#[tokio::test(start_paused = true)]
async fn one_hiccup_is_hidden_from_callers() {
    let kit = Kit::new(Act::Token("3600"));
    kit.next(Act::Torn);
    assert_eq!(kit.token().await.unwrap(), "tok-2");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_secret_does_not_hammer() {
    let kit = Kit::new(Act::Status(401, "{\"error\":\"invalid_client\"}"));
    for _ in 0..29 {
        let error = kit.token().await.unwrap_err();
        assert!(!error.is_retryable());
        assert!(
            error
                .to_string()
                .contains("check client_id and client_secret"),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("c4nary"));
        pass(SECOND).await;
    }
    assert_eq!(kit.requests(), 1, "held for 30 s at least");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let kit = Kit::new(Act::RetryAfter(503, "40"));
    let error = kit.token().await.unwrap_err();
    assert!(
        error.retry_after().is_some_and(|wait| wait > 38 * SECOND),
        "{error:?}"
    );
    kit.always(Act::Token("3600"));
    pass(37 * SECOND).await;
    assert!(kit.token().await.is_err());
    pass(3 * SECOND).await;
    assert!(kit.token().await.is_ok());
    assert_eq!(kit.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn odd_lifetimes_fail_nobody_and_ask_once_a_second_at_most() {
    for expires_in in [
        "0",
        "1",
        "-1",
        "1000000000000000000",
        "\"3599\"",
        "3599.0",
        "null",
    ] {
        let kit = Kit::new(Act::Token(expires_in));
        let until = tokio::time::Instant::now() + 10 * SECOND;
        while tokio::time::Instant::now() < until {
            let token = kit.token().await;
            assert!(token.is_ok(), "{expires_in}: {token:?}");
            pass(Duration::from_millis(100)).await;
        }
        let starts = kit.script.starts.lock().unwrap();
        for pair in starts.windows(2) {
            assert!(pair[1] - pair[0] >= SECOND, "{expires_in}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_rejections_is_one_exchange() {
    let kit = Kit::new(Act::Token("3600"));
    kit.token().await.unwrap();
    pass(2 * SECOND).await;
    let mut calls = Vec::new();
    for _ in 0..1_000 {
        let (kit, sent) = (kit.clone(), kit.sent().await);
        calls.push(async move { kit.reject(sent).await });
    }
    let calls: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().as_deref(), Some("Bearer tok-2"));
    }
    assert_eq!(kit.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_always_refuses_is_backed_off_from() {
    let kit = Kit::new(Act::Token("3600"));
    kit.token().await.unwrap();
    let mut passed = 0;
    for _ in 0..600 {
        passed += usize::from(kit.reject(kit.sent().await).await.is_none());
        pass(Duration::from_millis(100)).await;
    }
    // At 0, 1, 3, 7, 15, 31 s and so on: doubling up to a minute.
    assert!(
        kit.requests() <= 9,
        "{} exchanges in a minute",
        kit.requests()
    );
    assert!(passed > 550, "{passed} answers passed untouched");
    // Good calls were never harmed.
    assert!(kit.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_rejection_of_an_old_token_drops_nothing() {
    let kit = Kit::new(Act::Token("5"));
    let old = kit.token().await.unwrap();
    let sent = kit.sent().await;
    pass(6 * SECOND).await;
    let new = kit.token().await.unwrap();
    assert_ne!(old, new);
    let verdict = kit.verdict(&sent);
    assert_eq!(verdict, gatepass_core::Verdict::Replay);
    assert_eq!(kit.token().await.unwrap(), new);
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let kit = runtime.block_on(async { Kit::new(Act::Token("3600")) });
    let error = futures_util::FutureExt::now_or_never(kit.token())
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

fn paused_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn a_runtime_that_ends_midway_wedges_nothing() {
    let first = paused_runtime();
    let kit = first.block_on(async {
        let kit = Kit::new(Act::Token("3600"));
        let call = tokio::spawn({
            let kit = kit.clone();
            async move { kit.token().await }
        });
        settle().await;
        call.abort();
        kit
    });
    drop(first);
    paused_runtime().block_on(async {
        pass(2 * SECOND).await;
        assert!(kit.token().await.is_ok());
    });
}

/// Makes one call when it is dropped.
struct CallsOnDrop(Arc<Kit>);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        let token = futures_util::FutureExt::now_or_never(self.0.token());
        assert!(token.unwrap().is_ok(), "the live token serves");
    }
}

#[test]
fn a_renewal_that_a_closing_runtime_drops_at_once_wedges_nothing() {
    let first = paused_runtime();
    let kit = first.block_on(async {
        let kit = Kit::new(Act::Token("3600"));
        kit.token().await.unwrap();
        pass(3_400 * SECOND).await;
        let on_drop = CallsOnDrop(kit.clone());
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(on_drop);
        });
        settle().await;
        kit
    });
    // The task's end calls within the soft window, when nothing can be spawned any more.
    drop(first);
    paused_runtime().block_on(async {
        // Its paused clock begins where the first one began.
        pass(3_402 * SECOND).await;
        kit.token().await.unwrap();
        pass(2 * SECOND).await;
        assert_eq!(kit.script.requests.load(Ordering::SeqCst), 2);
        kit.token().await.unwrap();
        assert_eq!(kit.token().await.unwrap(), "tok-2");
    });
}
