//! Which methods are compiled in. A method crate is added here, and in this crate's manifest.

use gatepass_core::Registry;
use gatepass_oauth::OAuthFactory;

pub(crate) fn registry() -> Registry {
    Registry::builtin().with(OAuthFactory::default())
}
