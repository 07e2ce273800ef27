//! A token endpoint and a protected model, in process, on free loopback ports, for tests.
//!
//! Both truly verify: the token endpoint checks the client's secret, the model checks the
//! credential and the token's age. Faults are scripted, one for each coming request.
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! use gatepass_testkit::{Access, Model, TokenServer};
//! let tokens = TokenServer::start().await?;
//! let model = Model::start(Access::Token(tokens.clone())).await?;
//! assert!(tokens.url().ends_with("/token"));
//! assert_eq!(tokens.requests(), 0);
//! # drop(model); Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

mod model; // answers whoever brings the credential
mod reply;
mod server; // one listener, one handler
mod token_server; // hands out tokens to whoever proves to be the client // scripted answers, faults among them

pub use model::{Access, Model, Seen};
pub use reply::Reply;
pub use token_server::TokenServer;
