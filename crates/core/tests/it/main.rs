//! Every method on both request types, and containment.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apply;
mod containment;
mod example;
