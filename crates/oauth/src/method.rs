//! The authentication method over the engine: the warm path on every request, the cold path to the
//! slot, and the look at secrets that may have changed.
//!
//! ```text
//!  request ──> front (this handle's copy) ──live──> header
//!                 │ past soft: slot renews in the background     time to look: secrets read again,
//!                 │ empty, past hard, rejected: prepare          a changed one proved by an exchange,
//!                 ▼                                              then its slot takes over
//!               slot of the credential's current version
//! ```

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{
    Applied, AuthError, AuthMethod, BodyNeed, Clock, Holding, Lease, NotApplied, Now, Owned, Ready,
    RequestView, ResponseView, Stage, Stamp, SystemClock, Verdict, Why, put_headers,
};
use http::header::AUTHORIZATION;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::cache::TokenCache;
use crate::front::Front;
use crate::grant::ResolveGrant;
use crate::key::CredentialKey;
use crate::matcher::{Match, Matcher, rejects};
use crate::observer::Event;
use crate::slot::{Slot, Work};
use crate::store::{Kept, TokenStore};
use crate::tuning::Tuning;

/// While the token endpoint refuses, changed secrets are looked for this often.
const LOOK_WHILE_FAILING: Duration = Duration::from_secs(1);

/// What a method runs on: clock, cache, knobs.
///
/// ```
/// let mut engine = gatepass_oauth::Engine::default();
/// engine.tuning.min_interval = std::time::Duration::from_secs(5);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Engine {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where leases of the same credential meet.
    pub cache: TokenCache,
    /// Where tokens are kept outside this process, if anywhere.
    pub store: Option<Arc<dyn TokenStore>>,
    /// The knobs.
    pub tuning: Tuning,
    /// Which answers of the upstream reject a token, beside 401.
    pub matchers: Vec<Matcher>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            cache: TokenCache::shared(),
            store: None,
            tuning: Tuning::default(),
            matchers: Vec::new(),
        }
    }
}

/// A handle to the leases of one credential, whatever obtains them.
///
/// Handles with the same credential share one lease through the [`TokenCache`].
///
/// See [`ResolveGrant`] for what it is made of.
///
/// ```
/// use gatepass_oauth::{Engine, ResolveGrant, TokenMethod};
/// fn method(resolver: impl ResolveGrant) -> gatepass_core::SharedMethod {
///     std::sync::Arc::new(TokenMethod::bearer(resolver, Engine::default()))
/// }
/// # let _ = |resolver: gatepass_oauth::Resolved| drop(resolver);
/// ```
pub struct TokenMethod(Arc<Shared>);

struct Shared {
    resolver: Box<dyn ResolveGrant>,
    engine: Engine,
    owned: Owned,
    /// What requests are served from: the lease of the slot, as this handle last saw it.
    /// Its slot is that of the credential in its current version; none until its secrets were
    /// resolved.
    front: Front<CredentialKey, Slot>,
    /// Held while secrets are resolved, so that many callers resolve them once.
    resolving: Mutex<()>,
    may_change: bool,
    /// Monotonic milliseconds from which secrets are looked at again.
    next_look: AtomicU64,
    looking: AtomicBool,
}

impl fmt::Debug for TokenMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMethod")
            .field("resolver", &self.0.resolver)
            .finish_non_exhaustive()
    }
}

impl TokenMethod {
    /// A method that writes `Authorization`.
    #[must_use]
    pub fn bearer(resolver: impl ResolveGrant, engine: Engine) -> Self {
        Self::new(resolver, engine, Owned::headers(vec![AUTHORIZATION]))
    }

    /// A method that writes these headers; the grant must give exactly them.
    #[must_use]
    pub fn new(resolver: impl ResolveGrant, engine: Engine, owned: Owned) -> Self {
        let may_change = resolver.may_change();
        Self(Arc::new(Shared {
            resolver: Box::new(resolver),
            engine,
            owned,
            front: Front::new(),
            resolving: Mutex::new(()),
            may_change,
            next_look: AtomicU64::new(0),
            looking: AtomicBool::new(false),
        }))
    }
}

impl Shared {
    /// The slot of the credential as its secrets are now.
    async fn resolved(&self) -> Result<Arc<Slot>, AuthError> {
        let _one_at_a_time = self.resolving.lock().await;
        if let Some(slot) = self.front.slot() {
            // A changed secret ends a holding: worth a look when the old one is being refused.
            if !(self.may_change && slot.is_failing() && self.time_to_look(LOOK_WHILE_FAILING)) {
                return Ok(slot);
            }
        }
        let (key, slot) = self.resolve().await?;
        self.front.take_over(key, &slot);
        Ok(slot)
    }

    async fn resolve(&self) -> Result<(CredentialKey, Arc<Slot>), AuthError> {
        self.looked(self.engine.tuning.look_interval);
        let resolved = self.resolver.resolve().await?;
        let (key, engine) = (resolved.key, &self.engine);
        let slot = engine.cache.slot(key, |observer| Work {
            grant: resolved.grant,
            clock: Arc::clone(&engine.clock),
            tuning: engine.tuning.clone(),
            observer,
            kept: engine.store.clone().map(|store| Kept { store, key }),
        });
        Ok((key, slot))
    }

    /// Whether the last look is this long ago; if so, the next one counts from now.
    fn time_to_look(&self, interval: Duration) -> bool {
        let now = millis(self.engine.clock.now().monotonic());
        let usual = millis(self.engine.tuning.look_interval);
        let last = self.next_look.load(Ordering::Relaxed).saturating_sub(usual);
        now >= last.saturating_add(millis(interval))
    }

    fn looked(&self, interval: Duration) {
        let now = self.engine.clock.now().monotonic();
        let next = millis(now.saturating_add(interval));
        self.next_look.store(next, Ordering::Relaxed);
    }

    /// Past the soft deadline: has the lease renewed, and takes over what another handle renewed.
    #[cold]
    fn refresh(&self, held: Stamp, now: Now) {
        if let Some(slot) = self.front.slot() {
            slot.renew_if_due(now);
            self.front.show_newer(&slot, held);
        }
    }

    /// Reads the secrets again in the background; a changed one is proved before it takes over.
    #[cold]
    fn look(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        self.looked(self.engine.tuning.look_interval);
        // Made here, for a runtime that is being shut down drops the task before it begins.
        let looking = Looking(Arc::clone(self));
        runtime.spawn(async move { looking.0.rotate().await });
    }

    async fn rotate(&self) {
        let Some((key, old)) = self.front.known() else {
            return;
        };
        // A secret that is gone for a moment takes nothing away: the next renewal will say so.
        let Ok((new_key, new)) = self.resolve().await else {
            return;
        };
        if new_key == key {
            return;
        }
        match new.lease().await {
            Ok(_) => {
                let _nobody_resolves = self.resolving.lock().await;
                self.front.take_over(new_key, &new);
                new.tell(&Event::Rotated);
            }
            Err(error) => old.tell(&Event::RotationFailed {
                message: &error.to_string(),
            }),
        }
    }
}

/// Ends the look, however it ends.
struct Looking(Arc<Shared>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.looking.store(false, Ordering::Release);
    }
}

#[async_trait]
impl AuthMethod for TokenMethod {
    fn owned(&self) -> &Owned {
        &self.0.owned
    }

    fn needs(&self) -> BodyNeed {
        BodyNeed::Nothing
    }

    fn stage(&self) -> Stage {
        Stage::Header
    }

    fn apply(
        &self,
        request: &mut RequestView<'_>,
        ready: Option<&Ready>,
        now: Now,
    ) -> Result<Applied, NotApplied> {
        let shared = &self.0;
        let applied = put_headers(shared.front.lease(), request, ready, now)?;
        let due = |lease: &Lease| lease.soft().is_some_and(|soft| now.reached(soft));
        if let (Some(stamp), Some(true)) = (applied.stamp, shared.front.lease().read(due)) {
            shared.refresh(stamp, now);
        }
        if shared.may_change && millis(now.monotonic()) >= shared.next_look.load(Ordering::Relaxed)
        {
            shared.look();
        }
        Ok(applied)
    }

    async fn prepare(&self, why: Why) -> Result<Ready, AuthError> {
        let shared = &self.0;
        let mut slot = shared.resolved().await?;
        if let Why::Rejected(stamp) = why {
            slot.reject(stamp)?;
            shared.front.hide(stamp);
        }
        loop {
            let ready = slot.lease().await?;
            // A token that serves only those who waited for it is no better than none at the front:
            // `apply` looks at its deadline.
            if shared.front.show(&slot) {
                return Ok(ready);
            }
            // While this waited a changed secret may have taken over: its tokens are the ones to use.
            if let Some(current) = shared.front.slot() {
                slot = current;
            }
        }
    }

    fn observe(&self, applied: &Applied, response: &ResponseView<'_>) -> Verdict {
        let shared = &self.0;
        match rejects(&shared.engine.matchers, response.status, response.body) {
            Match::No => return Verdict::Accepted,
            Match::NeedsBody(bytes) => return Verdict::NeedsBody(bytes),
            Match::Yes => {}
        }
        let (Some(stamp), Some(slot)) = (applied.stamp, shared.front.slot()) else {
            return Verdict::Refused;
        };
        let verdict = slot.verdict(stamp);
        if verdict == Verdict::Replay {
            shared.front.show(&slot);
        }
        verdict
    }

    fn held(&self) -> Holding {
        let (front, slot) = (&self.0.front, self.0.front.slot());
        Holding::of(front.lease().current()).from_source(slot.as_deref().map(Slot::label))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
