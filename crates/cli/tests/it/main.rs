//! The built command: its contracts, against real servers, with canaries in every secret.

mod canary;
mod command;
mod contracts;
mod demo;
mod interop;
mod servers;
