//! Tokens kept outside this process, so that short-lived processes need not exchange each time.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatepass_core::{Bearer, Lease, Material, Now, Secret};
use http::header::AUTHORIZATION;

use crate::key::CredentialKey;

/// A token as it is kept; times are since the Unix epoch, by the wall clock.
///
/// ```
/// use std::time::Duration;
/// use gatepass_oauth::StoredToken;
/// let token = StoredToken::new("abc", Duration::from_secs(10), Duration::from_secs(20), Duration::from_secs(30));
/// assert_eq!(format!("{:?}", token.token), "[redacted]");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredToken {
    /// The access token.
    pub token: Secret,
    /// When it was stored.
    pub stored: Duration,
    /// From here on it should be renewed.
    pub soft: Duration,
    /// From here on it must not be used.
    pub hard: Duration,
    /// Facts for people to read.
    pub facts: Vec<(String, String)>,
}

impl StoredToken {
    /// A token without facts.
    #[must_use]
    pub fn new(token: impl Into<String>, stored: Duration, soft: Duration, hard: Duration) -> Self {
        Self {
            token: Secret::new(token),
            stored,
            soft,
            hard,
            facts: Vec::new(),
        }
    }
}

/// Keeps tokens outside this process. It never fails: a store that cannot be used is as good as an
/// empty one, and the token endpoint is asked.
///
/// ```
/// use gatepass_oauth::{CredentialKey, StoredToken, TokenStore};
///
/// /// Keeps nothing.
/// #[derive(Debug)]
/// struct Forgetful;
///
/// #[async_trait::async_trait]
/// impl TokenStore for Forgetful {
///     async fn load(&self, key: &CredentialKey) -> Option<StoredToken> {
///         assert_eq!(key.to_string().len(), 64);
///         None
///     }
///     async fn lock(&self, _: &CredentialKey) -> Box<dyn std::any::Any + Send> {
///         Box::new(())
///     }
///     async fn save(&self, _: &CredentialKey, _: &StoredToken) {}
/// }
/// ```
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// What is kept for this key.
    async fn load(&self, key: &CredentialKey) -> Option<StoredToken>;

    /// Waits, bounded, until nobody else exchanges for this key; dropping the guard lets the next
    /// one in.
    async fn lock(&self, key: &CredentialKey) -> Box<dyn Any + Send>;

    /// Keeps a token.
    async fn save(&self, key: &CredentialKey, token: &StoredToken);
}

/// The store of one credential.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) key: CredentialKey,
}

impl Kept {
    /// The kept token as a lease, if it is fresh: within its soft deadline, stored in our past.
    pub(crate) async fn fresh(&self, now: Now) -> Option<Lease> {
        let kept = self.store.load(&self.key).await?;
        let wall = now.wall();
        if wall < kept.stored || wall >= kept.soft || kept.soft > kept.hard {
            return None;
        }
        let header = Bearer::header(kept.token.expose()).ok()?;
        let known = |name: &str| {
            let names = ["lifetime", "scope", "note"];
            names.into_iter().find(|known| *known == name)
        };
        let facts = kept.facts.into_iter();
        let facts = facts.filter_map(|(name, fact)| Some((known(&name)?, fact)));
        Some(
            Lease::headers(vec![(AUTHORIZATION, header)])
                .until(now.after(kept.soft - wall), now.after(kept.hard - wall))
                .with_facts(facts.collect()),
        )
    }

    pub(crate) async fn save(&self, lease: &Lease, now: Now) {
        let (Material::Headers(headers), Some(soft), Some(hard)) =
            (lease.material(), lease.soft(), lease.hard())
        else {
            return;
        };
        let token = headers.first().and_then(|(_, value)| value.to_str().ok());
        let Some(token) = token.and_then(|value| value.strip_prefix("Bearer ")) else {
            return;
        };
        let mut kept = StoredToken::new(token, now.wall(), soft.wall(), hard.wall());
        let facts = lease.facts().iter();
        kept.facts = facts
            .map(|(name, fact)| ((*name).to_owned(), fact.clone()))
            .collect();
        self.store.save(&self.key, &kept).await;
    }
}
