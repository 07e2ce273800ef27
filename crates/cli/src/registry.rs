//! Which methods are compiled in. A method crate is added here, and in this crate's manifest.

use std::sync::Arc;

use gatepass_command::CommandFactory;
use gatepass_core::Registry;
use gatepass_oauth::{OAuthFactory, TokenStore};

pub(crate) fn registry() -> Registry {
    Registry::builtin()
        .with(OAuthFactory::default())
        .with(CommandFactory::default())
}

/// The same, with tokens kept outside this process.
pub(crate) fn registry_with(store: Arc<dyn TokenStore>) -> Registry {
    registry().with(OAuthFactory::default().with_store(store))
}
