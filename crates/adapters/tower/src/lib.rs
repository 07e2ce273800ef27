//! A [tower](https://docs.rs/tower) layer that adds a deployment's credential to requests.
//!
//! ```
//! use std::sync::Arc;
//! use gatepass_core::{Bearer, Deployment, Endpoint};
//! use gatepass_tower::AuthLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
//! let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
//! let mut service = ServiceBuilder::new()
//!     .layer(AuthLayer::new(Arc::new(churn)))
//!     .service(service_fn(async |request: http::Request<String>| {
//!         let seen = request.headers()["authorization"].clone();
//!         Ok::<_, std::io::Error>(http::Response::new(seen))
//!     }));
//! let request = http::Request::post("https://models.example.com/v1").body("{}".to_owned()).unwrap();
//! let response = service.ready().await?.call(request).await?;
//! assert_eq!(response.body(), "Bearer abc");
//! # Ok::<(), gatepass_tower::BoxError>(()) }).unwrap();
//! ```
//!
//! After a 401 a renewed credential is tried once, if the body can be sent again
//! ([`Payload`]); wrap streaming bodies in [`Once`].
//!
//! Put layers that follow redirects or retry *around* this one, never inside: each hop then comes
//! through here, and one to another origin is refused. What else no layer can guard is listed in
//! `gatepass-http`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gatepass_core::{Clock, Deployment};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

pub use gatepass_http::{Once, Payload, RequestSigner};

/// What goes wrong in a stack of layers: a [`gatepass_core::AuthError`] of ours, or the inner
/// service's own error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Adds a deployment's credential to every request that passes.
#[derive(Clone, Debug)]
pub struct AuthLayer(RequestSigner);

impl AuthLayer {
    /// Adds the credential of this deployment.
    #[must_use]
    pub fn new(deployment: Arc<Deployment>) -> Self {
        Self(RequestSigner::new(deployment))
    }

    /// The same with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self(self.0.clock(clock))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth {
            inner,
            signer: self.0.clone(),
        }
    }
}

/// A service with the credential added; made by [`AuthLayer`].
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    signer: RequestSigner,
}

impl<S> fmt::Debug for Auth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Auth<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Payload + Send + Sync + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready serves this call; its copy has to be polled itself.
        let copy = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, copy);
        Box::pin(send(self.signer.clone(), inner, request))
    }
}

async fn send<S, B, R>(
    signer: RequestSigner,
    mut inner: S,
    mut request: Request<B>,
) -> Result<Response<R>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: Payload,
{
    let again = repeat(&request);
    let signed = signer.sign(&mut request).await?;
    let response = inner.call(request).await.map_err(Into::into)?;
    let repeatable = again.is_some();
    let next = signer
        .reconsider(&signed, response.status(), response.headers(), repeatable)
        .await;
    let (Some(attempt), Some(mut request)) = (next, again) else {
        return Ok(response);
    };
    drop(response);
    let signed = signer.sign_again(&mut request, attempt).await?;
    poll_fn(|context| inner.poll_ready(context))
        .await
        .map_err(Into::into)?;
    let response = inner.call(request).await.map_err(Into::into)?;
    // Refused once more: the answer is the caller's, the next call gets a newer credential.
    let _for_the_next_call = signer
        .reconsider(&signed, response.status(), response.headers(), false)
        .await;
    Ok(response)
}

/// The same request once more, where its body can be sent again.
fn repeat<B: Payload>(request: &Request<B>) -> Option<Request<B>> {
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
