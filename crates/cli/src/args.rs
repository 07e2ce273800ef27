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
#[command(after_help = "First steps:\n  \
    gatepass demo                       every method at work\n  \
    gatepass add churn                  define a deployment, by questions\n  \
    gatepass check                      what works, what does not, why, what to do\n  \
    gatepass call churn --json '{..}'   call it\n\nExit codes: 0 ok, 1 other, 2 usage or config, 3 no credential to be had, \
    7 deployment not reached, 22 HTTP status of 300 or more, 28 timeout.")]
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
#[derive(Clone, Debug)]
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
    /// Serve a gateway that adds each deployment's credential, for clients of any language
    Serve(ServeArgs),
    /// Show how a running gateway and its deployments fare
    Status(StatusArgs),
    /// Run a program with a gateway of its own, its keys and URLs set
    Exec(ExecArgs),
    /// Make a key for a caller of the gateway
    Key(KeyArgs),
    /// Define a deployment: by flags, or by answers to questions
    Add(AddArgs),
    /// Turn the wire JSON of other tools into TOML, its secrets moved out
    Import(ImportArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema(SchemaArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them
    Man(ManArgs),
}

impl Command {
    pub(crate) fn globals(&self) -> &GlobalArgs {
        match self {
            Self::Demo(args) => &args.globals,
            Self::Check(args) => &args.globals,
            Self::Call(args) => &args.globals,
            Self::Header(args) => &args.globals,
            Self::Token(args) => &args.globals,
            Self::Serve(args) => &args.globals,
            Self::Status(args) => &args.globals,
            Self::Exec(args) => &args.globals,
            Self::Key(args) => &args.globals,
            Self::Add(args) => &args.globals,
            Self::Import(args) => &args.globals,
            Self::Schema(args) => &args.globals,
            Self::Completions(args) => &args.globals,
            Self::Man(args) => &args.globals,
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
    after_help = "Applications call http://LISTEN/NAME/path with a key of the gateway instead of the deployment's \
    credential. Callers are [[gateway.keys]] tables of the configuration (`gatepass key new` makes one); without any, \
    a key is made at each start and printed once, ready to paste.\n\n\
    The configuration is read again on SIGHUP and when its content changes: all of it or nothing. SIGTERM ends what \
    is under way within 30 s.\n\n\
    Examples:\n  \
    gatepass serve\n  \
    gatepass serve --listen unix:/run/user/1000/gatepass.sock --no-keys\n  \
    gatepass serve --listen 0.0.0.0:4780 --threads 4"
)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// Where callers reach it: HOST:PORT or unix:PATH [default: 127.0.0.1:4780]
    #[arg(long, value_name = "PLACE")]
    pub(crate) listen: Option<String>,
    /// Where health, metrics and status are [default: 127.0.0.1:4781]
    #[arg(long, value_name = "PLACE")]
    pub(crate) admin: Option<String>,
    /// Threads that serve [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// PEM file of the certificate chain that callers see [default: none, plain http]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Serve whoever reaches the listener; for this machine alone
    #[arg(long)]
    pub(crate) no_keys: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Asks the admin listener of a running gateway: which deployments there are, what they hold and for how \
    long, how they fare, what went wrong last and what to do. A browser shows the same at /-/ of that listener.\n\n\
    Exit codes: 0 it answered, 7 no gateway is reached there.\n\n\
    Examples:\n  \
    gatepass status\n  \
    gatepass status --watch\n  \
    gatepass status --admin unix:/run/gatepass-admin.sock --format json"
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// Where its admin listener is [default: that of the configuration, else 127.0.0.1:4781]
    #[arg(long, value_name = "PLACE")]
    pub(crate) admin: Option<String>,
    /// Ask again every two seconds, until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The program sees OPENAI_BASE_URL, OPENAI_API_KEY, GATEPASS_URL and GATEPASS_KEY: a gateway on a free \
    port of this machine, and a key for that deployment that dies with it. Its exit code is the program's.\n\n\
    Examples:\n  \
    gatepass exec gpt -- python app.py\n  \
    gatepass exec churn -- sh -c 'curl -H \"x-api-key: $GATEPASS_KEY\" $GATEPASS_URL/predict'"
)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The deployment the program may call
    pub(crate) name: String,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    #[command(subcommand)]
    pub(crate) what: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Print a fresh key, once, and the table to paste into the configuration
    New(KeyNewArgs),
}

#[derive(Args, Debug)]
pub(crate) struct KeyNewArgs {
    /// Who it is for; shown in logs and metrics
    pub(crate) name: String,
    /// A deployment it opens (repeatable); all if none is given
    #[arg(long = "deployment", value_name = "NAME")]
    pub(crate) deployments: Vec<String>,
    /// From then on it opens nothing (RFC 3339, like 2027-01-01T00:00:00Z)
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A check resolves the secrets, obtains the token and sends a GET without a body to the \
    deployment's url, once with the credential and once without; it never runs a model, unless the \
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
#[command(
    after_help = "Every run asks the token endpoint anew; --cache keeps the token in a file that only you may \
    read until it should be renewed, so that a loop is no storm. No other command reads that file.\n\n\
    Examples:\n  \
    gatepass token churn --details                           masked, on a terminal\n  \
    gatepass token churn --reveal --cache                    in a script that runs often"
)]
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
    /// Keep the token in your cache directory, where the next `token --cache` finds it
    #[arg(long)]
    pub(crate) cache: bool,
}

#[derive(Args, Debug, Default)]
#[command(
    after_help = "Without flags, on a terminal, add asks for what is missing; secrets are typed without \
    being shown, and kept in files beside the configuration that only you may read. The file is \
    checked as a whole before it is written, and the deployment is tried out afterwards.\n\n\
    Examples:\n  \
    gatepass add churn\n  \
    gatepass add gpt --base-url https://example.openai.azure.com/openai/v1 \\\n      \
    --authentication custom --set header=api-key --env value=AZURE_OPENAI_KEY\n  \
    pass show ml/churn | gatepass add churn --url https://models.example.com/v1 \\\n      \
    --authentication bearer --stdin token"
)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The name of the new deployment
    pub(crate) name: String,
    /// The URL for calls without a path
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The URL that paths are appended to
    #[arg(long)]
    pub(crate) base_url: Option<String>,
    /// How to authenticate
    #[arg(long, value_name = "METHOD")]
    pub(crate) authentication: Option<String>,
    /// Set a key to this text; not for secrets
    #[arg(long, value_name = "KEY=TEXT")]
    pub(crate) set: Vec<String>,
    /// Have a key read from this environment variable
    #[arg(long, value_name = "KEY=VARIABLE")]
    pub(crate) env: Vec<String>,
    /// Have a key read from this file
    #[arg(long, value_name = "KEY=PATH")]
    pub(crate) file: Vec<String>,
    /// Read the secret of this key from standard input now, and keep it in a file
    #[arg(long, value_name = "KEY")]
    pub(crate) stdin: Option<String>,
    /// Do not try the deployment out
    #[arg(long)]
    pub(crate) no_check: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "The TOML goes to standard output, and says where each secret is looked for. Examples:\n  \
    gatepass import deployment.json > gatepass.toml\n  \
    gatepass import deployment.json --secrets-dir ~/.secrets/models > gatepass.toml"
)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The JSON; `-` for standard input
    #[arg(value_name = "FILE.json")]
    pub(crate) file: PathBuf,
    /// Write secrets to files of this directory instead of naming environment variables
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    gatepass schema > gatepass.schema.json      then, as the first line of the TOML:\n  \
    #:schema ./gatepass.schema.json")]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// Print all keys as Markdown instead
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  gatepass completions bash > ~/.local/share/bash-completion/completions/gatepass"
)]
pub(crate) struct CompletionsArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  gatepass man ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    #[command(flatten)]
    globals: GlobalArgs,
    /// Write the pages of all commands into this directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

impl CheckArgs {
    /// A check of one deployment, as without options.
    pub(crate) fn of(name: &str) -> Self {
        Self {
            globals: GlobalArgs::default(),
            names: vec![name.to_owned()],
            offline: false,
            timeout: 30.0,
        }
    }
}

#[cfg(test)]
impl AddArgs {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}
