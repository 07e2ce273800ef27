//! `gatepass import`: wire JSON to TOML, its secrets moved to places of their own.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use gatepass_config::{MovedSecret, SecretPlace};

use crate::args::{Globals, ImportArgs};
use crate::exit::{Failure, OK};
use crate::files;
use crate::output;
use crate::registry::registry;

/// The longest JSON that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn run(args: &ImportArgs, globals: &Globals) -> Result<u8, Failure> {
    let text = read(&args.file)?;
    let place = match &args.secrets_dir {
        Some(directory) => SecretPlace::Directory(directory.clone()),
        None => SecretPlace::Env,
    };
    let imported = gatepass_config::import(&text, &args.file, &registry(), &place)?;
    if let Some(directory) = &args.secrets_dir {
        write_all(directory, &imported.secrets)?;
    }
    write!(io::stdout().lock(), "{}", imported.toml)?;
    if !globals.quiet {
        for warning in &imported.warnings {
            output::note(&format!("gatepass: {warning}"));
        }
        for moved in &imported.secrets {
            let MovedSecret {
                deployment,
                key,
                place,
                ..
            } = moved;
            output::note(&match args.secrets_dir {
                Some(_) => format!("gatepass: wrote {key} of \"{deployment}\" to {place}"),
                None => format!("gatepass: put {key} of \"{deployment}\" into ${place}"),
            });
        }
    }
    Ok(OK)
}

fn read(file: &Path) -> Result<String, Failure> {
    let fail = |cause: io::Error| {
        let kind = cause.kind();
        Failure::usage(format!(
            "{} cannot be read ({kind}): check path and rights",
            file.display()
        ))
    };
    let mut text = String::new();
    if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(fail)?;
    } else {
        let file = fs::File::open(file).map_err(fail)?;
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(fail)?;
    }
    Ok(text)
}

/// All or none: whatever could not be written is found before the first file is.
fn write_all(directory: &Path, secrets: &[MovedSecret]) -> Result<(), Failure> {
    files::private_directory(directory)?;
    let mut new = Vec::new();
    for moved in secrets {
        let path = Path::new(&moved.place);
        match fs::read(path) {
            Ok(held) if held == moved.secret.expose().as_bytes() => {}
            Ok(_) => {
                return Err(Failure::usage(format!(
                    "{} is there already and holds something else: move it away, or choose another --secrets-dir",
                    path.display()
                )));
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => new.push(moved),
            Err(cause) => return Err(files::cannot("read", path, &cause)),
        }
    }
    for moved in new {
        files::write_private(Path::new(&moved.place), moved.secret.expose().as_bytes())?;
    }
    Ok(())
}
