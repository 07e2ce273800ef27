//! A changed secret is proved before it takes over, and nobody waits for it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatepass_core::SharedSource;
use gatepass_oauth::{OAuth, Post, TokenCache};

use crate::kit::{Act, Kit, Shelf, pass, settle};

const SECOND: Duration = Duration::from_secs(1);

fn kit(lifetime: &'static str) -> (Arc<Kit>, Arc<Shelf>) {
    let shelf = Arc::new(Shelf(Mutex::new(Some("old".into()))));
    let source: SharedSource = shelf.clone();
    let url = "https://auth.test/token".parse().unwrap();
    let builder = OAuth::builder(url, "id", source).client_auth(Arc::new(Post));
    let kit = Kit::with(Act::Token(lifetime), TokenCache::new(), builder);
    *kit.script.right_secret.lock().unwrap() = Some("old".into());
    (kit, shelf)
}

fn accept(kit: &Kit, secret: &str) {
    *kit.script.right_secret.lock().unwrap() = Some(secret.into());
}

/// Calls once a second for so long; returns the tokens seen. Nobody may wait.
async fn call_for(kit: &Kit, seconds: u32) -> Vec<String> {
    let mut tokens = Vec::new();
    for _ in 0..seconds {
        let before = tokio::time::Instant::now();
        tokens.push(kit.token().await.unwrap());
        assert_eq!(before, tokio::time::Instant::now(), "nobody waits");
        pass(SECOND).await;
    }
    tokens
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_takes_over_without_a_gap_and_the_old_token_goes() {
    let (kit, shelf) = kit("3600");
    assert_eq!(kit.token().await.unwrap(), "tok-1");
    shelf.put("new");
    accept(&kit, "new");
    let tokens = call_for(&kit, 15).await;
    assert_eq!(kit.requests(), 2);
    let first_new = tokens.iter().position(|token| token == "tok-2").unwrap();
    assert!(first_new <= 11, "within the look interval: {first_new}");
    assert!(
        tokens[first_new..].iter().all(|token| token == "tok-2"),
        "{tokens:?}"
    );
    assert_eq!(call_for(&kit, 60).await.last().unwrap(), "tok-2");
    assert_eq!(kit.requests(), 2, "one exchange proves it");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_new_secret_never_replaces_the_working_one() {
    let (kit, shelf) = kit("3600");
    kit.token().await.unwrap();
    shelf.put("typo");
    let tokens = call_for(&kit, 120).await;
    assert!(tokens.iter().all(|token| token == "tok-1"));
    assert!(
        kit.requests() <= 1 + 4,
        "{} exchanges: the refusal is held",
        kit.requests()
    );
    // Mended: the right new one is found.
    shelf.put("new");
    accept(&kit, "new");
    let tokens = call_for(&kit, 15).await;
    assert_ne!(tokens.last().unwrap(), "tok-1");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_gone_for_a_while_takes_nothing_away() {
    let (kit, shelf) = kit("60");
    kit.token().await.unwrap();
    shelf.clear();
    call_for(&kit, 40).await;
    shelf.put("old");
    call_for(&kit, 60).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_secret_ends_the_holding_of_the_old_one() {
    let (kit, shelf) = kit("3600");
    accept(&kit, "new");
    assert!(
        kit.token()
            .await
            .unwrap_err()
            .to_string()
            .contains("invalid_client")
    );
    shelf.put("new");
    pass(SECOND).await;
    assert_eq!(kit.token().await.unwrap(), "tok-2");
}

#[tokio::test(start_paused = true)]
async fn an_idle_credential_looks_at_nothing() {
    let (kit, shelf) = kit("3600");
    kit.token().await.unwrap();
    shelf.put("new");
    pass(600 * SECOND).await;
    settle().await;
    assert_eq!(kit.requests(), 1);
}
