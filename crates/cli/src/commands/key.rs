//! `gatepass key new`: a key for a caller of the gateway, shown once.

use gatepass_gateway::{digest, new_key};

use crate::args::{Globals, KeyArgs, KeyCommand, KeyNewArgs};
use crate::exit::{self, Failure};
use crate::output;

pub(crate) fn run(args: &KeyArgs, globals: &Globals) -> Result<u8, Failure> {
    let KeyCommand::New(args) = &args.what;
    let key = new_key().map_err(Failure::other)?;
    let table = table(args, &digest(&key));
    // What is pasted must be what is read.
    let registry = gatepass_core::Registry::builtin();
    let read = gatepass_config::Config::from_toml(&table, "the new key".as_ref(), &registry);
    read.map_err(Failure::usage)?;
    match globals.format {
        crate::args::Format::Json => {
            let json = serde_json::json!({ "name": args.name, "key": key, "sha256": digest(&key) });
            output::line(&json.to_string())?;
        }
        crate::args::Format::Text => {
            if !globals.quiet {
                output::note("The key for the caller, shown this once:");
            }
            output::line(&key)?;
            if !globals.quiet {
                output::note("\nThe table for the gateway's configuration:\n");
                output::note(table.trim_end());
            }
        }
    }
    Ok(exit::OK)
}

fn table(args: &KeyNewArgs, digest: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let deployments = if args.deployments.is_empty() {
        vec!["*".to_owned()]
    } else {
        args.deployments.clone()
    };
    let deployments: Vec<_> = deployments.iter().map(|name| quoted(name)).collect();
    let mut table = format!(
        "[[gateway.keys]]\nname        = {}\nsha256      = \"{digest}\"\ndeployments = [{}]\n",
        quoted(&args.name),
        deployments.join(", ")
    );
    if let Some(expires) = &args.expires {
        table.push_str(&format!("expires     = {}\n", quoted(expires)));
    }
    table
}
