//! A gateway as a whole: started, reloaded, drained.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gatepass_config::{Config, GatewayKey};
use gatepass_core::Deployment;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::admin::{self, Reloads};
use crate::exchanges::Exchanges;
use crate::forward::Newest;
use crate::keys::new_key;
use crate::prove::{self, NotProved};
use crate::routes::{Callers, Ledger, Snapshot};
use crate::server::{self, Bound, Common, Listen};
use crate::tls;

/// Pieces of the access log that may wait to be written.
const LOG_QUEUE: usize = 256;

/// Who may call.
///
/// ```
/// assert_ne!(gatepass_gateway::Keys::Nobody, gatepass_gateway::Keys::Wanted);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Callers with a key: a configured one, else one that is made at the start and opens all.
    #[default]
    Wanted,
    /// Whoever reaches a listener that only this machine reaches.
    Nobody,
}

/// How a gateway is started.
///
/// ```
/// let options = gatepass_gateway::Options::on("127.0.0.1:0".parse()?);
/// assert_eq!(options.threads, None);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where callers reach it.
    pub listen: Listen,
    /// Where health, metrics and the like are; nowhere if `None`.
    pub admin: Option<Listen>,
    /// How many threads serve; one for each core if `None`.
    pub threads: Option<usize>,
    /// Whether callers need a key.
    pub keys: Keys,
    /// Token exchanges, told among the metrics.
    pub exchanges: Arc<Exchanges>,
    /// PEM files of the certificate chain that callers see, and of its key; plain http without. They
    /// are read again at each reload.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How long a connection may go on with no request under way, idle or within a head (75 s).
    pub quiet_timeout: Duration,
}

impl Options {
    /// Callers reach it here; no admin listener, a thread for each core, keys wanted.
    #[must_use]
    pub fn on(listen: Listen) -> Self {
        Self {
            listen,
            admin: None,
            threads: None,
            keys: Keys::Wanted,
            exchanges: Arc::default(),
            tls: None,
            quiet_timeout: Duration::from_secs(75),
        }
    }
}

/// A running gateway. Dropped, its threads go on until the process ends; [`Gateway::drain`] ends it.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use gatepass_gateway::{Gateway, Options};
/// let text = "[deployments.churn]\nurl = \"https://models.example.com/\"\nauthentication = \"none\"";
/// let registry = gatepass_core::Registry::builtin();
/// let config = gatepass_config::Config::from_toml(text, "gatepass.toml".as_ref(), &registry).unwrap();
///
/// let mut gateway = Gateway::start(&Options::on("127.0.0.1:0".parse()?), &config)?;
/// assert!(gateway.url().starts_with("http://127.0.0.1:"));
/// assert!(gateway.start_key().is_some(), "no key is configured, so one was made");
/// gateway.drain(std::time::Duration::from_secs(1)).await;
/// # Ok::<(), String>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Gateway {
    url: String,
    admin_url: Option<String>,
    start_key: Option<String>,
    options: Options,
    newest: Arc<Newest>,
    /// What `newest` was made of.
    config: Mutex<Config>,
    reloads: Arc<Reloads>,
    connections: Arc<AtomicUsize>,
    drain: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    log: Option<(std::sync::mpsc::SyncSender<String>, JoinHandle<()>)>,
}

impl Gateway {
    /// Binds both listeners, then starts to serve. Tokens are fetched when they are first needed.
    /// Must be called within a runtime, which serves the admin listener.
    ///
    /// # Errors
    /// A sentence with cause and fix: an address that is taken, certificate files that cannot be
    /// used, [`Keys::Nobody`] on a listener that others reach.
    pub fn start(options: &Options, config: &Config) -> Result<Self, String> {
        if options.keys == Keys::Nobody && !options.listen.is_private() {
            let what = "others than this machine reach that address, so keys are wanted: remove --no-keys, or listen on 127.0.0.1";
            return Err(what.to_owned());
        }
        let mut start_key = None;
        if options.keys == Keys::Wanted && config.gateway().keys.is_empty() {
            start_key = Some(new_key()?);
        }
        let callers = callers(options, config, start_key.as_deref());
        let snapshot = Snapshot::of(config, callers, tls(options)?, None)?;
        let at = |key: &str, listen: &Listen| {
            Bound::new(listen).map_err(|what| format!("{key}: {what}"))
        };
        let bound = at("listen", &options.listen)?;
        let admin = options
            .admin
            .as_ref()
            .map(|listen| at("admin", listen))
            .transpose()?;
        let newest = Arc::new(Newest {
            generation: AtomicU64::new(0),
            snapshot: Mutex::new(Arc::new(snapshot)),
        });
        let (drain, draining) = watch::channel(false);
        let ledger = Arc::new(Ledger::default());
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, written) = log_writer()?;
        let threads = options.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let common = || Common {
            newest: Arc::clone(&newest),
            ledger: Arc::clone(&ledger),
            connections: Arc::clone(&connections),
            draining: draining.clone(),
            quiet_timeout: options.quiet_timeout,
            log: log.clone(),
        };
        let scheme = if options.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let url = bound.url(scheme);
        let admin_url = admin.as_ref().map(|admin| admin.url("http"));
        let reloads = Arc::new(Reloads::default());
        if let Some(admin) = admin {
            let private = options.admin.as_ref().is_some_and(Listen::is_private);
            let state = admin::State {
                newest: Arc::clone(&newest),
                ledger: Arc::clone(&ledger),
                exchanges: Arc::clone(&options.exchanges),
                reloads: Arc::clone(&reloads),
                connections: Arc::clone(&connections),
                draining: draining.clone(),
                private,
            };
            admin::start(admin, state)?;
        }
        let threads = server::start(&bound, threads, common).map_err(|cause| {
            format!("no thread can be started ({}): lower threads", cause.kind())
        })?;
        Ok(Self {
            url,
            admin_url,
            start_key,
            options: options.clone(),
            newest,
            config: Mutex::new(config.clone()),
            reloads,
            connections,
            drain,
            threads,
            log: Some((log, written)),
        })
    }

    /// Where callers reach it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where health and metrics are.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        self.admin_url.as_deref()
    }

    /// The key that was made because none is configured.
    #[must_use]
    pub fn start_key(&self) -> Option<&str> {
        self.start_key.as_deref()
    }

    /// Takes another configuration for the requests from now on; those under way end as they began.
    /// What did not change keeps its connections and, where the registry kept its caches, its tokens.
    ///
    /// # Errors
    /// What cannot be used; everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        let taken = self.take_over(config);
        match &taken {
            Ok(()) => self.reloads.taken(),
            Err(why) => self.reloads.rejected(why),
        }
        taken
    }

    /// Has what was wrong with a configuration shown to those who watch the gateway: it was not even
    /// given to [`Gateway::reload`].
    pub fn rejected(&self, why: &str) {
        self.reloads.rejected(why);
    }

    /// Obtains the credentials of the deployments that are new or changed in this configuration, 16 at
    /// a time and for 10 s in all, so that a mistake is found before it is taken over. No deployment is
    /// called.
    ///
    /// Returns what could not be proved for a reason that may pass.
    ///
    /// # Errors
    /// A credential that was refused or whose secret is missing.
    pub async fn prove(&self, config: &Config) -> Result<Vec<String>, NotProved> {
        let changed: Vec<Arc<Deployment>> = {
            let before = self.config.lock();
            let before = before.unwrap_or_else(PoisonError::into_inner);
            config.changed_since(&before).cloned().collect()
        };
        prove::all(changed).await
    }

    fn take_over(&self, config: &Config) -> Result<(), String> {
        if self.options.keys == Keys::Wanted
            && config.gateway().keys.is_empty()
            && self.start_key.is_none()
        {
            let what = "no [[gateway.keys]] are left, and callers need one: keep one, or restart with --no-keys";
            return Err(what.to_owned());
        }
        let callers = callers(&self.options, config, self.start_key.as_deref());
        let tls = tls(&self.options)?;
        let mut newest = self
            .newest
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let snapshot = Snapshot::of(config, callers, tls, Some(&newest))?;
        let generation = snapshot.generation;
        *newest = Arc::new(snapshot);
        self.newest.generation.store(generation, Ordering::Release);
        drop(newest);
        let mut before = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        *before = config.clone();
        Ok(())
    }

    /// Connections of callers that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Takes no more connections, closes idle ones, and waits until the requests under way have
    /// ended, but no longer than `limit`. Returns whether all ended.
    pub async fn drain(&mut self, limit: Duration) -> bool {
        self.drain.send_replace(true);
        let threads = std::mem::take(&mut self.threads);
        let log = self.log.take();
        let ended = async {
            while !threads.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all = tokio::time::timeout(limit, ended).await.is_ok();
        if let (true, Some((log, written))) = (all, log) {
            // The last sender is gone: the writer ends with what is left.
            drop(log);
            let _written = tokio::task::spawn_blocking(move || written.join()).await;
        }
        all
    }
}

fn tls(options: &Options) -> Result<Option<Arc<rustls::ServerConfig>>, String> {
    let files = options.tls.as_ref();
    files
        .map(|(cert, key)| tls::server_config(cert, key))
        .transpose()
}

fn callers(options: &Options, config: &Config, start_key: Option<&str>) -> Callers {
    if options.keys == Keys::Nobody {
        return Callers::Anybody;
    }
    let mut keys = config.gateway().keys.clone();
    if let Some(key) = start_key {
        let digest = Sha256::digest(key.as_bytes()).into();
        keys.push(GatewayKey::new("start-key", digest, vec!["*".to_owned()]));
    }
    Callers::Keys(keys)
}

type LogWriter = (std::sync::mpsc::SyncSender<String>, JoinHandle<()>);

/// Writes the access log to standard output; ends when nobody can send to it any more.
fn log_writer() -> Result<LogWriter, String> {
    let (to, from) = std::sync::mpsc::sync_channel::<String>(LOG_QUEUE);
    let thread = std::thread::Builder::new().name("gatepass-log".to_owned());
    let written = thread.spawn(move || {
        let mut out = std::io::stdout().lock();
        while let Ok(lines) = from.recv() {
            // Whoever closed the pipe reads no more; requests go on.
            let _closed = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
        }
    });
    written
        .map(|written| (to, written))
        .map_err(|cause| format!("no thread can be started ({})", cause.kind()))
}
