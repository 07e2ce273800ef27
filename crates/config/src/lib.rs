//! Deployment definitions: read from TOML or JSON, checked as a whole, with sources of secrets.
//!
//! ```text
//!  file ──> tree with lines ──> definition, checked key by key ──> Deployment
//! ```
//!
//! Every problem of a file is reported at once, with its line and the key's meaning for the method,
//! and never with a value: a config may hold secrets. Secrets by reference are resolved on the first
//! use of their deployment, not here.
//!
//! ```
//! use gatepass_config::Config;
//! use gatepass_core::Registry;
//! let text = r#"
//!     [deployments.gpt]
//!     base_url       = "https://example.openai.azure.com/openai/v1"
//!     authentication = "custom"
//!     header         = "api-key"
//!     value          = { env = "AZURE_OPENAI_KEY" }
//! "#;
//! let config = Config::from_toml(text, "gatepass.toml".as_ref(), &Registry::builtin())?;
//! assert_eq!(config.deployment("gpt")?.name(), "gpt");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config; // all deployments together
mod definition; // one deployment, checked key by key
pub mod environment; // the only reader of environment variables
mod gateway; // who may call what through the gateway
mod import; // wire JSON as TOML
mod json_form; // the wire JSON into a tree
mod keys; // the keys every deployment has
mod locate; // which files are read
mod problem; // what is wrong, and where
mod reach; // how a deployment is reached, within which limits
mod reference; // all keys as Markdown
mod schema; // the TOML form as a JSON Schema
mod sources; // where secrets come from
mod toml_form; // TOML into a tree
mod tree; // a file as a tree with lines, whatever its format
mod write; // definitions as TOML text

pub use config::{Config, UnknownDeployment};
pub use gateway::{AccessLog, GatewayKey, GatewaySettings};
pub use import::{Imported, MovedSecret, SecretPlace, import};
pub use keys::{CHECK_KEYS, SHARED_KEYS, TABLE_KEYS};
pub use locate::locate;
pub use problem::{ConfigError, Problem};
pub use reference::reference;
pub use schema::schema;
pub use sources::{CommandSource, EnvSource, FileSource};
pub use write::{Block, Written};
