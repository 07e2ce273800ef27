//! A credential goes only to its own origin, and a rejected secret is read again only if it changed.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use gatepass_core::{
    Basic, Bearer, BodyView, Deployment, Endpoint, ErrorKind, ResponseView, Secret, SecretError,
    SecretSource, SharedSource, SystemClock, Verdict,
};
use http::{HeaderMap, StatusCode};

fn deployment(source: SharedSource) -> Deployment {
    let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false).unwrap();
    Deployment::new("churn", endpoint, vec![Bearer::method(source)]).unwrap()
}

fn literal() -> SharedSource {
    gatepass_core::Literal::shared("canary-4711")
}

#[tokio::test]
async fn another_origin_gets_an_error_and_no_header() {
    for url in [
        "https://evil.test/v1",
        "http://models.test/v1",
        "https://models.test:8443/v1",
        "https://models.test@evil.test/v1",
        "https://user@models.test/v1",
        "/v1",
    ] {
        let mut request = http::Request::get(url)
            .header("authorization", "forged")
            .body(())
            .unwrap();
        let deployment = deployment(literal());
        let error = deployment
            .authorize(&mut request, BodyView::Empty, &SystemClock)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin, "{url}");
        assert!(request.headers().is_empty(), "{url}");
        assert!(!format!("{error}{error:?}{deployment:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_user_id_with_a_colon_is_refused_wherever_it_comes_from() {
    let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false).unwrap();
    let method = Basic::method("apiuser:x", "canary-4711");
    let deployment = Deployment::new("churn", endpoint, vec![method]).unwrap();
    let error = deployment.headers(&SystemClock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SecretInvalid);
    assert!(error.to_string().contains("user-id"), "{error}");
    assert!(!error.to_string().contains("apiuser"), "{error}");
}

/// A secret that somebody may change, as in a mounted file.
#[derive(Debug)]
struct Mounted(Mutex<&'static str>);

#[async_trait]
impl SecretSource for Mounted {
    async fn load(&self) -> Result<Secret, SecretError> {
        Ok(Secret::new(*self.0.lock().unwrap()))
    }

    fn literal(&self) -> Option<&Secret> {
        None
    }

    fn may_change(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_rejected_secret_is_replayed_only_if_it_changed() {
    let mounted = Arc::new(Mounted(Mutex::new("old")));
    let deployment = deployment(mounted.clone());
    let mut request = http::Request::get("https://models.test/v1")
        .body(())
        .unwrap();
    let applied = deployment
        .authorize(&mut request, BodyView::Empty, &SystemClock)
        .await
        .unwrap();
    let headers = HeaderMap::new();
    let refused = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
    let credentials = deployment.credentials();
    assert_eq!(credentials.observe(&applied, &refused), Verdict::Renew);

    let error = credentials.renew(&applied, &refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unchanged);

    *mounted.0.lock().unwrap() = "new";
    let attempt = credentials.renew(&applied, &refused).await.unwrap();
    deployment
        .authorize_with(&mut request, BodyView::Empty, &SystemClock, attempt)
        .await
        .unwrap();
    assert_eq!(request.headers()["authorization"], "Bearer new");
    // A late answer to the first request no longer concerns the new secret.
    assert_eq!(credentials.observe(&applied, &refused), Verdict::Replay);
    let accepted = ResponseView::head(StatusCode::FORBIDDEN, &headers);
    assert_eq!(credentials.observe(&applied, &accepted), Verdict::Accepted);
}

#[tokio::test]
async fn a_literal_that_is_refused_is_not_tried_again() {
    let deployment = deployment(literal());
    let mut request = http::Request::get("https://models.test/v1")
        .body(())
        .unwrap();
    let applied = deployment
        .authorize(&mut request, BodyView::Empty, &SystemClock)
        .await
        .unwrap();
    let headers = HeaderMap::new();
    let refused = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
    assert_eq!(
        deployment.credentials().observe(&applied, &refused),
        Verdict::Refused
    );
}
