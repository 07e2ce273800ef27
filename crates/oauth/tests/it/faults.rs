//! What a token endpoint may do instead of answering, over real sockets with httpmock: each its own
//! clear error, no secret in it, and the process goes on.

use std::sync::Arc;

use gatepass_core::{AuthError, Deployment, Endpoint, SystemClock, TransportSettings};
use gatepass_oauth::{OAuth, Scope, TokenCache};
use httpmock::{Method::POST, Mock, MockServer, Then};

const CANARY: &str = "c4nary-4711";

fn deployment(token_url: &str) -> Deployment {
    let method = OAuth::builder(token_url.parse().unwrap(), "id", CANARY)
        .scope(Scope::Default)
        .transport_settings(TransportSettings::default())
        .cache(TokenCache::new())
        .build_with_reqwest(Default::default());
    let endpoint = Endpoint::parse(Some("https://models.test/"), None, false).unwrap();
    Deployment::new("churn", endpoint, vec![method]).unwrap()
}

async fn ask(server: &MockServer, answer: impl FnOnce(Then)) -> (Result<String, AuthError>, usize) {
    let mock: Mock<'_> = server
        .mock_async(|when, then| {
            when.method(POST).path("/token");
            answer(then);
        })
        .await;
    let deployment = deployment(&server.url("/token?key=c4nary-4711"));
    let result = deployment.headers(&SystemClock).await;
    let calls = mock.calls_async().await;
    mock.delete_async().await;
    let token = result.map(|headers| headers["authorization"].to_str().unwrap().to_owned());
    (token, calls)
}

async fn check(server: &MockServer, needle: &str, answer: impl FnOnce(Then)) {
    let (result, _) = ask(server, answer).await;
    let error = result.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains(needle), "no {needle:?} in {text}");
    assert!(
        text.starts_with("deployment \"churn\": token endpoint http://127.0.0.1:"),
        "{text}"
    );
    let mut whole = format!("{error:?}{text}");
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
    while let Some(error) = cause {
        whole.push_str(&format!("{error}{error:?}"));
        cause = error.source();
    }
    assert!(!whole.contains(CANARY), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_has_its_own_error() {
    let server = MockServer::start_async().await;
    let json = |body: String| move |then: Then| drop(then.status(200).body(body));
    check(&server, "invalid_client", |then| {
        then.status(400).body(format!(
            "{{\"error\":\"invalid_client\",\"error_description\":\"{CANARY}\"}}"
        ));
    })
    .await;
    check(&server, "401, without saying why", |then| {
        drop(then.status(401))
    })
    .await;
    check(
        &server,
        "`scope` is not set, so `all-apis` was sent",
        |then| drop(then.status(403)),
    )
    .await;
    check(&server, "asks for fewer requests (429)", |then| {
        then.status(429).header("retry-after", "30");
    })
    .await;
    check(&server, "cannot serve now (500)", |then| {
        drop(then.status(500).body(CANARY))
    })
    .await;
    check(
        &server,
        "an HTML page",
        json(format!("<html>{CANARY}</html>")),
    )
    .await;
    check(&server, "an empty body", json(String::new())).await;
    check(
        &server,
        "more than 65536 bytes",
        json("a".repeat(10_000_000)),
    )
    .await;
    check(&server, "redirects elsewhere (302)", |then| {
        then.status(302)
            .header("location", server.url("/elsewhere"));
    })
    .await;
    check(
        &server,
        "no bearer token",
        json(format!(
            "{{\"access_token\":\"{CANARY}\",\"token_type\":\"mac\"}}"
        )),
    )
    .await;
    check(
        &server,
        "a control character",
        json(format!(
            "{{\"access_token\":\"{CANARY}\\r\\nx: y\",\"token_type\":\"bearer\"}}"
        )),
    )
    .await;
    check(
        &server,
        "ends too early",
        json(format!("{{\"access_token\":\"{CANARY}")),
    )
    .await;

    // After all that the next good answer is taken.
    let (token, calls) = ask(
        &server,
        json("{\"access_token\":\"good\",\"token_type\":\"bearer\",\"expires_in\":\"60\"}".into()),
    )
    .await;
    assert_eq!((token.unwrap().as_str(), calls), ("Bearer good", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_first_calls_make_one_token_request() {
    let server = MockServer::start_async().await;
    let mock = server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/token")
                .header("content-type", "application/x-www-form-urlencoded")
                .body("grant_type=client_credentials&scope=all-apis");
            then.status(201)
                .delay(std::time::Duration::from_millis(300))
                .body("{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":3600.0}");
        })
        .await;
    let deployment = Arc::new(deployment(&server.url("/token")));
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let deployment = Arc::clone(&deployment);
            tokio::spawn(async move { deployment.headers(&SystemClock).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap()["authorization"], "Bearer t");
    }
    assert_eq!(mock.calls_async().await, 1);
}
