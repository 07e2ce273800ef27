//! Which methods are compiled in. A method crate is added here, and in this crate's manifest.

use std::sync::Arc;

use gatepass_command::CommandFactory;
use gatepass_core::Registry;
use gatepass_oauth::{Engine, OAuthFactory, Observer, TokenCache, TokenStore};
use gatepass_transport::Connector;

pub(crate) fn registry() -> Registry {
    Registry::builtin()
        .with(OAuthFactory::default())
        .with(CommandFactory::default())
}

/// The same, with what happens to tokens told to this observer.
pub(crate) fn registry_observed(observer: Arc<dyn Observer>) -> Registry {
    let cache = TokenCache::observed(observer);
    let mut engine = Engine::default();
    engine.cache = cache.clone();
    Registry::builtin()
        .with(OAuthFactory::new(cache, Connector::default()))
        .with(CommandFactory::new(engine))
}

/// The same, with tokens kept outside this process.
pub(crate) fn registry_with(store: Arc<dyn TokenStore>) -> Registry {
    registry().with(OAuthFactory::default().with_store(store))
}
