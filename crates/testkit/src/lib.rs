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
//!
//! # Testing your own code
//!
//! Start both servers, build your deployment on their URLs, give everybody the same [`TestClock`],
//! and the rest is one line each:
//!
//! | what happens | how |
//! |---|---|
//! | a token expires, nobody sleeps | `clock.advance(Duration::from_secs(3600))` |
//! | somebody revokes all tokens | [`TokenServer::revoke_all`] |
//! | the token endpoint answers once with a fault | `tokens.next(Reply::status(503))` |
//! | it is down, and heals | [`TokenServer::always`], [`TokenServer::heal`] |
//! | it is slow | [`TokenServer::answers_after`] |
//! | the model is busy, silent, or breaks off midway | `model.next(Reply::status(429))`, [`Reply::silence`], [`Reply::torn`] |
//! | what was sent | [`Model::seen`], [`TokenServer::bodies`], [`TokenServer::requests`] |

mod clock; // moves when it is told to
mod memory; // a server without a socket
mod model; // answers whoever brings the credential
mod reply; // scripted answers, faults among them
mod server; // one listener, one handler
mod token_server; // hands out tokens to whoever proves to be the client

pub use clock::TestClock;
pub use model::{Access, Model, Seen};
pub use reply::Reply;
pub use token_server::TokenServer;
