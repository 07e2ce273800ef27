//! `gatepass serve`: a gateway, until it is told to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gatepass_config::{Config, locate};
use gatepass_core::Registry;
use gatepass_gateway::{Exchange, Exchanges, Gateway, Keys, Listen, Options};
use gatepass_oauth::{Event, Observer};
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior};

use crate::args::{Globals, ServeArgs};
use crate::exit::{self, Failure};
use crate::output;
use crate::registry::registry_observed;

/// Where the admin listener is, unless somebody says otherwise.
pub(super) const ADMIN: &str = "127.0.0.1:4781";
/// How often the configuration's content is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// When a configuration that wants for a secret is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// What is under way at SIGTERM may take this long.
const DRAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: &ServeArgs, globals: &Globals) -> Result<u8, Failure> {
    // One registry for all readings: its caches keep the tokens of what did not change.
    let exchanges = Arc::new(Exchanges::default());
    let registry = registry_observed(Arc::new(Told(Arc::clone(&exchanges))));
    let mut files = Watched::new(globals);
    let config = super::load_with(globals, &registry)?;
    let mut options = options(args, &config)?;
    options.exchanges = exchanges;
    files.also(options.tls.as_ref());
    raise_open_files();
    let mut gateway = Gateway::start(&options, &config).map_err(Failure::usage)?;
    announce(&gateway, &options, &config);

    let on = |kind| signal(kind).map_err(|cause| Failure::other(cause.to_string()));
    let mut hangup = on(SignalKind::hangup())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reloads = Reloads::default();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {}
            _ = look.tick() => if !files.changed() && !reloads.is_due() {
                continue;
            },
        }
        // Proving credentials may take a while, and does not hold up the end.
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = reloads.read_again(&gateway, globals, &registry) => {}
        }
    }
    output::note("gatepass: ending what is under way");
    if gateway.drain(DRAIN).await {
        Ok(exit::OK)
    } else {
        let seconds = DRAIN.as_secs();
        Err(Failure::other(format!(
            "requests were still under way after {seconds} s and were cut off"
        )))
    }
}

/// Each request needs two descriptors, and shells start programs with a low limit: as many as may be.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    let _stays_as_it_is = setrlimit(Resource::Nofile, raised);
}

/// Options of the command first, then those of the file.
fn options(args: &ServeArgs, config: &Config) -> Result<Options, Failure> {
    let settings = config.gateway();
    let place = |key: &str, given: &Option<String>, written: &Option<String>, default: &str| {
        let text = given.as_deref().or(written.as_deref()).unwrap_or(default);
        let place: Result<Listen, String> = text.parse();
        place.map_err(|what| Failure::usage(format!("{key} {what}")))
    };
    let listen = place("listen", &args.listen, &settings.listen, "127.0.0.1:4780")?;
    let admin = place("admin", &args.admin, &settings.admin, ADMIN)?;
    let mut options = Options::on(listen);
    options.admin = Some(admin);
    options.tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        _ => settings.tls.clone(),
    };
    options.threads = args.threads.map(usize::from).or(settings.threads);
    if args.no_keys {
        options.keys = Keys::Nobody;
    }
    Ok(options)
}

fn announce(gateway: &Gateway, options: &Options, config: &Config) {
    if options.tls.is_none() && !options.listen.is_private() {
        output::note(
            "gatepass: callers' keys and data cross the network unencrypted: set tls_cert and tls_key, unless something before the gateway encrypts",
        );
    }
    output::note(&format!("listening on {}", gateway.url()));
    if let Some(admin) = gateway.admin_url() {
        output::note(&format!("admin on {admin}"));
    }
    let Some(key) = gateway.start_key() else {
        return;
    };
    let url = gateway.url();
    output::note("");
    output::note(
        "No [[gateway.keys]] are configured, so this key opens all, until the gateway ends:",
    );
    output::note(&format!("  GATEPASS_URL={url}"));
    output::note(&format!("  GATEPASS_KEY={key}"));
    for deployment in config.deployments() {
        let name = deployment.name();
        output::note(&format!(
            "  OPENAI_BASE_URL={url}/{name} OPENAI_API_KEY={key}"
        ));
    }
}

/// Readings of the configuration while the gateway serves: all or nothing.
#[derive(Default)]
struct Reloads {
    /// What was wrong the last time.
    told: Option<String>,
    /// A secret was missing; it may have come by then.
    again_at: Option<Instant>,
}

impl Reloads {
    /// Whether a configuration that only wanted for secrets is to be tried once more.
    fn is_due(&self) -> bool {
        self.again_at.is_some_and(|at| at <= Instant::now())
    }

    async fn read_again(&mut self, gateway: &Gateway, globals: &Globals, registry: &Registry) {
        self.again_at = None;
        let loaded = super::load_with(globals, registry);
        let config = match loaded {
            Ok(config) => config,
            Err(failure) => return self.reject(gateway, failure.message()),
        };
        let warnings = match gateway.prove(&config).await {
            Ok(warnings) => warnings,
            Err(why) => {
                if why.is_missing() {
                    self.again_at = Some(Instant::now() + AGAIN);
                }
                return self.reject(gateway, &why.to_string());
            }
        };
        if let Err(why) = gateway.reload(&config) {
            return self.tell(&why);
        }
        self.told = None;
        output::note("gatepass: the configuration was read again");
        for warning in warnings {
            output::note(&format!("gatepass: taken over all the same: {warning}"));
        }
    }

    /// What did not get as far as the gateway.
    fn reject(&mut self, gateway: &Gateway, why: &str) {
        gateway.rejected(why);
        self.tell(why);
    }

    /// Once for each thing that is wrong.
    fn tell(&mut self, why: &str) {
        if self.told.as_deref() == Some(why) {
            return;
        }
        output::note("gatepass: the configuration was not taken over, the one before stays:");
        for line in why.lines() {
            output::note(&format!("gatepass: {line}"));
        }
        self.told = Some(why.to_owned());
    }
}

/// Counts what happens to tokens.
#[derive(Debug)]
struct Told(Arc<Exchanges>);

impl Observer for Told {
    fn event(&self, label: &str, event: &Event<'_>) {
        match event {
            Event::Obtained { usable, .. } => {
                self.0.count(label, Exchange::Obtained);
                self.0.usable(label, *usable);
            }
            Event::Failed { message, held, .. } => {
                let outcome = if *held {
                    Exchange::Refused
                } else {
                    Exchange::Failed
                };
                self.0.count(label, outcome);
                self.0.failure(label, message);
            }
            Event::RotationFailed { message } => self.0.failure(label, message),
            Event::Rejected { .. } => self.0.rejected(label),
            _ => {}
        }
    }
}

/// Files whose content may change, through whatever links lead to them.
struct Watched {
    places: Vec<PathBuf>,
    /// Beside the configuration.
    others: Vec<PathBuf>,
    content: [u8; 32],
}

impl Watched {
    fn new(globals: &Globals) -> Self {
        let mut watched = Self {
            places: globals.config.clone(),
            others: Vec::new(),
            content: [0; 32],
        };
        watched.content = watched.digest();
        watched
    }

    /// The certificate that callers see, too.
    fn also(&mut self, tls: Option<&(PathBuf, PathBuf)>) {
        if let Some((cert, key)) = tls {
            self.others = vec![cert.clone(), key.clone()];
            self.content = self.digest();
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        // Looked for each time: a directory may get another file.
        let files = locate(&self.places).unwrap_or_default();
        for file in files.iter().chain(&self.others) {
            // A file that is gone for a moment is read again at the next look.
            let content = std::fs::read(file).unwrap_or_default();
            digest.update((content.len() as u64).to_be_bytes());
            digest.update(zeroize::Zeroizing::new(content));
        }
        digest.finalize().into()
    }

    fn changed(&mut self) -> bool {
        let content = self.digest();
        std::mem::replace(&mut self.content, content) != content
    }
}
