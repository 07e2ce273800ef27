//! Every method on both request types, and containment.

mod apply;
mod containment;
mod example;
