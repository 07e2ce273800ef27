//! The layer before hyper-util's client, against servers that verify.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use gatepass_core::{AuthError, Deployment, Endpoint, ErrorKind};
use gatepass_oauth::{OAuth, TokenCache};
use gatepass_testkit::{Access, Model, Reply, TokenServer};
use gatepass_tower::{Auth, AuthLayer, Once};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower::{Layer, Service, ServiceExt};

struct Fixture {
    tokens: TokenServer,
    model: Model,
    layer: AuthLayer,
}

async fn fixture() -> Fixture {
    let tokens = TokenServer::start().await.unwrap();
    let model = Model::start(Access::Token(tokens.clone())).await.unwrap();
    let method = OAuth::builder(tokens.url().parse().unwrap(), "client", "secret")
        .cache(TokenCache::new())
        .build_with_reqwest(Default::default());
    let endpoint = Endpoint::parse(Some(&model.url("/v1")), None, false).unwrap();
    let churn = Deployment::new("churn", endpoint, vec![method]).unwrap();
    Fixture {
        tokens,
        model,
        layer: AuthLayer::new(Arc::new(churn)),
    }
}

fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body + Send + 'static + Unpin,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

async fn post(
    service: &mut Auth<Client<HttpConnector, Full<Bytes>>>,
    url: &str,
) -> Result<StatusCode, gatepass_tower::BoxError> {
    let request = Request::post(url)
        .header("authorization", "Bearer of-the-caller")
        .header("x-mine", "kept")
        .body(Full::new(Bytes::from("{\"inputs\": 1}")))?;
    let response = service.ready().await?.call(request).await?;
    Ok(response.status())
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_sent_once_more_whole() {
    let fixture = fixture().await;
    let mut service = fixture.layer.layer(client());
    let url = fixture.model.url("/v1");
    assert_eq!(post(&mut service, &url).await.unwrap(), 200);
    fixture.tokens.revoke_all();
    assert_eq!(post(&mut service, &url).await.unwrap(), 200);
    assert_eq!(fixture.tokens.requests(), 2);
    let seen = fixture.model.seen();
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        assert_eq!(&seen.body[..], b"{\"inputs\": 1}");
        assert_eq!(seen.headers["x-mine"], "kept");
        assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
        assert_ne!(seen.headers["authorization"], "Bearer of-the-caller");
    }
}

#[tokio::test]
async fn there_is_one_replay_and_never_two() {
    let fixture = fixture().await;
    let mut service = fixture.layer.layer(client());
    fixture.model.next(Reply::status(401));
    fixture.model.next(Reply::status(401));
    let url = fixture.model.url("/v1");
    assert_eq!(post(&mut service, &url).await.unwrap(), 401);
    assert_eq!(fixture.model.seen().len(), 2);
}

#[tokio::test]
async fn a_streaming_body_is_sent_once_and_the_next_request_is_better() {
    let fixture = fixture().await;
    let url = fixture.model.url("/v1");
    let mut service = fixture.layer.layer(client::<Once<Full<Bytes>>>());
    let mut call = async || {
        let body = Once(Full::new(Bytes::from("streams")));
        let request = Request::post(&url).body(body).unwrap();
        service
            .ready()
            .await
            .unwrap()
            .call(request)
            .await
            .unwrap()
            .status()
    };
    assert_eq!(call().await, 200);
    fixture.tokens.revoke_all();
    assert_eq!(call().await, 401);
    assert_eq!(call().await, 200);
    assert_eq!(fixture.model.seen().len(), 3);
}

#[tokio::test]
async fn another_origin_and_a_missing_token_are_errors_and_nothing_is_sent() {
    let fixture = fixture().await;
    let mut service = fixture.layer.layer(client());
    let other = Model::start(Access::Open).await.unwrap();
    let error = post(&mut service, &other.url("/v1")).await.unwrap_err();
    let error = error.downcast_ref::<AuthError>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Origin);
    assert!(other.seen().is_empty());
    fixture.tokens.always(Reply::status(500));
    let error = post(&mut service, &fixture.model.url("/v1"))
        .await
        .unwrap_err();
    let error = error.downcast_ref::<AuthError>().unwrap();
    assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
    assert!(fixture.model.seen().is_empty());
}
