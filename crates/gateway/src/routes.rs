//! Which deployments there are and who may call them: shared as data, with what a thread needs of
//! each made once for each thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gatepass_config::{AccessLog, Config, GatewayKey};
use gatepass_core::Deployment;
use http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::account::Counters;
use crate::clock;
use crate::standing::Standing;
use crate::target::Target;
use crate::upstream::Pool;

/// Everything that a reload replaces.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) callers: Callers,
    pub(crate) hosts: Vec<String>,
    pub(crate) access_log: AccessLog,
    /// How callers are spoken to; plain http without.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) target: Arc<Target>,
    pub(crate) standing: Arc<Standing>,
}

impl Snapshot {
    /// What is known of deployments that were there `before` stays known.
    ///
    /// # Errors
    /// A line for each deployment that cannot be reached by its settings.
    pub(crate) fn of(
        config: &Config,
        callers: Callers,
        tls: Option<Arc<rustls::ServerConfig>>,
        before: Option<&Self>,
    ) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut problems = Vec::new();
        for deployment in config.deployments() {
            match Target::of(deployment) {
                Ok(target) => {
                    let same = entries
                        .iter()
                        .find(|one| one.target.is_shared_with(&target));
                    let target =
                        same.map_or_else(|| Arc::new(target), |one| Arc::clone(&one.target));
                    let known = before.and_then(|before| before.entry(deployment.name()));
                    let standing = known.map(|known| Arc::clone(&known.standing));
                    entries.push(Entry {
                        deployment: Arc::clone(deployment),
                        target,
                        standing: standing.unwrap_or_default(),
                    });
                }
                Err(what) => problems.push(format!("deployment \"{}\": {what}", deployment.name())),
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        let settings = config.gateway();
        Ok(Self {
            generation: before.map_or(0, |before| before.generation + 1),
            entries,
            callers,
            hosts: settings
                .hosts
                .iter()
                .map(|host| host.to_lowercase())
                .collect(),
            access_log: settings.access_log.unwrap_or(AccessLog::Off),
            tls,
        })
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        let mut all = self.entries.iter();
        all.find(|entry| entry.deployment.name() == name)
    }
}

/// Who may call.
#[derive(Clone, Debug)]
pub(crate) enum Callers {
    /// Whoever reaches the listener.
    Anybody,
    Keys(Vec<GatewayKey>),
}

impl Callers {
    /// The name of a caller, as logs and metrics show it.
    pub(crate) fn name(&self, caller: usize) -> &str {
        match self {
            Self::Anybody => "anybody",
            Self::Keys(keys) => keys.get(caller).map_or("", |key| key.name.as_str()),
        }
    }

    /// The caller whose key this is, unless it has expired. Compared as digests, so that the time it
    /// takes says nothing about any key.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let Self::Keys(keys) = self else {
            return Some(0);
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        let found = keys.iter().position(|key| key.sha256 == digest)?;
        let expires = keys[found].expires;
        let alive = expires.is_none_or(|end| clock::wall() < end);
        alive.then_some(found)
    }

    pub(crate) fn allows(&self, caller: usize, deployment: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Keys(keys) => keys.get(caller).is_some_and(|key| key.allows(deployment)),
        }
    }

    pub(crate) fn wants_key(&self) -> bool {
        matches!(self, Self::Keys(_))
    }
}

/// The counters of all threads, summed up by whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    counters: Mutex<Vec<(String, String, Arc<Counters>)>>,
    refusals: Mutex<Vec<Arc<Refusals>>>,
}

impl Ledger {
    pub(crate) fn all(&self) -> Vec<(String, String, Arc<Counters>)> {
        lock(&self.counters).clone()
    }

    /// How many requests were refused before their deployment was known, by status.
    pub(crate) fn refused(&self) -> [(u16, u64); Refusals::STATUSES.len()] {
        let threads = lock(&self.refusals);
        let mut at = 0..;
        Refusals::STATUSES.map(|status| {
            let at = at.next().unwrap_or_default();
            let count = |thread: &Arc<Refusals>| thread.0[at].load(Ordering::Relaxed);
            (status, threads.iter().map(count).sum())
        })
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests that one thread refused before their deployment was known.
#[derive(Debug, Default)]
pub(crate) struct Refusals([AtomicU64; Self::STATUSES.len()]);

impl Refusals {
    const STATUSES: [u16; 6] = [400, 401, 403, 404, 405, 421];

    pub(crate) fn count(&self, status: http::StatusCode) {
        let at = Self::STATUSES
            .iter()
            .position(|one| *one == status.as_u16());
        if let Some(counter) = at.and_then(|at| self.0.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One thread's counters, which outlive reloads.
pub(crate) struct Books {
    ledger: Arc<Ledger>,
    pub(crate) refusals: Arc<Refusals>,
    own: RefCell<HashMap<(String, String), Arc<Counters>>>,
}

impl Books {
    pub(crate) fn of(ledger: Arc<Ledger>) -> Self {
        let refusals = Arc::new(Refusals::default());
        lock(&ledger.refusals).push(Arc::clone(&refusals));
        Self {
            ledger,
            refusals,
            own: RefCell::default(),
        }
    }

    fn counters(&self, deployment: &str, caller: &str) -> Arc<Counters> {
        let mut own = self.own.borrow_mut();
        let key = (deployment.to_owned(), caller.to_owned());
        let open = || {
            let counters = Arc::new(Counters::default());
            lock(&self.ledger.counters).push((
                deployment.to_owned(),
                caller.to_owned(),
                Arc::clone(&counters),
            ));
            counters
        };
        Arc::clone(own.entry(key).or_insert_with(open))
    }
}

/// A deployment as one thread calls it.
pub(crate) struct Route {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) standing: Arc<Standing>,
    /// This thread's own copy: threads would queue at a shared one's reference count.
    pub(crate) host: HeaderValue,
    counters: RefCell<Vec<Option<Arc<Counters>>>>,
}

impl Route {
    pub(crate) fn counters(
        &self,
        caller: usize,
        callers: &Callers,
        books: &Books,
    ) -> Arc<Counters> {
        let mut counters = self.counters.borrow_mut();
        if counters.len() <= caller {
            counters.resize(caller + 1, None);
        }
        let open = || books.counters(self.deployment.name(), callers.name(caller));
        Arc::clone(counters[caller].get_or_insert_with(open))
    }
}

#[cfg(test)]
impl Route {
    /// A deployment that wants an `x-model-key`.
    pub(crate) fn for_tests() -> Rc<Self> {
        use gatepass_core::{Custom, Endpoint};
        let endpoint = Endpoint::parse(Some("http://127.0.0.1:1/"), None, false).unwrap();
        let method = Custom::method("x-model-key", "up").unwrap();
        let deployment = Deployment::new("m", endpoint, vec![method]).unwrap();
        let target = Arc::new(Target::of(&deployment).unwrap());
        Rc::new(Self {
            deployment: Arc::new(deployment),
            pool: Pool::new(target),
            standing: Arc::default(),
            host: HeaderValue::from_static("127.0.0.1:1"),
            counters: RefCell::default(),
        })
    }
}

/// One thread's view of a snapshot.
pub(crate) struct Local {
    pub(crate) snapshot: Arc<Snapshot>,
    routes: HashMap<String, Rc<Route>>,
}

impl Local {
    /// What is as before keeps its connections and its counters.
    pub(crate) fn new(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let mut routes: HashMap<String, Rc<Route>> = HashMap::new();
        let mut pools: Vec<Rc<Pool>> = Vec::new();
        if let Some(before) = before {
            pools.extend(before.routes.values().map(|route| Rc::clone(&route.pool)));
        }
        for entry in &snapshot.entries {
            let known = pools
                .iter()
                .find(|pool| pool.target().is_shared_with(&entry.target));
            let pool = match known {
                Some(pool) => Rc::clone(pool),
                None => {
                    let pool = Pool::new(Arc::clone(&entry.target));
                    pools.push(Rc::clone(&pool));
                    pool
                }
            };
            let origin = entry.deployment.origin();
            let default = if origin.is_https() { 443 } else { 80 };
            let host = if origin.port() == default {
                origin.host().to_owned()
            } else {
                format!("{}:{}", origin.host(), origin.port())
            };
            let route = Route {
                deployment: Arc::clone(&entry.deployment),
                pool,
                standing: Arc::clone(&entry.standing),
                host: HeaderValue::try_from(host).unwrap_or(HeaderValue::from_static("")),
                counters: RefCell::default(),
            };
            routes.insert(entry.deployment.name().to_owned(), Rc::new(route));
        }
        Self { snapshot, routes }
    }

    /// Lets go of connections to upstreams that are of no more use.
    pub(crate) fn sweep(&self) {
        for route in self.routes.values() {
            route.pool.sweep();
        }
    }

    pub(crate) fn route(&self, name: &str) -> Option<&Rc<Route>> {
        self.routes.get(name)
    }
}
