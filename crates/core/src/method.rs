//! The method trait: one way to authenticate.
//!
//! ```text
//!   request ──> needs ──> apply ──ok──────────────────────────> upstream ──> observe
//!                           │                                     ▲            │
//!                           └─not ready─> prepare ─Ready─> apply ─┘   renew: prepare, apply once more
//! ```
//!
//! `apply` runs on every request: no I/O, no await. `prepare` is the cold path.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::clock::Now;
use crate::error::AuthError;
use crate::lease::{Lease, Stamp};
use crate::request::RequestView;

/// One way to authenticate, bound to one credential.
///
/// No hook has a default body, because a wrapper that forgets to forward one would be a silent bug.
/// Most methods do not implement this by hand: see [`HeaderMethod`](crate::HeaderMethod) and
/// [`SigningMethod`](crate::SigningMethod).
///
/// ```
/// use gatepass_core::{AuthMethod, Bearer, BodyNeed, Stage};
/// let method = Bearer::method("abc");
/// assert!(method.owned().has_header("authorization"));
/// assert_eq!((method.needs(), method.stage()), (BodyNeed::Nothing, Stage::Header));
/// ```
#[async_trait]
pub trait AuthMethod: fmt::Debug + Send + Sync + 'static {
    /// The headers and query keys it writes: stripped from what callers send, dropped across origins.
    fn owned(&self) -> &Owned;

    /// What it must know of the body; asked before the body is read.
    fn needs(&self) -> BodyNeed;

    /// When it runs among the methods of one deployment.
    fn stage(&self) -> Stage;

    /// Adds the credential. No I/O, no await; idempotent; the request is unchanged on `Err`.
    ///
    /// `ready` is what [`AuthMethod::prepare`] handed to this very attempt, if it was called.
    ///
    /// # Errors
    /// [`NotApplied::NotReady`] asks for one `prepare`; [`NotApplied::Failed`] ends the call.
    fn apply(
        &self,
        request: &mut RequestView<'_>,
        ready: Option<&Ready>,
        now: Now,
    ) -> Result<Applied, NotApplied>;

    /// Obtains or renews what `apply` needs. Concurrent calls share the work, and a caller that
    /// goes away never harms the others.
    ///
    /// # Errors
    /// When there is nothing to be had now; the error says why and whether to try again.
    async fn prepare(&self, why: Why) -> Result<Ready, AuthError>;

    /// Looks at the response to a request that carried `applied`, and says what to do.
    fn observe(&self, applied: &Applied, response: &ResponseView<'_>) -> Verdict;

    /// What it holds now, for those who watch it. Obtains nothing.
    fn held(&self) -> Holding;
}

/// A shared method.
///
/// ```
/// let methods: Vec<gatepass_core::SharedMethod> = vec![gatepass_core::Bearer::method("abc")];
/// # drop(methods);
/// ```
pub type SharedMethod = Arc<dyn AuthMethod>;

/// The headers and query keys a method writes.
///
/// ```
/// let owned = gatepass_core::Owned::headers(vec!["api-key".parse().unwrap()]);
/// assert!(owned.has_header("Api_Key"), "many servers take one for the other");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owned {
    /// Header names.
    pub headers: Vec<HeaderName>,
    /// Query keys.
    pub query: Vec<String>,
    /// How people write a header name, where they were asked.
    spellings: Vec<(HeaderName, String)>,
}

impl Owned {
    /// Owns these headers and no query key.
    #[must_use]
    pub fn headers(headers: Vec<HeaderName>) -> Self {
        Self {
            headers,
            ..Self::default()
        }
    }

    /// Owns this header, spelled like this where people read it.
    #[must_use]
    pub fn spelled(name: HeaderName, spelling: &str) -> Self {
        let spellings = vec![(name.clone(), spelling.to_owned())];
        Self {
            headers: vec![name],
            spellings,
            ..Self::default()
        }
    }

    /// How people write this header name; on the wire the case of it means nothing.
    #[must_use]
    pub fn spelling<'a>(&'a self, name: &'a HeaderName) -> &'a str {
        let known = self.spellings.iter().find(|(of, _)| of == name);
        match known {
            Some((_, spelling)) => spelling,
            None if name == http::header::AUTHORIZATION => "Authorization",
            None => name.as_str(),
        }
    }

    /// Takes over what another one owns.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.headers.extend(other.headers.iter().cloned());
        self.query.extend(other.query.iter().cloned());
        self.spellings.extend(other.spellings.iter().cloned());
    }

    /// Whether this header belongs to the method, `_` and `-` being the same to many servers.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        let fold = |c: u8| {
            if c == b'_' {
                b'-'
            } else {
                c.to_ascii_lowercase()
            }
        };
        self.headers
            .iter()
            .any(|own| own.as_str().bytes().map(fold).eq(name.bytes().map(fold)))
    }
}

/// What a method must know of the body.
///
/// ```
/// use gatepass_core::BodyNeed;
/// assert!(BodyNeed::Nothing < BodyNeed::Sha256 && BodyNeed::Sha256 < BodyNeed::Bytes);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BodyNeed {
    /// Nothing.
    Nothing,
    /// Its SHA-256 digest; all its bytes will do as well.
    Sha256,
    /// All its bytes.
    Bytes,
}

/// When a method runs: headers first, then query keys, and a signer last.
///
/// ```
/// use gatepass_core::Stage;
/// assert!(Stage::Header < Stage::Query && Stage::Query < Stage::Sign);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Writes headers.
    Header,
    /// Writes query keys.
    Query,
    /// Signs what the others wrote; at most one for a deployment.
    Sign,
}

/// Why [`AuthMethod::prepare`] is called.
///
/// ```
/// use gatepass_core::{Stamp, Why};
/// let stamp = Stamp::next();
/// assert_ne!(Why::Rejected(stamp), Why::NotReady);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// `apply` had nothing it could use.
    NotReady,
    /// The upstream rejected the lease with this stamp.
    Rejected(Stamp),
}

/// A lease in the hands of a caller that waited for it; serves that caller even if already old.
///
/// ```
/// use gatepass_core::{Lease, Ready};
/// let lease = std::sync::Arc::new(Lease::headers(vec![]));
/// assert_eq!(Ready::new(lease.clone()).lease().stamp(), lease.stamp());
/// ```
#[derive(Clone, Debug)]
pub struct Ready(Arc<Lease>);

impl Ready {
    /// Hands over a lease.
    #[must_use]
    pub fn new(lease: Arc<Lease>) -> Self {
        Self(lease)
    }

    /// The lease.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.0
    }
}

/// What a method holds now: for metrics and status pages, never for requests.
///
/// ```
/// use gatepass_core::{AuthMethod, Bearer, NoAuth};
/// assert!(!NoAuth::default().held().needed);
/// let bearer = Bearer::method("abc").held();
/// assert!(bearer.needed && bearer.lease.is_none(), "its secret was not read yet");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Holding {
    /// Whether calls need a lease at all.
    pub needed: bool,
    /// The lease that calls are sent with; it may be past its deadlines.
    pub lease: Option<Arc<Lease>>,
    /// Where leases come from, as far as that is known: a token endpoint, a program. Nothing secret.
    pub source: Option<String>,
}

impl Holding {
    /// Calls need nothing.
    pub const NOT_NEEDED: Self = Self {
        needed: false,
        lease: None,
        source: None,
    };

    /// Calls need a lease; this one is held, if one is.
    #[must_use]
    pub fn of(lease: Option<Arc<Lease>>) -> Self {
        Self {
            needed: true,
            lease,
            source: None,
        }
    }

    /// The same, and leases come from there.
    #[must_use]
    pub fn from_source(mut self, source: Option<&str>) -> Self {
        self.source = source.map(str::to_owned);
        self
    }
}

/// What was put on a request.
///
/// ```
/// use gatepass_core::{Applied, Stamp};
/// let stamp = Stamp::next();
/// assert_eq!(Applied::from(stamp).stamp, Some(stamp));
/// assert_eq!(Applied::NOTHING.stamp, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The lease it came from; `None` where there is none (`none`).
    pub stamp: Option<Stamp>,
}

impl Applied {
    /// Nothing was added, and nothing had to be.
    pub const NOTHING: Self = Self { stamp: None };

    /// Something was added from this lease.
    #[must_use]
    pub const fn from(stamp: Stamp) -> Self {
        Self { stamp: Some(stamp) }
    }
}

/// Why a request carries no credential.
///
/// ```
/// use gatepass_core::{AuthError, ErrorKind, NotApplied};
/// let failed = NotApplied::Failed(AuthError::new(ErrorKind::Body, "the body streams: send bytes"));
/// assert!(!matches!(failed, NotApplied::NotReady));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum NotApplied {
    /// Nothing usable is held: call `prepare`, then `apply` once more.
    NotReady,
    /// It cannot be done.
    Failed(AuthError),
}

/// A response as a method sees it.
///
/// ```
/// let headers = http::HeaderMap::new();
/// let view = gatepass_core::ResponseView::head(http::StatusCode::UNAUTHORIZED, &headers);
/// assert!(view.body.is_none());
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ResponseView<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The beginning of the body, where a method asked for it.
    pub body: Option<&'a [u8]>,
}

impl<'a> ResponseView<'a> {
    /// A response whose body nobody has read.
    #[must_use]
    pub fn head(status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self {
            status,
            headers,
            body: None,
        }
    }

    /// The same with the beginning of its body.
    #[must_use]
    pub fn with_body(mut self, beginning: &'a [u8]) -> Self {
        self.body = Some(beginning);
        self
    }
}

/// What a response says about the credential.
///
/// ```
/// use gatepass_core::{Applied, Bearer, ResponseView, Verdict};
/// let headers = http::HeaderMap::new();
/// let refused = ResponseView::head(http::StatusCode::UNAUTHORIZED, &headers);
/// // A literal token cannot be renewed: the answer is the caller's.
/// assert_eq!(Bearer::method("abc").observe(&Applied::NOTHING, &refused), Verdict::Refused);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It was accepted, or the response says nothing about it.
    Accepted,
    /// It was refused and renewing would not help: the response goes to the caller.
    Refused,
    /// It was refused, something newer is held already: send once more with that.
    Replay,
    /// It was refused: call `prepare` with the stamp, then send once more.
    Renew,
    /// Undecided: show up to this many bytes of the body.
    NeedsBody(usize),
}
