//! Every method puts the same bytes on an `http::Request` and on a `reqwest::Request`.

use std::mem;

use gatepass_core::{
    Basic, Bearer, BodyView, Custom, Deployment, Destination, Endpoint, ExtraHeaders, Literal,
    NoAuth, Outbound, RequestView, SharedMethod, SystemClock, header,
};
use std::sync::Arc;

/// The adapter a user of reqwest would write.
struct Reqwest<'a>(&'a mut reqwest::Request);

impl Outbound for Reqwest<'_> {
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R {
        let mut headers = mem::take(self.0.headers_mut());
        let url = self.0.url();
        let to = Destination {
            scheme: url.scheme(),
            host: url.host_str().unwrap_or(""),
            port: url.port(),
            path: url.path(),
            query: url.query().unwrap_or(""),
        };
        let result = call(&mut RequestView::new(
            self.0.method(),
            to,
            &mut headers,
            body,
        ));
        *self.0.headers_mut() = headers;
        result
    }
}

async fn check(methods: Vec<SharedMethod>, want: &[(&str, &str)]) {
    let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false).unwrap();
    let deployment = Deployment::new("d", endpoint, methods).unwrap();
    let target = deployment.target("predict").unwrap();

    let mut plain = http::Request::post(target.as_str()).body(()).unwrap();
    // A caller's own value under an owned name must not survive, nor be sent beside ours.
    for (name, _) in want {
        plain.headers_mut().append(
            http::HeaderName::try_from(*name).unwrap(),
            "forged".parse().unwrap(),
        );
    }
    // Twice, because `apply` is idempotent.
    for _ in 0..2 {
        deployment
            .authorize(&mut plain, BodyView::Empty, &SystemClock)
            .await
            .unwrap();
    }

    let mut request = reqwest::Request::new(reqwest::Method::POST, target);
    deployment
        .authorize(&mut Reqwest(&mut request), BodyView::Empty, &SystemClock)
        .await
        .unwrap();

    for headers in [plain.headers(), request.headers()] {
        let got: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(got, want);
        assert!(headers.values().all(|value| value.is_sensitive()));
        assert!(!format!("{headers:?}").contains("secret123"));
    }
}

#[tokio::test]
async fn none_adds_nothing() {
    check(vec![Arc::new(NoAuth::default())], &[]).await;
}

#[tokio::test]
async fn basic_is_the_published_example() {
    let method = Basic::method("apiuser", "secret123");
    check(
        vec![method],
        &[("authorization", "Basic YXBpdXNlcjpzZWNyZXQxMjM=")],
    )
    .await;
}

#[tokio::test]
async fn bearer_is_the_token() {
    check(
        vec![Bearer::method("tok-~+/=.static")],
        &[("authorization", "Bearer tok-~+/=.static")],
    )
    .await;
}

#[tokio::test]
async fn custom_is_the_published_example() {
    check(
        vec![Custom::method("api-key", "abcd1234").unwrap()],
        &[("api-key", "abcd1234")],
    )
    .await;
}

#[tokio::test]
async fn several_methods_go_together() {
    let team = ExtraHeaders::method(vec![(
        header::name("x-team").unwrap(),
        Literal::shared("ml"),
    )]);
    let methods = vec![team, Custom::method("api-key", "abcd1234").unwrap()];
    check(methods, &[("x-team", "ml"), ("api-key", "abcd1234")]).await;
}
