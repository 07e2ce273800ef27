//! The token engine: against scripted endpoints over sockets, and with fake time in memory.

mod engine;
mod faults;
mod kit;
mod sockets;
