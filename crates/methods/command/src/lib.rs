//! `authentication = "command"`: a bearer token from a command that is logged in already.
//!
//! ```toml
//! [deployments.gpt]
//! base_url       = "https://example.openai.azure.com/openai/v1"
//! authentication = "command"
//! command        = ["az", "account", "get-access-token", "--resource", "https://cognitiveservices.azure.com"]
//! ```
//!
//! The command prints a token, or JSON that holds one: `az`, `gcloud auth print-access-token`,
//! `gcloud config config-helper --format json`, `databricks auth token`, `kubectl`'s credential
//! plugins (`ExecCredential`) and scripts of your own. Its expiry is read from the JSON, else from
//! the token if it is a JWT, else `default_lifetime` holds. One token serves all calls of a process
//! and is renewed before it dies, on the engine of `gatepass-oauth` with all its promises: one run at
//! a time, a second at least between two, backoff after failures, no run for idle credentials.
//!
//! The command runs without a shell, for 30 s at most; its standard error is not shown.
//!
//! ```
//! use gatepass_command::CommandFactory;
//! use gatepass_config::Config;
//! use gatepass_core::Registry;
//! let text = r#"
//!     [deployments.gpt]
//!     url            = "https://models.example.com/v1"
//!     authentication = "command"
//!     command        = ["gcloud", "auth", "print-access-token"]
//! "#;
//! let registry = Registry::builtin().with(CommandFactory::default());
//! Config::from_toml(text, "gatepass.toml".as_ref(), &registry)?;
//! # Ok::<(), gatepass_config::ConfigError>(())
//! ```

mod factory; // the method from a definition
mod grant; // one run of the command
mod output; // what a command prints

pub use factory::CommandFactory;
