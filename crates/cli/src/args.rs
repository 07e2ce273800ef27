//! What the user wrote.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Failure;

/// Calls models that somebody else hosts, with the credential added.
///
/// Deployments are defined in a TOML file (or the wire JSON), found by --config, else $GATEPASS_CONFIG,
/// else gatepass/config.toml in your config directory; never in the working directory.
#[derive(Debug, Parser)]
#[command(name = "gatepass", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 ok, 1 other, 2 usage or config, 3 no credential to be had,\n\
    7 deployment not reached, 22 HTTP status of 300 or more, 28 timeout."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, written before or after its name.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GlobalArgs {
    /// Read deployments from this file, or from all .toml and .json files of this directory
    #[arg(long, value_name = "FILE|DIR", help_heading = "Global options")]
    config: Vec<PathBuf>,
    /// Write for people or for programs
    #[arg(long, value_enum, help_heading = "Global options")]
    format: Option<Format>,
    /// Say less on stderr
    #[arg(short, long, help_heading = "Global options")]
    quiet: bool,
    /// Say more on stderr; twice for everything
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// The options of both sides together.
#[derive(Debug)]
pub(crate) struct Globals {
    pub(crate) config: Vec<PathBuf>,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: u8,
}

impl Globals {
    /// Joins what stands before and after the command; the same option on both sides is an error.
    pub(crate) fn merge(before: GlobalArgs, after: &GlobalArgs) -> Result<Self, Failure> {
        let twice = [
            (
                "--config",
                !before.config.is_empty() && !after.config.is_empty(),
            ),
            (
                "--format",
                before.format.is_some() && after.format.is_some(),
            ),
            ("--quiet", before.quiet && after.quiet),
            ("--verbose", before.verbose > 0 && after.verbose > 0),
        ];
        if let Some((name, _)) = twice.iter().find(|(_, twice)| *twice) {
            let what = format!("{name} stands before and after the command: give it on one side");
            return Err(Failure::usage(what));
        }
        let config = if before.config.is_empty() {
            after.config.clone()
        } else {
            before.config
        };
        Ok(Self {
            config,
            format: before.format.or(after.format).unwrap_or_default(),
            quiet: before.quiet || after.quiet,
            verbose: before.verbose.max(after.verbose),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every method at work against endpoints that this command starts itself
    Demo(DemoArgs),
    /// Tell which deployments accept their credential, and what to do about those that do not
    Check(CheckArgs),
    /// Call a deployment; the answer's body goes to stdout
    Call(CallArgs),
    /// Print the header lines that a call needs now
    Header(HeaderArgs),
    /// Print the bearer token that a call needs now
    Token(TokenArgs),
}

impl Command {
    pub(crate) fn globals(&self) -> &GlobalArgs {
        match self {
            Self::Demo(args) => &args.globals,
            Self::Check(args) => &args.globals,
            Self::Call(args) => &args.globals,
            Self::Header(args) => &args.globals,
            Self::Token(args) => &args.globals,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    globals: GlobalArgs,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A check resolves the secrets, obtains the token and sends a GET without a body to the\n\
    deployment's url, once with the credential and once without; it never runs a model, unless the\n\
    deployment has check = { method = \"POST\", path = \"..\", body = \"..\" }.\n\n\
    Verdicts: accepted; refused; reached, not proved; no credential; not reached.\n\
    Exit codes: 0 all accepted or reached, 1 any failed, 2 usage or config.\n\n\
    Examples:\n  \
    gatepass check\n  \
    gatepass check churn gpt --format json\n  \
    gatepass check --offline            definitions only, needs no secrets: for CI"
)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The deployments; all of them without a name
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Only look at the definitions: no network, no secrets
    #[arg(long)]
    pub(crate) offline: bool,
    /// Limit for each deployment's answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(crate) timeout: f64,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gatepass call churn --json '{\"inputs\": [1, 2, 3]}'\n  \
    gatepass call gpt /models -i\n  \
    gatepass call churn -d @image.png -H 'content-type: image/png' > answer.json")]
pub(crate) struct CallArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The deployment
    pub(crate) name: String,
    /// Appended to its base URL; without it its `url` is called
    #[arg(default_value = "")]
    pub(crate) path: String,
    /// The method; GET, or POST with a body
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Send this JSON
    #[arg(long, value_name = "DATA", conflicts_with = "data")]
    pub(crate) json: Option<String>,
    /// Send these bytes unchanged; @FILE reads a file, @- standard input
    #[arg(short, long, value_name = "DATA|@FILE|@-")]
    pub(crate) data: Option<String>,
    /// Send this header too
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// Print the status line and the headers first
    #[arg(short, long)]
    pub(crate) include: bool,
    /// Limit for the whole call, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gatepass header gpt                                      masked, on a terminal\n  \
    curl -H @<(gatepass header gpt --reveal) https://...     never in `ps` or the history")]
pub(crate) struct HeaderArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The deployment
    pub(crate) name: String,
    /// Show the secret
    #[arg(long)]
    pub(crate) reveal: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The deployment
    pub(crate) name: String,
    /// Show the secret
    #[arg(long)]
    pub(crate) reveal: bool,
    /// Tell its lifetime and scope too
    #[arg(long)]
    pub(crate) details: bool,
}
