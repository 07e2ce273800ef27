//! What an observer is told, and what a token request holds beyond the usual.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatepass_oauth::{Event, OAuth, Observer, Post, Rejection, TokenCache, Tuning};

use crate::kit::{Act, Kit, pass};

#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn event(&self, label: &str, event: &Event<'_>) {
        let text = match event {
            Event::ExchangeStarted { waiters } => format!("started for {waiters}"),
            Event::Obtained {
                took,
                usable,
                waiters,
                replaced_age,
                ..
            } => {
                format!(
                    "obtained in {} ms for {waiters}, {} s, after {replaced_age:?}",
                    took.as_millis(),
                    usable.as_secs()
                )
            }
            Event::Failed {
                kind, live, held, ..
            } => format!("failed {kind:?} live {live} held {held}"),
            Event::Rejected { outcome, age, .. } => format!("rejected {outcome:?} at {age:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(label, "https://auth.test/token");
        assert!(!text.contains("c4nary"));
        self.0.lock().unwrap().push(text);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_the_life_of_a_token() {
    let told = Arc::new(Told::default());
    let url = "https://auth.test/token?key=c4nary".parse().unwrap();
    let builder = OAuth::builder(url, "id", "c4nary");
    let kit = Kit::with(
        Act::Token("3600"),
        TokenCache::observed(told.clone()),
        builder,
    );
    let (first, second) = tokio::join!(kit.token(), kit.token());
    assert_eq!(first.unwrap(), second.unwrap());
    let sent = kit.sent().await;
    kit.next(Act::Status(503, ""));
    kit.reject(sent).await;
    let sent = kit.sent().await;
    assert_eq!(
        kit.reject(sent).await,
        None,
        "a fresh token is rejected as well"
    );
    kit.next(Act::Status(401, "{\"error\":\"invalid_client\"}"));
    pass(Duration::from_secs(3500)).await;
    kit.token().await.unwrap();
    pass(Duration::from_secs(1)).await;
    assert_eq!(
        *told.0.lock().unwrap(),
        [
            "started for 2",
            "obtained in 300 ms for 2, 3569 s, after None",
            &format!("rejected {:?} at Some(0ns)", Rejection::Dropped),
            "started for 1",
            "failed Unavailable live false held false",
            "started for 1",
            "obtained in 300 ms for 1, 3569 s, after None",
            &format!("rejected {:?} at Some(0ns)", Rejection::BackedOff),
            "started for 0",
            "failed Refused live true held true",
        ]
    );
}

/// An observer that panics takes nothing along.
#[derive(Debug)]
struct Panicking;

impl Observer for Panicking {
    fn event(&self, _: &str, _: &Event<'_>) {
        panic!("on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_harms_nobody() {
    let url = "https://auth.test/token".parse().unwrap();
    let cache = TokenCache::observed(Arc::new(Panicking));
    let kit = Kit::with(Act::Token("3600"), cache, OAuth::builder(url, "id", "s"));
    assert_eq!(kit.token().await.unwrap(), "tok-1");
}

#[tokio::test(start_paused = true)]
async fn a_token_request_holds_what_it_is_told_to() {
    let url = "https://auth.test/token?tenant=7".parse().unwrap();
    let builder = OAuth::builder(url, "id", "s")
        .client_auth(Arc::new(Post))
        .param("audience", "urn:a b")
        .param("resource", "r")
        .header("x-tenant".parse().unwrap(), "seven");
    let kit = Kit::with(Act::Token("3600"), TokenCache::new(), builder);
    kit.token().await.unwrap();
    let asked = kit.script.asked.lock().unwrap();
    assert_eq!(asked[0].uri(), "https://auth.test/token?tenant=7");
    assert_eq!(
        asked[0].body(),
        "grant_type=client_credentials&scope=all-apis&audience=urn%3Aa+b&resource=r&client_id=id&client_secret=s"
    );
    assert_eq!(asked[0].headers()["x-tenant"], "seven");
    assert!(asked[0].headers()["x-tenant"].is_sensitive());
}

/// The knobs do what they say.
#[tokio::test(start_paused = true)]
async fn the_knobs_turn() {
    let mut tuning = Tuning::default();
    tuning.margin = Some(Duration::from_secs(600));
    tuning.renew_before = Some(Duration::from_secs(100));
    tuning.min_interval = Duration::from_secs(20);
    let url = "https://auth.test/token".parse().unwrap();
    let builder = OAuth::builder(url, "id", "s").tuning(tuning);
    let kit = Kit::with(Act::Token("3600"), TokenCache::new(), builder);
    kit.token().await.unwrap();
    pass(Duration::from_secs(2870)).await;
    assert_eq!(
        (kit.token().await.unwrap().as_str(), kit.requests()),
        ("tok-1", 1)
    );
    pass(Duration::from_secs(40)).await;
    kit.token().await.unwrap();
    pass(Duration::from_secs(1)).await;
    // The call that finds the newer one is still served by the old.
    kit.token().await.unwrap();
    assert_eq!(
        kit.token().await.unwrap(),
        "tok-2",
        "renewed from 2900 s on"
    );
    // Twenty seconds between two exchanges, whatever happens.
    let sent = kit.sent().await;
    kit.reject(sent).await;
    let starts = kit.script.starts.lock().unwrap().clone();
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(20), "{starts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_tells_how_old_the_lease_became() {
    let told = Arc::new(Told::default());
    let builder = OAuth::builder("https://auth.test/token".parse().unwrap(), "id", "c4nary");
    let kit = Kit::with(
        Act::Token("3600"),
        TokenCache::observed(told.clone()),
        builder,
    );
    kit.token().await.unwrap();
    pass(Duration::from_secs(3400)).await;
    kit.token().await.unwrap();
    pass(Duration::from_secs(1)).await;
    let told = told.0.lock().unwrap();
    assert!(told[3].ends_with("after Some(3400.3s)"), "{told:#?}");
}
