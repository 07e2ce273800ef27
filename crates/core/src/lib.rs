//! The credential model of Gatepass: what a deployment is, and how a request gets its credential.
//!
//! ```text
//!  definition ──> method (factory from the registry) ──> lease ──> request
//! ```
//!
//! No I/O, no runtime, no HTTP client: requests of any client are lent to a method as a
//! [`RequestView`], the warm path is synchronous, and only [`AuthMethod::prepare`] may wait.
//!
//! Three steps to a method of your own: implement [`Signer`] or [`HeaderSource`] (or [`AuthMethod`]
//! itself), a [`MethodFactory`] with its tag and keys, and register it with [`Registry::with`].
//! `examples/hmac_signing.rs` does all three.
//!
//! What this crate does not do: fetch tokens (`gatepass-oauth`), read files (`gatepass-config`), or
//! send requests (`gatepass-client`).

mod builtin; // none, basic, bearer, custom
mod clock; // time as an argument
mod credentials; // the methods of one deployment as a whole
mod deployment; // an externally hosted model
mod error; // what keeps a credential away
pub mod header; // bytes for the wire
mod helper; // two short ways to write a method
mod lease; // what a method holds now
mod limits; // what may be passed on at most
mod method; // the method trait
mod origin; // where a credential belongs
mod path; // a caller's path below a deployment's base
mod registry; // which methods there are
mod request; // a request as a method sees it
mod secret; // secret bytes and where they come from
mod settings; // what a definition says to a method
mod sync; // locks and atomics that a model checker can watch
mod transport; // how a deployment is reached

pub use builtin::{
    Basic, BasicFactory, Bearer, BearerFactory, Custom, CustomFactory, ExtraHeaders, NoAuth,
    NoneFactory,
};
pub use clock::{Clock, Now, SystemClock};
pub use credentials::{AppliedAll, Attempt, Credentials};
pub use deployment::{Deployment, Endpoint, Probe};
pub use error::{AuthError, ErrorKind};
pub use helper::{
    HeaderMethod, HeaderSource, Signer, SigningMethod, observe_unauthorized, put_headers,
};
pub use lease::{Lease, LeaseCell, Material, Stamp};
pub use limits::Limits;
pub use method::{
    Applied, AuthMethod, BodyNeed, Holding, NotApplied, Owned, Ready, ResponseView, SharedMethod,
    Stage, Verdict, Why,
};
pub use origin::{Origin, endpoint_url, is_loopback};
pub use registry::Registry;
pub use request::{BodyView, Destination, Outbound, RequestView};
pub use secret::{IntoSource, Literal, Secret, SecretError, SecretSource, SharedSource};
pub use settings::{
    BuildContext, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings, Value,
};
pub use transport::TransportSettings;
