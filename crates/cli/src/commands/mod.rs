//! The commands, one file each.

mod add;
mod call;
mod check;
mod demo;
mod exec;
mod header;
mod import;
mod key;
mod print; // schema, completions, man
mod serve;
mod status;
mod token;

use std::io::IsTerminal;

use gatepass_client::{Caller, Client};
use gatepass_config::{Config, locate};
use gatepass_core::Registry;

use crate::args::{Command, Globals};
use crate::exit::Failure;
use crate::output;
use crate::registry::registry;

pub(crate) async fn run(command: Command, globals: &Globals) -> Result<u8, Failure> {
    match command {
        Command::Demo(_) => demo::run(globals).await,
        Command::Call(args) => call::run(&args, globals).await,
        Command::Check(args) => check::run(&args, globals).await,
        Command::Header(args) => header::run(&args, globals).await,
        Command::Token(args) => token::run(&args, globals).await,
        Command::Serve(args) => serve::run(&args, globals).await,
        Command::Status(args) => status::run(&args, globals).await,
        Command::Exec(args) => exec::run(&args, globals).await,
        Command::Key(args) => key::run(&args, globals),
        Command::Add(args) => add::run(&args, globals).await,
        Command::Import(args) => import::run(&args, globals),
        Command::Schema(args) => print::schema(&args),
        Command::Completions(args) => print::completions(&args),
        Command::Man(args) => print::man(&args),
    }
}

/// The deployment of this name, from the user's configuration.
fn deployment(name: &str, globals: &Globals) -> Result<Caller, Failure> {
    Ok(Client::new(load(globals)?).deployment(name)?)
}

/// The user's configuration, its warnings told.
fn load(globals: &Globals) -> Result<Config, Failure> {
    load_with(globals, &registry())
}

fn load_with(globals: &Globals, registry: &Registry) -> Result<Config, Failure> {
    let files = locate(&globals.config)?;
    let config = Config::load(&files, registry)?;
    if !globals.quiet {
        for warning in config.warnings() {
            output::note(&format!("gatepass: {warning}"));
        }
    }
    Ok(config)
}

/// Masked text in a pipe would become a baffling 401 somewhere else, so nothing is printed there.
fn refuse_masked_pipe(reveal: bool) -> Result<(), Failure> {
    if reveal || std::io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(
        "the output is no terminal, and a masked secret is of no use there: add --reveal",
    ))
}
