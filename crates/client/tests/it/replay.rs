//! After a 401 one safe replay with a renewed token, and never more.

use std::time::Duration;

use bytes::Bytes;
use gatepass_client::{Caller, ErrorKind};
use gatepass_testkit::{Access, Model, Reply, TokenServer};

async fn guarded() -> (TokenServer, Model, Caller) {
    let tokens = TokenServer::start().await.unwrap();
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let caller = gatepass_client::oauth(&tokens.url()).client("client", "secret");
    let caller = caller.url(&model.url("/predict")).build().unwrap();
    (tokens, model, caller)
}

#[tokio::test]
async fn a_revoked_token_is_renewed_and_the_call_replayed_whole() {
    let (tokens, model, caller) = guarded().await;
    assert_eq!(
        caller.post("").body("first").send().await.unwrap().status(),
        200
    );
    tokens.revoke_all();
    let response = caller
        .post("")
        .header("x-mine", "1")
        .body("second")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let seen = model.seen();
    assert_eq!(seen.len(), 3);
    for replayed in &seen[1..] {
        assert_eq!(
            (&replayed.body[..], &replayed.headers["x-mine"]),
            (&b"second"[..], &"1".parse().unwrap())
        );
    }
    assert_ne!(
        seen[1].headers["authorization"],
        seen[2].headers["authorization"]
    );
    assert_eq!(tokens.requests(), 2);
}

#[tokio::test]
async fn a_second_401_goes_to_the_caller_untouched() {
    let (tokens, model, caller) = guarded().await;
    for _ in 0..2 {
        model.next(Reply::status(401).header("x-why", "mine").body("go away"));
    }
    let response = caller.post("").body("x").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-why"]),
        (401, &"mine".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "go away");
    assert_eq!((model.seen().len(), tokens.requests()), (2, 2));
}

#[tokio::test]
async fn a_streamed_body_is_not_replayed_but_the_next_call_is_better() {
    let (tokens, model, caller) = guarded().await;
    caller.get("").send().await.unwrap();
    tokens.revoke_all();
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("once"))]);
    let response = caller
        .post("")
        .stream(reqwest::Body::wrap_stream(pieces))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(model.seen().len(), 2);
    assert_eq!(caller.get("").send().await.unwrap().status(), 200);
    assert_eq!((model.seen().len(), tokens.requests()), (3, 2));
}

#[tokio::test]
async fn a_401_passes_when_the_token_endpoint_gives_nothing_newer() {
    let (tokens, _model, caller) = guarded().await;
    caller.get("").send().await.unwrap();
    tokens.revoke_all();
    tokens.always(Reply::status(401).body("{\"error\":\"invalid_client\"}"));
    assert_eq!(caller.get("").send().await.unwrap().status(), 401);
    let error = caller.get("").send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.to_string().contains("check client_id"), "{error}");
}

#[tokio::test]
async fn expiry_is_crossed_without_a_failed_call() {
    let (tokens, _model, caller) = guarded().await;
    let tokens = tokens.expires_in(Duration::from_secs(2));
    let mut calls = 0;
    while tokens.requests() < 3 && calls < 1_000 {
        assert_eq!(caller.get("").send().await.unwrap().status(), 200);
        calls += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(tokens.requests(), 3, "after {calls} calls");
}

/// Some deployments say "expired" with a 403, whose status alone means something else too.
#[tokio::test]
async fn a_403_rejects_by_what_its_body_says_and_stays_whole() {
    let tokens = TokenServer::start().await.unwrap();
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let oauth =
        gatepass_client::oauth(&tokens.url()).list("rejected_when", &["403 token is expir"]);
    let caller = oauth.client("client", "secret").url(&model.url("/predict"));
    let caller = caller.build().unwrap();
    let expired = "{\"message\":\"Token is expiring within 30 seconds\"}";
    let denied = "{\"error\":\"PERMISSION_DENIED\"}".repeat(1000);

    model.next(Reply::status(403).body(denied.clone()));
    let response = caller.post("").body("x").send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.text().await.unwrap(), denied);
    assert_eq!((model.seen().len(), tokens.requests()), (1, 1));

    model.next(Reply::status(403).body(expired));
    let response = caller.post("").body("x").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!((model.seen().len(), tokens.requests()), (3, 2));
    assert_eq!(&model.seen()[2].body[..], b"x");
}

#[tokio::test]
async fn a_long_body_is_sent_once() {
    let tokens = TokenServer::start().await.unwrap();
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let mut transport = gatepass_core::TransportSettings::default();
    transport.replay_body_limit = 4;
    let caller = gatepass_client::oauth(&tokens.url()).client("client", "secret");
    let caller = caller
        .url(&model.url("/predict"))
        .transport(transport)
        .build()
        .unwrap();
    model.next(Reply::status(401));
    assert_eq!(
        caller.post("").body("12345").send().await.unwrap().status(),
        401
    );
    assert_eq!(
        caller.post("").body("12345").send().await.unwrap().status(),
        200
    );
    assert_eq!((model.seen().len(), tokens.requests()), (2, 2));
}
