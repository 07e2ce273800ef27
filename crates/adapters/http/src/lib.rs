//! Signs any [`http::Request`] for a deployment, for HTTP clients of your own.
//!
//! ```
//! use std::sync::Arc;
//! use gatepass_core::{Bearer, Deployment, Endpoint};
//! use gatepass_http::RequestSigner;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
//! let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
//! let signer = RequestSigner::new(Arc::new(churn));
//! let mut request = http::Request::post("https://models.example.com/v1").body("{}".to_owned()).unwrap();
//! signer.sign(&mut request).await?;
//! assert_eq!(request.headers()["authorization"], "Bearer abc");
//! # Ok::<(), gatepass_core::AuthError>(()) }).unwrap();
//! ```
//!
//! # What a signer cannot guard
//!
//! It refuses requests to any other origin, and strips what a caller put under the credential's
//! names. What happens to the request afterwards is your client's business:
//!
//! - **Redirects**: switch them off. Most clients take only a few header names off a request that
//!   leaves its origin, and `api-key` is not among them.
//! - **Retries**: sign again for each attempt; a token may have expired in between, and some
//!   signatures are good for one use.
//! - **Logs**: header values are marked sensitive, so that `Debug` and HPACK keep them; a client
//!   that logs bytes does not look at the mark.
//! - **Proxies**: a plain http request shows its credential to the proxy.
//! - **Refusals**: pass the answer to [`RequestSigner::reconsider`], or a revoked token stays until
//!   it expires.

mod payload; // bodies that may be seen, and sent again
mod signer;

pub use payload::{Once, Payload};
pub use signer::{RequestSigner, Signed};
