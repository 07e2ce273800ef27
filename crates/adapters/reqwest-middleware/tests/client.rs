//! The middleware's client against servers that verify.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use gatepass_core::{Custom, Deployment, Endpoint, SharedMethod};
use gatepass_oauth::{OAuth, TokenCache};
use gatepass_testkit::{Access, Model, Reply, TokenServer};
use reqwest_middleware::ClientWithMiddleware;

fn client(url: &str, method: SharedMethod) -> ClientWithMiddleware {
    let endpoint = Endpoint::parse(Some(url), None, false).unwrap();
    let churn = Deployment::new("churn", endpoint, vec![method]).unwrap();
    // A builder that would follow redirects if it could.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(10));
    gatepass_reqwest_middleware::client(Arc::new(churn), builder, |stack| stack).unwrap()
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_sent_once_more_whole() {
    let tokens = TokenServer::start().await.unwrap();
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let method = OAuth::builder(tokens.url().parse().unwrap(), "client", "secret")
        .cache(TokenCache::new())
        .build_with_reqwest(Default::default());
    let url = model.url("/v1");
    let client = client(&url, method);
    let call = async || {
        client
            .post(&url)
            .body("{\"inputs\": 1}")
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(call().await, 200);
    tokens.revoke_all();
    assert_eq!(call().await, 200);
    assert_eq!((tokens.requests(), model.seen().len()), (2, 3));
    // A token that replaced a refused one and is refused at once: its rights are what is missing.
    assert!(
        model
            .seen()
            .iter()
            .all(|seen| &seen.body[..] == b"{\"inputs\": 1}")
    );
    model.next(Reply::status(401));
    assert_eq!(call().await, 401);
    assert_eq!(model.seen().len(), 4, "no third token is tried");
}

#[tokio::test]
async fn redirects_and_other_origins_get_nothing() {
    let elsewhere = Model::start(Access::Open).await.unwrap();
    let model = Model::start(Access::Open).await.unwrap();
    let client = client(
        &model.url("/v1"),
        Custom::method("api-key", "canary").unwrap(),
    );
    for status in [301, 302, 307, 308] {
        model.next(Reply::status(status).header("location", &elsewhere.url("/v1")));
        let response = client
            .post(model.url("/v1"))
            .body("prompt")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status);
    }
    let error = client.get(elsewhere.url("/v1")).send().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the only place its credential may go"),
        "{error}"
    );
    assert!(elsewhere.seen().is_empty());
}
