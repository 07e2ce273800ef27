//! What the signer puts on requests, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use gatepass_core::{
    AuthError, Basic, BodyNeed, BodyView, Deployment, Endpoint, ErrorKind, Now, RequestView,
    Signer, SigningMethod,
};
use gatepass_http::{Once, Payload, RequestSigner};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{Empty, Full};

fn signer(method: gatepass_core::SharedMethod) -> RequestSigner {
    let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false).unwrap();
    RequestSigner::new(Arc::new(
        Deployment::new("churn", endpoint, vec![method]).unwrap(),
    ))
}

/// Writes the length of the body: it has to see it.
#[derive(Debug)]
struct Length;

#[async_trait::async_trait]
impl Signer for Length {
    type Key = ();

    fn needs(&self) -> BodyNeed {
        BodyNeed::Bytes
    }

    async fn key(&self) -> Result<(), AuthError> {
        Ok(())
    }

    fn sign(&self, (): &(), request: &mut RequestView<'_>, _: Now) -> Result<(), AuthError> {
        let length = match request.body() {
            BodyView::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        request.set_header(
            HeaderName::from_static("x-length"),
            HeaderValue::from(length),
        );
        Ok(())
    }
}

fn length() -> RequestSigner {
    let names = vec![HeaderName::from_static("x-length")];
    signer(Arc::new(SigningMethod::new(names, Length)))
}

async fn check<B: Payload>(body: B, want: Option<&str>) {
    let mut request = Request::post("https://models.test/v1").body(body).unwrap();
    let signed = length().sign(&mut request).await;
    let got = request
        .headers()
        .get("x-length")
        .map(|value| value.to_str().unwrap());
    assert_eq!(got, want);
    assert_eq!(signed.is_ok(), want.is_some());
}

#[tokio::test]
async fn a_body_that_must_be_seen_is_seen_or_the_request_refused() {
    check((), Some("0")).await;
    check("four".to_owned(), Some("4")).await;
    check(Bytes::from("four"), Some("4")).await;
    check(Full::new(Bytes::from("four")), Some("4")).await;
    check(Full::new(Bytes::new()), Some("0")).await;
    check(Empty::new(), Some("0")).await;
    check(Once("streams".to_owned()), None).await;
}

#[tokio::test]
async fn the_callers_own_credential_is_replaced_and_other_origins_are_refused() {
    let signer = signer(Basic::method("apiuser", "secret123"));
    let request = |url: &str| {
        let builder = Request::get(url).header("authorization", "Bearer mine");
        builder.header("x-mine", "kept").body(()).unwrap()
    };
    let mut good = request("https://models.test/v1/x?y=1");
    let signed = signer.sign(&mut good).await.unwrap();
    assert_eq!(
        good.headers()["authorization"],
        "Basic YXBpdXNlcjpzZWNyZXQxMjM="
    );
    assert_eq!(good.uri(), "https://models.test/v1/x?y=1");
    for url in [
        "https://evil.test/v1",
        "http://models.test/v1",
        "https://models.test:8443/v1",
        "/v1",
    ] {
        let mut bad = request(url);
        let error = signer.sign(&mut bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Origin, "{url}");
        assert!(!bad.headers().contains_key("authorization"), "{url}");
        assert_eq!(bad.headers()["x-mine"], "kept", "{url}");
        assert_eq!(bad.uri(), url);
    }
    // A password cannot be renewed: the refusal is the caller's.
    let headers = HeaderMap::new();
    let again = signer.reconsider(&signed, StatusCode::UNAUTHORIZED, &headers, true);
    assert!(again.await.is_none());
}
