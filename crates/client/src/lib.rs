//! Calls externally hosted models, with the credential added: reqwest's habits, and more care.
//!
//! ```no_run
//! # async fn call() -> Result<(), Box<dyn std::error::Error>> {
//! let churn = gatepass_client::bearer("s3cr3t").url("https://models.example.com/v1").build()?;
//! let reply = churn.post("/predict").body("{}").send().await?;
//! println!("{}", reply.text().await?);
//! # Ok(()) }
//! ```
//!
//! A credential goes only to its own origin: redirects are followed here, not by reqwest. After a
//! 401 a renewed credential is tried once, if the body can be sent again.

mod build; // a deployment in a few words
mod caller; // one deployment, ready to be called
mod client; // all deployments of a configuration
mod error;
mod outgoing; // a request that can be made anew for each attempt
mod request; // a call being put together
mod response; // the answer, with its timers
mod send; // a call being made: credential, redirects, one replay // what went wrong, and whose fault it is

pub use build::{Builder, basic, bearer, custom, none};
#[cfg(feature = "oauth")]
pub use build::{OAuthCall, oauth, oauth_issuer, oauth_provider};
pub use caller::Caller;
#[cfg(feature = "config")]
pub use client::{Client, registry};
pub use error::{Error, ErrorKind};
pub use gatepass_transport::Connector;
pub use outgoing::ReqwestOutbound;
pub use request::RequestBuilder;
pub use response::Response;
