//! `gatepass header`: the header lines that a call needs now.

use std::io::{self, Write};

use serde_json::json;

use super::{deployment, refuse_masked_pipe};
use crate::args::{Format, Globals, HeaderArgs};
use crate::exit::{Failure, OK};
use crate::output;

pub(crate) async fn run(args: &HeaderArgs, globals: &Globals) -> Result<u8, Failure> {
    refuse_masked_pipe(args.reveal)?;
    let caller = deployment(&args.name, globals)?;
    let headers = caller.header().await?;
    let owned = caller.deployment().credentials().owned();
    let mut lines = Vec::new();
    for (name, value) in &headers {
        let name = owned.spelling(name);
        let value = if args.reveal {
            value
                .to_str()
                .map_err(|_| Failure::other("the header value is no text"))?
                .to_owned()
        } else {
            output::masked(name, value)
        };
        lines.push((name, value));
    }
    let mut out = io::stdout().lock();
    match globals.format {
        Format::Text => {
            for (name, value) in lines {
                writeln!(out, "{name}: {value}")?;
            }
        }
        Format::Json => {
            let headers: Vec<_> = lines
                .iter()
                .map(|(name, value)| json!({ "name": name, "value": value }))
                .collect();
            writeln!(out, "{}", json!({ "headers": headers }))?;
        }
    }
    Ok(OK)
}
