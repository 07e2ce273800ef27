//! `gatepass token`: the bearer token that a call needs now.

use std::io::{self, Write};
use std::sync::Arc;

use gatepass_client::Client;
use gatepass_core::{Clock, Material, SystemClock};
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::{deployment, load_with, refuse_masked_pipe};
use crate::args::{Format, Globals, TokenArgs};
use crate::exit::{Failure, OK};
use crate::registry::registry_with;
use crate::token_files::TokenFiles;

pub(crate) async fn run(args: &TokenArgs, globals: &Globals) -> Result<u8, Failure> {
    refuse_masked_pipe(args.reveal)?;
    let caller = if args.cache {
        let registry = registry_with(Arc::new(TokenFiles::of_this_user()?));
        Client::new(load_with(globals, &registry)?).deployment(&args.name)?
    } else {
        deployment(&args.name, globals)?
    };
    let held = caller.deployment().credentials().prepare().await;
    let held = held.map_err(|error| error.for_deployment(&args.name))?;
    let bearer = held
        .iter()
        .find_map(|ready| match ready.lease().material() {
            Material::Headers(headers) => headers
                .iter()
                .find(|(name, _)| name == AUTHORIZATION)
                .and_then(|(_, value)| value.to_str().ok()?.strip_prefix("Bearer "))
                .map(|token| (token, ready.lease())),
            Material::Key(_) => None,
        });
    let Some((token, lease)) = bearer else {
        let what = format!(
            "deployment \"{}\" sends no bearer token: see `gatepass header`",
            args.name
        );
        return Err(Failure::usage(what));
    };
    let token = if args.reveal { token } else { "[redacted]" };
    let usable = lease
        .hard()
        .map(|hard| SystemClock.now().until(hard).as_secs());
    let mut out = io::stdout().lock();
    match (globals.format, args.details) {
        (Format::Text, false) => writeln!(out, "{token}")?,
        (Format::Text, true) => {
            writeln!(out, "token:    {token}")?;
            match usable {
                Some(seconds) => writeln!(out, "usable:   {seconds} s more")?,
                None => writeln!(out, "usable:   until somebody changes it")?,
            }
            for (name, fact) in lease.facts() {
                writeln!(out, "{:<9} {fact}", format!("{name}:"))?;
            }
        }
        (Format::Json, details) => {
            let mut object = json!({ "token": token });
            if details {
                object["usable_seconds"] = usable.map_or(Value::Null, Value::from);
                for (name, fact) in lease.facts() {
                    object[name] = fact.as_str().into();
                }
            }
            writeln!(out, "{object}")?;
        }
    }
    Ok(OK)
}
