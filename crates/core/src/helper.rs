//! Two short ways to write a method: say where headers come from, or how to sign.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_lock::Mutex;
use async_trait::async_trait;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::clock::Now;
use crate::error::{AuthError, ErrorKind};
use crate::lease::{Lease, LeaseCell, Material};
use crate::method::{
    Applied, AuthMethod, BodyNeed, Holding, NotApplied, Owned, Ready, ResponseView, Stage, Verdict,
    Why,
};
use crate::request::RequestView;

/// Where the headers of a credential come from; [`HeaderMethod`] makes a method of it.
///
/// ```
/// use gatepass_core::{AuthError, AuthMethod, HeaderMethod, HeaderSource, Owned, header};
/// use http::{HeaderName, HeaderValue};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// #[async_trait::async_trait]
/// impl HeaderSource for Vault {
///     async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
///         let value = header::sensitive(b"from the vault".to_vec()).unwrap();
///         Ok(vec![(HeaderName::from_static("x-key"), value)])
///     }
///     fn may_change(&self) -> bool {
///         true
///     }
/// }
///
/// let method = HeaderMethod::new(Owned::headers(vec![HeaderName::from_static("x-key")]), Vault);
/// assert!(method.owned().has_header("x-key"));
/// ```
#[async_trait]
pub trait HeaderSource: fmt::Debug + Send + Sync + 'static {
    /// Makes the headers from the secrets as they are now.
    ///
    /// # Errors
    /// When a secret is not there or cannot be used.
    async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError>;

    /// Whether the secrets may have changed, so that a 401 is worth another look at them.
    fn may_change(&self) -> bool;
}

/// A method that puts headers on requests which stay the same until their secret changes.
///
/// The headers are made once, on first use; a request only clones them. On a 401 the secrets are
/// read again where they may have changed, and the call is replayed only if they did.
///
/// See [`HeaderSource`] for a whole one.
///
/// ```
/// # use gatepass_core::{AuthError, AuthMethod, HeaderMethod, HeaderSource, Owned, header};
/// # use http::{HeaderName, HeaderValue};
/// #
/// # #[derive(Debug)]
/// # struct Vault;
/// #
/// # #[async_trait::async_trait]
/// # impl HeaderSource for Vault {
/// #     async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
/// #         let value = header::sensitive(b"from the vault".to_vec()).unwrap();
/// #         Ok(vec![(HeaderName::from_static("x-key"), value)])
/// #     }
/// #     fn may_change(&self) -> bool {
/// #         true
/// #     }
/// # }
/// #
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let method = HeaderMethod::new(Owned::headers(vec![HeaderName::from_static("x-key")]), Vault);
/// let endpoint = gatepass_core::Endpoint::parse(Some("https://h.test/"), None, false).unwrap();
/// let vault = gatepass_core::Deployment::new("v", endpoint, vec![std::sync::Arc::new(method)])?;
/// assert_eq!(vault.headers(&gatepass_core::SystemClock).await?["x-key"], "from the vault");
/// # Ok::<(), AuthError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct HeaderMethod<S> {
    source: S,
    owned: Owned,
    cell: LeaseCell,
    /// Held while secrets are read, so that many callers read them once.
    loading: Mutex<()>,
}

impl<S: HeaderSource> HeaderMethod<S> {
    /// A method that owns these headers and takes their values from `source`.
    #[must_use]
    pub fn new(owned: Owned, source: S) -> Self {
        Self {
            source,
            owned,
            cell: LeaseCell::new(),
            loading: Mutex::new(()),
        }
    }

    async fn load(&self) -> Result<Arc<Lease>, AuthError> {
        Ok(Arc::new(Lease::headers(self.source.headers().await?)))
    }
}

#[async_trait]
impl<S: HeaderSource> AuthMethod for HeaderMethod<S> {
    fn owned(&self) -> &Owned {
        &self.owned
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
        put_headers(&self.cell, request, ready, now)
    }

    async fn prepare(&self, why: Why) -> Result<Ready, AuthError> {
        let _one_at_a_time = self.loading.lock().await;
        let held = self.cell.current();
        let rejected = match why {
            Why::NotReady => None,
            Why::Rejected(stamp) => held.as_ref().filter(|lease| lease.stamp() == stamp),
        };
        match (&held, rejected) {
            (Some(lease), None) => Ok(Ready::new(Arc::clone(lease))),
            (_, rejected) => {
                let lease = self.load().await?;
                if rejected.is_some_and(|old| same_headers(old, &lease)) {
                    let message = "the rejected secret is still the same where it came from";
                    return Err(AuthError::new(ErrorKind::Unchanged, message));
                }
                self.cell.replace(Arc::clone(&lease));
                Ok(Ready::new(lease))
            }
        }
    }

    fn observe(&self, applied: &Applied, response: &ResponseView<'_>) -> Verdict {
        observe_unauthorized(
            &self.cell,
            applied,
            response.status,
            self.source.may_change(),
        )
    }

    fn held(&self) -> Holding {
        Holding::of(self.cell.current())
    }
}

/// Puts the headers of the lease on the request: from `ready` if given, else from the cell while
/// its lease is live. Shared by every method whose credential is a header.
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::{BodyView, Clock, Lease, LeaseCell, Outbound, SystemClock, header, put_headers};
/// let cell = LeaseCell::new();
/// let value = header::sensitive(b"abc".to_vec()).unwrap();
/// cell.replace(Arc::new(Lease::headers(vec![(header::name("x-key").unwrap(), value)])));
/// let mut request = http::Request::get("https://h.test/").body(()).unwrap();
/// request.lend(BodyView::Empty, |view| put_headers(&cell, view, None, SystemClock.now())).unwrap();
/// assert_eq!(request.headers()["x-key"], "abc");
/// ```
///
/// # Errors
/// [`NotApplied::NotReady`] when nothing usable is held.
pub fn put_headers(
    cell: &LeaseCell,
    request: &mut RequestView<'_>,
    ready: Option<&Ready>,
    now: Now,
) -> Result<Applied, NotApplied> {
    let mut put = |lease: &Lease| {
        let Material::Headers(headers) = lease.material() else {
            return Err(NotApplied::NotReady);
        };
        for (name, value) in headers {
            request.set_header(name.clone(), value.clone());
        }
        Ok(Applied::from(lease.stamp()))
    };
    match ready {
        Some(ready) => put(ready.lease()),
        None => cell
            .read(|lease| {
                if lease.is_live(now) {
                    put(lease)
                } else {
                    Err(NotApplied::NotReady)
                }
            })
            .unwrap_or(Err(NotApplied::NotReady)),
    }
}

/// The common verdict: a 401 refuses exactly the lease that was sent.
///
/// ```
/// use gatepass_core::{Applied, LeaseCell, Stamp, Verdict, observe_unauthorized};
/// let sent = Applied::from(Stamp::next());
/// let verdict = observe_unauthorized(&LeaseCell::new(), &sent, http::StatusCode::UNAUTHORIZED, true);
/// assert_eq!(verdict, Verdict::Renew);
/// ```
#[must_use]
pub fn observe_unauthorized(
    cell: &LeaseCell,
    applied: &Applied,
    status: StatusCode,
    renewable: bool,
) -> Verdict {
    if status != StatusCode::UNAUTHORIZED {
        return Verdict::Accepted;
    }
    match (applied.stamp, cell.read(Lease::stamp)) {
        (Some(sent), Some(held)) if sent != held => Verdict::Replay,
        (Some(_), _) if renewable => Verdict::Renew,
        _ => Verdict::Refused,
    }
}

fn same_headers(left: &Lease, right: &Lease) -> bool {
    match (left.material(), right.material()) {
        (Material::Headers(left), Material::Headers(right)) => left == right,
        _ => false,
    }
}

/// How to sign a request with key material; [`SigningMethod`] makes a method of it.
///
/// `examples/hmac_signing.rs` of this crate is a whole method built on it.
///
/// ```
/// use gatepass_core::{AuthError, AuthMethod, BodyNeed, Now, RequestView, Signer, SigningMethod, Stage};
/// use http::{HeaderName, HeaderValue};
///
/// /// Writes the path under its own name: a real one would sign it.
/// #[derive(Debug)]
/// struct Path;
///
/// #[async_trait::async_trait]
/// impl Signer for Path {
///     type Key = ();
///     fn needs(&self) -> BodyNeed {
///         BodyNeed::Nothing
///     }
///     async fn key(&self) -> Result<(), AuthError> {
///         Ok(())
///     }
///     fn sign(&self, (): &(), request: &mut RequestView<'_>, _: Now) -> Result<(), AuthError> {
///         if let Ok(path) = HeaderValue::from_str(request.path()) {
///             request.set_header(HeaderName::from_static("x-path"), path);
///         }
///         Ok(())
///     }
/// }
///
/// let method = SigningMethod::new(vec![HeaderName::from_static("x-path")], Path);
/// assert_eq!(method.stage(), Stage::Sign);
/// ```
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync + 'static {
    /// The key material to sign with.
    type Key: Send + Sync + 'static;

    /// What it must know of the body.
    fn needs(&self) -> BodyNeed;

    /// Fetches the key as it is now.
    ///
    /// # Errors
    /// When it is not there or cannot be used.
    async fn key(&self) -> Result<Self::Key, AuthError>;

    /// Signs: writes its owned headers. The request must be unchanged on `Err`.
    ///
    /// # Errors
    /// When the request cannot be signed, for instance because its body streams.
    fn sign(
        &self,
        key: &Self::Key,
        request: &mut RequestView<'_>,
        now: Now,
    ) -> Result<(), AuthError>;
}

/// A method that signs each request, last of all methods.
///
/// See [`Signer`] for a whole one.
///
/// ```
/// # use gatepass_core::{AuthError, AuthMethod, BodyNeed, Now, RequestView, Signer, SigningMethod, Stage};
/// # use http::{HeaderName, HeaderValue};
/// #
/// # #[derive(Debug)]
/// # struct Path;
/// #
/// # #[async_trait::async_trait]
/// # impl Signer for Path {
/// #     type Key = ();
/// #     fn needs(&self) -> BodyNeed {
/// #         BodyNeed::Nothing
/// #     }
/// #     async fn key(&self) -> Result<(), AuthError> {
/// #         Ok(())
/// #     }
/// #     fn sign(&self, (): &(), request: &mut RequestView<'_>, _: Now) -> Result<(), AuthError> {
/// #         if let Ok(path) = HeaderValue::from_str(request.path()) {
/// #             request.set_header(HeaderName::from_static("x-path"), path);
/// #         }
/// #         Ok(())
/// #     }
/// # }
/// #
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let method = SigningMethod::new(vec![HeaderName::from_static("x-path")], Path);
/// let endpoint = gatepass_core::Endpoint::parse(Some("https://h.test/"), None, false).unwrap();
/// let signed = gatepass_core::Deployment::new("s", endpoint, vec![std::sync::Arc::new(method)])?;
/// let mut request = http::Request::get("https://h.test/v1").body(()).unwrap();
/// signed.authorize(&mut request, gatepass_core::BodyView::Empty, &gatepass_core::SystemClock).await?;
/// assert_eq!(request.headers()["x-path"], "/v1");
/// # Ok::<(), AuthError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct SigningMethod<S> {
    signer: S,
    owned: Owned,
    cell: LeaseCell,
    loading: Mutex<()>,
}

impl<S: Signer> SigningMethod<S> {
    /// A method that owns `names` and signs with `signer`.
    #[must_use]
    pub fn new(names: Vec<HeaderName>, signer: S) -> Self {
        let owned = Owned::headers(names);
        Self {
            signer,
            owned,
            cell: LeaseCell::new(),
            loading: Mutex::new(()),
        }
    }

    fn sign(
        &self,
        lease: &Lease,
        request: &mut RequestView<'_>,
        now: Now,
    ) -> Result<Applied, NotApplied> {
        let key = match lease.material() {
            Material::Key(key) => key.downcast_ref::<S::Key>().ok_or(NotApplied::NotReady)?,
            Material::Headers(_) => return Err(NotApplied::NotReady),
        };
        self.signer
            .sign(key, request, now)
            .map_err(NotApplied::Failed)?;
        Ok(Applied::from(lease.stamp()))
    }
}

#[async_trait]
impl<S: Signer> AuthMethod for SigningMethod<S> {
    fn owned(&self) -> &Owned {
        &self.owned
    }

    fn needs(&self) -> BodyNeed {
        self.signer.needs()
    }

    fn stage(&self) -> Stage {
        Stage::Sign
    }

    fn apply(
        &self,
        request: &mut RequestView<'_>,
        ready: Option<&Ready>,
        now: Now,
    ) -> Result<Applied, NotApplied> {
        match ready {
            Some(ready) => self.sign(ready.lease(), request, now),
            None => self
                .cell
                .read(|lease| {
                    if lease.is_live(now) {
                        self.sign(lease, request, now)
                    } else {
                        Err(NotApplied::NotReady)
                    }
                })
                .unwrap_or(Err(NotApplied::NotReady)),
        }
    }

    async fn prepare(&self, why: Why) -> Result<Ready, AuthError> {
        let _one_at_a_time = self.loading.lock().await;
        if let (Some(lease), Why::NotReady) = (self.cell.current(), why) {
            return Ok(Ready::new(lease));
        }
        let key: Arc<dyn Any + Send + Sync> = Arc::new(self.signer.key().await?);
        let lease = Arc::new(Lease::key(key));
        self.cell.replace(Arc::clone(&lease));
        Ok(Ready::new(lease))
    }

    fn observe(&self, applied: &Applied, response: &ResponseView<'_>) -> Verdict {
        observe_unauthorized(&self.cell, applied, response.status, false)
    }

    fn held(&self) -> Holding {
        Holding::of(self.cell.current())
    }
}
