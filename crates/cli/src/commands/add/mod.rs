//! `gatepass add`: a definition from flags and answers, checked as a whole before it is written,
//! then tried out.
//!
//! ```text
//!  flags ──> block ──> missing keys asked ──> checked with the whole file ──> written ──> check
//! ```

mod ask; // what the user answers

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use gatepass_config::{Block, Config, Written, environment};
use gatepass_core::{KeyKind, KeySpec, MethodFactory, Registry, Secret};

use self::ask::{Ask, Nobody, Terminal};
use super::check;
use crate::args::{AddArgs, CheckArgs, Globals};
use crate::exit::{Failure, OK};
use crate::files;
use crate::output;
use crate::registry::registry;

pub(crate) async fn run(args: &AddArgs, globals: &Globals) -> Result<u8, Failure> {
    let path = target(&globals.config)?;
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut terminal: Box<dyn Ask> = if asks {
        Box::new(Terminal)
    } else {
        Box::new(Nobody)
    };
    let registry = registry();
    let added = Draft::new(args, &registry)?.complete(&mut *terminal)?;
    added.write(&path)?;
    if !globals.quiet {
        output::note(&format!(
            "gatepass: wrote deployment \"{}\" to {}",
            args.name,
            path.display()
        ));
    }
    if args.no_check {
        return Ok(OK);
    }
    let mut globals = globals.clone();
    globals.config = vec![path];
    check::run(&CheckArgs::of(&args.name), &globals).await
}

/// The file to write: the one given, else `$GATEPASS_CONFIG`, else the user's own.
fn target(given: &[PathBuf]) -> Result<PathBuf, Failure> {
    let path = match given {
        [one] => one.clone(),
        [] => match environment::variable("GATEPASS_CONFIG") {
            Some(path) => path.into(),
            None => environment::user_config_file().ok_or_else(|| {
                Failure::usage("this user has no config directory: give --config FILE")
            })?,
        },
        _ => return Err(Failure::usage("add writes one file: give --config once")),
    };
    if path.is_dir() {
        let what = format!("{} is a directory: give --config FILE", path.display());
        return Err(Failure::usage(what));
    }
    if path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("json"))
    {
        let what = format!(
            "{} is JSON, and add writes TOML: see `gatepass import`",
            path.display()
        );
        return Err(Failure::usage(what));
    }
    Ok(path)
}

/// A definition that is coming about.
struct Draft<'a> {
    name: &'a str,
    registry: &'a Registry,
    block: Block,
    /// Secrets that were typed or piped in, by key.
    secrets: Vec<(String, Secret)>,
    authentication: Option<String>,
}

impl<'a> Draft<'a> {
    fn new(args: &'a AddArgs, registry: &'a Registry) -> Result<Self, Failure> {
        let mut draft = Self {
            name: &args.name,
            registry,
            block: Block::new(&args.name),
            secrets: Vec::new(),
            authentication: args.authentication.clone(),
        };
        for (key, url) in [("url", &args.url), ("base_url", &args.base_url)] {
            if let Some(url) = url {
                draft.block.set(key, Written::Text(url.clone()));
            }
        }
        if let Some(tag) = &args.authentication {
            draft.method(tag)?;
            draft
                .block
                .set("authentication", Written::Text(tag.clone()));
        }
        for pair in &args.set {
            let (key, text) = pair_of("--set", pair)?;
            let value = draft.plain(key, text)?;
            draft.block.set(key, value);
        }
        for pair in &args.env {
            let (key, name) = pair_of("--env", pair)?;
            draft.block.set(key, Written::Env(name.to_owned()));
        }
        for pair in &args.file {
            let (key, path) = pair_of("--file", pair)?;
            let path = std::path::absolute(path)
                .map_err(|cause| files::cannot("use", Path::new(path), &cause))?;
            draft.block.set(key, Written::File(path));
        }
        if let Some(key) = &args.stdin {
            let mut text = String::new();
            let read = io::stdin().lock().take(64 * 1024).read_to_string(&mut text);
            read.map_err(|cause| {
                Failure::usage(format!("standard input cannot be read ({})", cause.kind()))
            })?;
            draft.secret(key, Secret::new(text.trim_end_matches(['\r', '\n'])));
        }
        Ok(draft)
    }

    fn method(&self, tag: &str) -> Result<&'a dyn MethodFactory, Failure> {
        self.registry.factory(tag).ok_or_else(|| {
            let known: Vec<_> = self.registry.tags().collect();
            Failure::usage(format!(
                "--authentication takes one of {}",
                known.join(", ")
            ))
        })
    }

    fn spec(&self, key: &str) -> Option<KeySpec> {
        let method = self.authentication.as_deref();
        let of_method = method.and_then(|tag| self.registry.factory(tag));
        let keys = of_method.map_or(&[][..], MethodFactory::keys);
        let mut all = keys.iter().chain(gatepass_config::SHARED_KEYS);
        all.find(|spec| spec.is_named(key)).copied()
    }

    /// Text from the command line as a key's kind wants it; what is wrong with it is said when the
    /// whole is checked.
    fn plain(&self, key: &str, text: &str) -> Result<Written, Failure> {
        let kind = match self.spec(key) {
            Some(spec) if spec.is_secret() && key != "proxy" => {
                return Err(Failure::usage(format!(
                    "{key} is a secret, and a command line shows in `ps` and the history: use --env {key}=VARIABLE, \
                     --file {key}=PATH or --stdin {key}, or leave it out to be asked"
                )));
            }
            Some(spec) => spec.kind(),
            None => KeyKind::Text,
        };
        Ok(match kind {
            KeyKind::Boolean => text
                .parse()
                .map_or_else(|_| Written::Text(text.to_owned()), Written::Boolean),
            KeyKind::Seconds | KeyKind::Bytes | KeyKind::Count => text
                .parse()
                .map_or_else(|_| Written::Text(text.to_owned()), Written::Number),
            KeyKind::TextList => {
                Written::Texts(text.split(',').map(|one| one.trim().to_owned()).collect())
            }
            _ => Written::Text(text.to_owned()),
        })
    }

    /// Kept in a file beside the configuration.
    fn secret(&mut self, key: &str, secret: Secret) {
        let file = Path::new("secrets").join(format!("{}.{key}", self.name));
        self.block.set(key, Written::File(file));
        self.secrets.push((key.to_owned(), secret));
    }

    /// Asks for what is still missing.
    fn complete(mut self, user: &mut dyn Ask) -> Result<Self, Failure> {
        if !self.block.has("url") && !self.block.has("base_url") {
            let url = user.text("url", "--url URL", "the URL for calls without a path")?;
            self.block.set("url", Written::Text(url));
        }
        if self.authentication.is_none() {
            let mut choices: Vec<_> = self
                .registry
                .factories()
                .map(|one| (one.tag(), one.about()))
                .collect();
            choices.sort_by_key(|(tag, _)| *tag == "none");
            let tag = user.choice("authentication", "--authentication METHOD", &choices)?;
            self.method(&tag)?;
            self.block.set("authentication", Written::Text(tag.clone()));
            self.authentication = Some(tag);
        }
        let tag = self.authentication.clone().unwrap_or_default();
        for spec in self.method(&tag)?.keys() {
            let given = self.block.has(spec.name())
                || spec.alias_name().is_some_and(|alias| self.block.has(alias));
            let excused = spec.unless().iter().any(|(other, text)| {
                let wanted = Written::Text((*text).to_owned());
                self.block
                    .value(other)
                    .is_some_and(|value| text.is_empty() || *value == wanted)
            });
            if given || excused || !spec.is_required() {
                continue;
            }
            let name = spec.name();
            if spec.is_secret() {
                let flags = format!("--env {name}=VARIABLE");
                let secret = user.secret(name, &flags, spec.meaning())?;
                self.secret(name, secret);
            } else {
                let flags = format!("--set {name}=TEXT");
                let text = user.text(name, &flags, spec.meaning())?;
                self.block.set(name, Written::Text(text));
            }
        }
        Ok(self)
    }

    /// Checks the file as it would be, then writes the secrets, then the file.
    fn write(&self, path: &Path) -> Result<(), Failure> {
        let held = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
            Err(cause) => return Err(files::cannot("read", path, &cause)),
        };
        let gap = if held.is_empty() {
            ""
        } else if held.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        let whole = format!("{held}{gap}{}", self.block);
        Config::from_toml(&whole, path, self.registry)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        files::private_directory(directory)?;
        self.write_secrets(&directory.join("secrets"))?;
        files::write_private(path, whole.as_bytes())
    }

    /// All or none: a file that is in the way is found before the first one is written.
    fn write_secrets(&self, directory: &Path) -> Result<(), Failure> {
        let file = |key: &str| directory.join(format!("{}.{key}", self.name));
        for (key, _) in &self.secrets {
            if file(key).exists() {
                return Err(Failure::usage(format!(
                    "{} is there already: remove it, or use --file {key}=PATH",
                    file(key).display()
                )));
            }
        }
        for (key, secret) in &self.secrets {
            files::private_directory(directory)?;
            files::write_private(&file(key), secret.expose().as_bytes())?;
        }
        Ok(())
    }
}

fn pair_of<'a>(option: &str, pair: &'a str) -> Result<(&'a str, &'a str), Failure> {
    // The pair is not quoted: it may hold a secret that was given in the wrong place.
    let pair = pair.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.ok_or_else(|| Failure::usage(format!("{option} takes KEY=VALUE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a list; fails where it is asked more than that.
    struct Script(Vec<&'static str>, Vec<String>);

    impl Script {
        fn next(&mut self, key: &str) -> Result<String, Failure> {
            self.1.push(key.to_owned());
            if self.0.is_empty() {
                return Err(Failure::usage("nobody answers"));
            }
            Ok(self.0.remove(0).to_owned())
        }
    }

    impl Ask for Script {
        fn text(&mut self, key: &str, _: &str, _: &str) -> Result<String, Failure> {
            self.next(key)
        }

        fn secret(&mut self, key: &str, _: &str, _: &str) -> Result<Secret, Failure> {
            self.next(key).map(Secret::new)
        }

        fn choice(&mut self, key: &str, _: &str, _: &[(&str, &str)]) -> Result<String, Failure> {
            self.next(key)
        }
    }

    fn check(args: &AddArgs, answers: &[&'static str], asked: &[&str], toml: &str) {
        let registry = registry();
        let mut user = Script(answers.to_vec(), Vec::new());
        let draft = Draft::new(args, &registry)
            .unwrap()
            .complete(&mut user)
            .unwrap();
        assert_eq!(user.1, asked);
        assert_eq!(draft.block.to_string(), toml);
    }

    #[test]
    fn what_is_missing_is_asked_and_nothing_else() {
        let mut args = AddArgs::named("churn");
        check(
            &args,
            &[
                "https://models.example.com/v1",
                "oauth",
                "id-1",
                "canary",
                "https://auth.example.com/t",
            ],
            &[
                "url",
                "authentication",
                "client_id",
                "client_secret",
                "token_url",
            ],
            "[deployments.churn]\n\
             url            = \"https://models.example.com/v1\"\n\
             authentication = \"oauth\"\n\
             client_id      = \"id-1\"\n\
             client_secret  = { file = \"secrets/churn.client_secret\" }\n\
             token_url      = \"https://auth.example.com/t\"\n",
        );
        args.base_url = Some("https://x.example.com".into());
        args.authentication = Some("basic".into());
        args.set = vec!["username=u".into(), "connect_timeout=1.5".into()];
        args.env = vec!["password=PW".into()];
        check(
            &args,
            &[],
            &[],
            "[deployments.churn]\n\
             base_url        = \"https://x.example.com\"\n\
             authentication  = \"basic\"\n\
             username        = \"u\"\n\
             connect_timeout = 1.5\n\
             password        = { env = \"PW\" }\n",
        );
    }
}
