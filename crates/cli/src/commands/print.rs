//! `gatepass schema`, `completions` and `man`: what other programs read.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs, SchemaArgs};
use crate::exit::{Failure, OK};
use crate::files;
use crate::registry::registry;

pub(crate) fn schema(args: &SchemaArgs) -> Result<u8, Failure> {
    let registry = registry();
    let mut out = io::stdout().lock();
    if args.markdown {
        write!(out, "{}", gatepass_config::reference(&registry))?;
    } else {
        writeln!(out, "{:#}", gatepass_config::schema(&registry))?;
    }
    Ok(OK)
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "gatepass", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(OK)
}

pub(crate) fn man(args: &ManArgs) -> Result<u8, Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.directory {
        None => {
            let page = page(&command)?;
            io::stdout().lock().write_all(&page)?;
        }
        Some(directory) => {
            write_page(directory, &command)?;
            for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
                write_page(directory, subcommand)?;
            }
        }
    }
    Ok(OK)
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

fn write_page(directory: &Path, command: &clap::Command) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|cause| files::cannot("make", directory, &cause))?;
    let name = command.get_display_name().unwrap_or("gatepass");
    let path = directory.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|cause| files::cannot("write", &path, &cause))
}
