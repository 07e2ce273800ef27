//! The token endpoint of an issuer, from its published metadata.

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::Origin;
use gatepass_oauth::{OAuth, TokenCache};

use crate::kit::{Act, Kit, pass};

const ISSUER: &str = "https://auth.test/tenant";

fn kit(allowed: &[&str]) -> Arc<Kit> {
    let origins = allowed
        .iter()
        .map(|url| Origin::of(&url.parse().unwrap()).unwrap());
    let builder = OAuth::discover(ISSUER.parse().unwrap(), origins.collect(), "id", "c4nary");
    Kit::with(Act::Token("3600"), TokenCache::new(), builder)
}

fn asked(kit: &Kit) -> Vec<String> {
    let asked = kit.script.asked.lock().unwrap();
    asked
        .iter()
        .map(|request| format!("{} {}", request.method(), request.uri()))
        .collect()
}

const GOOD: &str =
    r#"{"issuer":"https://auth.test/tenant","token_endpoint":"https://auth.test/t","more":1}"#;

#[tokio::test(start_paused = true)]
async fn the_token_endpoint_is_found_once_and_used() {
    let kit = kit(&[]);
    kit.next(Act::Status(200, GOOD));
    assert_eq!(kit.token().await.unwrap(), "tok-2");
    pass(Duration::from_secs(3580)).await;
    kit.token().await.unwrap();
    assert_eq!(
        asked(&kit),
        [
            "GET https://auth.test/tenant/.well-known/openid-configuration",
            "POST https://auth.test/t",
            "POST https://auth.test/t",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_place_of_rfc_8414_is_tried_next() {
    let kit = kit(&[]);
    kit.next(Act::Status(404, ""));
    kit.next(Act::Status(200, GOOD));
    kit.token().await.unwrap();
    let second = "GET https://auth.test/.well-known/oauth-authorization-server/tenant";
    assert_eq!(asked(&kit)[1], second);
}

async fn check(metadata: &'static str, allowed: &[&str], needle: &str) {
    let kit = kit(allowed);
    for _ in 0..4 {
        kit.next(Act::Status(200, metadata));
    }
    let error = kit.token().await.unwrap_err().to_string();
    assert!(error.contains(needle), "no {needle:?} in {error}");
    assert!(
        asked(&kit).iter().all(|asked| asked.starts_with("GET ")),
        "no secret was sent"
    );
    // Mended there, it works by itself.
    pass(Duration::from_secs(20)).await;
    kit.script.acts.lock().unwrap().clear();
    kit.next(Act::Status(200, GOOD));
    kit.token().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn metadata_that_must_not_be_trusted_gets_no_secret() {
    let other = r#"{"issuer":"https://auth.test/tenant","token_endpoint":"https://evil.test/t"}"#;
    check(other, &[], "token_origins").await;
    let plain = r#"{"issuer":"https://auth.test/tenant","token_endpoint":"http://auth.test/t"}"#;
    check(plain, &[], "no secret may go to").await;
    let named = r#"{"issuer":"https://auth.test/other","token_endpoint":"https://auth.test/t"}"#;
    check(named, &[], "by another name").await;
    check("<html>", &[], "serves no metadata").await;
    check("{}", &[], "serves no metadata").await;
}

#[tokio::test(start_paused = true)]
async fn a_listed_origin_is_trusted() {
    let kit = kit(&["https://tokens.test"]);
    kit.next(Act::Status(
        200,
        r#"{"issuer":"https://auth.test/tenant","token_endpoint":"https://tokens.test/t"}"#,
    ));
    kit.token().await.unwrap();
    assert_eq!(asked(&kit)[1], "POST https://tokens.test/t");
}
