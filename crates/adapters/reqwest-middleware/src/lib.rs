//! A [reqwest-middleware](https://docs.rs/reqwest-middleware) client that adds a deployment's
//! credential to requests.
//!
//! ```no_run
//! use std::sync::Arc;
//! use gatepass_core::{Bearer, Deployment, Endpoint};
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
//! let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
//! let client = gatepass_reqwest_middleware::client(
//!     Arc::new(churn),
//!     reqwest::Client::builder().user_agent("churn-service"),
//!     |stack| stack, // `.with(..)` retries, tracing, ...
//! )?;
//! let response = client.post("https://models.example.com/v1").body("{}").send().await?;
//! # drop(response); Ok(()) }
//! ```
//!
//! The client is made here, from a builder, because a finished one may follow redirects: reqwest
//! takes only five header names off a request that leaves its origin. Redirects, referers and
//! reqwest's own retries are off; a 3xx goes to the caller. The credential is added innermost, so
//! that middleware around it neither sees nor logs it, and retries get a fresh one each time.
//!
//! After a 401 a renewed credential is tried once, if the body can be sent again.

use std::sync::Arc;

use async_trait::async_trait;
use gatepass_client::ReqwestOutbound;
use gatepass_core::{
    AppliedAll, Attempt, AuthError, BodyNeed, BodyView, Clock, Deployment, ResponseView,
    SystemClock,
};
use http::Extensions;
use reqwest::redirect::Policy;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};

/// A client for one deployment; `outer` adds middleware of your own around the credential.
///
/// # Errors
/// When reqwest cannot make a client of the builder.
pub fn client(
    deployment: Arc<Deployment>,
    builder: reqwest::ClientBuilder,
    outer: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> reqwest::Result<ClientWithMiddleware> {
    client_with_clock(deployment, builder, Arc::new(SystemClock), outer)
}

/// The same with another clock, for tests.
///
/// # Errors
/// As [`client`].
pub fn client_with_clock(
    deployment: Arc<Deployment>,
    builder: reqwest::ClientBuilder,
    clock: Arc<dyn Clock>,
    outer: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> reqwest::Result<ClientWithMiddleware> {
    let inner = builder
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .build()?;
    let stack = outer(ClientBuilder::new(inner));
    Ok(stack.with(Auth { deployment, clock }).build())
}

/// Only made by [`client`], where it is innermost and the client follows nothing.
#[derive(Debug)]
struct Auth {
    deployment: Arc<Deployment>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Middleware for Auth {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let again = request.try_clone();
        let applied = self.sign(&mut request, Attempt::default()).await?;
        let response = next.clone().run(request, extensions).await?;
        let repeatable = again.is_some();
        let attempt = self.reconsider(&applied, &response, repeatable).await;
        let (Some(attempt), Some(mut request)) = (attempt, again) else {
            return Ok(response);
        };
        drop(response);
        let applied = self.sign(&mut request, attempt).await?;
        let response = next.run(request, extensions).await?;
        // Refused once more: the answer is the caller's, the next call gets a newer credential.
        let _for_the_next_call = self.reconsider(&applied, &response, false).await;
        Ok(response)
    }
}

impl Auth {
    async fn sign(&self, request: &mut Request, attempt: Attempt) -> Result<AppliedAll> {
        // Only a method that looks at the body makes it worth a copy.
        let known = match self.deployment.credentials().needs() {
            BodyNeed::Nothing => None,
            _ => request
                .body()
                .map(|body| body.as_bytes().map(<[u8]>::to_vec)),
        };
        let body = match &known {
            None => BodyView::Empty,
            Some(Some(bytes)) => BodyView::Bytes(bytes),
            Some(None) => BodyView::Unread,
        };
        let mut lent = ReqwestOutbound(request);
        let signed = self
            .deployment
            .authorize_with(&mut lent, body, &*self.clock, attempt)
            .await;
        signed.map_err(|error: AuthError| Error::middleware(error))
    }

    async fn reconsider(
        &self,
        applied: &AppliedAll,
        response: &Response,
        repeatable: bool,
    ) -> Option<Attempt> {
        let answer = ResponseView::head(response.status(), response.headers());
        self.deployment
            .reconsider(applied, &answer, repeatable)
            .await
    }
}
