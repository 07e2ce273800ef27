//! Adds a deployment's credential to requests, and reconsiders after an answer.

use std::sync::Arc;

use bytes::Bytes;
use gatepass_core::{
    AppliedAll, Attempt, AuthError, BodyNeed, BodyView, Clock, Deployment, ResponseView,
    SystemClock,
};
use http::{HeaderMap, Request, StatusCode};

use crate::payload::Payload;

/// Adds a deployment's credential to requests; cheap to clone.
///
/// The warm path neither waits nor takes a lock. See the crate for what it cannot guard.
///
/// ```
/// use gatepass_core::{Bearer, Deployment, Endpoint};
/// let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
/// let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
/// let signer = gatepass_http::RequestSigner::new(churn.into());
/// assert_eq!(signer.deployment().name(), "churn");
/// # Ok::<(), gatepass_core::AuthError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RequestSigner {
    deployment: Arc<Deployment>,
    clock: Arc<dyn Clock>,
}

/// What was put on a request: hand it back with the answer.
///
/// ```
/// # use gatepass_core::{Bearer, Deployment, Endpoint};
/// # use gatepass_http::RequestSigner;
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// # let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
/// # let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
/// # let signer = RequestSigner::new(churn.into());
/// # let mut request = http::Request::get("https://models.example.com/v1").body(()).unwrap();
/// let signed = signer.sign(&mut request).await?;
/// let answer = http::Response::builder().status(401).body(()).unwrap();
/// let again = signer.reconsider(&signed, answer.status(), answer.headers(), true).await;
/// assert!(again.is_none(), "a literal token cannot be renewed");
/// # Ok::<(), gatepass_core::AuthError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Signed(AppliedAll);

impl RequestSigner {
    /// Signs for this deployment.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            clock: Arc::new(SystemClock),
        }
    }

    /// The same with another clock, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Adds the credential, obtaining it first where needed. The URI must be absolute.
    ///
    /// # Errors
    /// When the request goes to another origin, or the credential is not to be had; the request
    /// then carries none of the credential's headers.
    pub async fn sign<B: Payload>(&self, request: &mut Request<B>) -> Result<Signed, AuthError> {
        self.attempt(request, Attempt::default()).await
    }

    /// What an answer calls for: `Some` to send the request once more, signed by
    /// [`RequestSigner::sign_again`]; `None` to hand the answer on. Call it once for each call.
    ///
    /// `repeatable` tells whether the request can be sent again; where it cannot, a refused
    /// credential is renewed for the next call.
    pub async fn reconsider(
        &self,
        signed: &Signed,
        status: StatusCode,
        headers: &HeaderMap,
        repeatable: bool,
    ) -> Option<Attempt> {
        let answer = ResponseView::head(status, headers);
        self.deployment
            .reconsider(&signed.0, &answer, repeatable)
            .await
    }

    /// Adds what [`RequestSigner::reconsider`] obtained.
    ///
    /// # Errors
    /// As [`RequestSigner::sign`].
    pub async fn sign_again<B: Payload>(
        &self,
        request: &mut Request<B>,
        attempt: Attempt,
    ) -> Result<Signed, AuthError> {
        self.attempt(request, attempt).await
    }

    async fn attempt<B: Payload>(
        &self,
        request: &mut Request<B>,
        attempt: Attempt,
    ) -> Result<Signed, AuthError> {
        // Only a method that looks at the body makes it worth a look.
        let known = match self.deployment.credentials().needs() {
            BodyNeed::Nothing => Some(Bytes::new()),
            _ => request.body().known(),
        };
        let body = match &known {
            Some(bytes) if bytes.is_empty() => BodyView::Empty,
            Some(bytes) => BodyView::Bytes(bytes),
            None => BodyView::Unread,
        };
        // The body stays behind: a view of a request has no use for it.
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.headers_mut() = std::mem::take(request.headers_mut());
        let applied = self
            .deployment
            .authorize_with(&mut head, body, &*self.clock, attempt)
            .await;
        *request.headers_mut() = std::mem::take(head.headers_mut());
        *request.uri_mut() = std::mem::take(head.uri_mut());
        applied.map(Signed)
    }
}
