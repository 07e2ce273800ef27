//! Any definitions, read as TOML and as wire JSON.

#![no_main]

use gatepass_config::Config;
use gatepass_core::Registry;
use gatepass_oauth::OAuthFactory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let registry = Registry::builtin().with(OAuthFactory::default());
    let toml = Config::from_toml(text, "f.toml".as_ref(), &registry);
    let json = Config::from_json(text, "f.json".as_ref(), &registry);
    for error in [toml.err(), json.err()].into_iter().flatten() {
        assert!(!error.problems().is_empty(), "an error without a problem");
    }
});
