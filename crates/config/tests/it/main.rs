//! Definitions as people write them: right ones, and the messages for wrong ones.

mod bad_configs;
mod forms;
mod sources;
