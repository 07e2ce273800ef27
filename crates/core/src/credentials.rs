//! The methods of one deployment as a whole: applied in stages, prepared when asked, observed.

use crate::clock::{Clock, Now};
use crate::error::{AuthError, ErrorKind};
use crate::lease::Stamp;
use crate::method::{
    Applied, BodyNeed, Holding, NotApplied, Owned, Ready, ResponseView, SharedMethod, Stage,
    Verdict, Why,
};
use crate::request::{BodyView, Outbound, RequestView};

/// The methods of one deployment, in the order they run.
///
/// ```
/// use gatepass_core::{Bearer, Credentials};
/// let credentials = Credentials::new(vec![Bearer::method("abc")])?;
/// assert!(credentials.owned().has_header("authorization"));
/// assert!(Credentials::new(vec![Bearer::method("a"), Bearer::method("b")]).is_err());
/// # Ok::<(), gatepass_core::AuthError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Credentials {
    methods: Vec<SharedMethod>,
    owned: Owned,
    needs: BodyNeed,
}

impl Credentials {
    /// Puts methods in the order of their stages, keeping the given order within a stage.
    ///
    /// # Errors
    /// When two of them write the same header or query key, or two of them sign.
    pub fn new(mut methods: Vec<SharedMethod>) -> Result<Self, AuthError> {
        methods.sort_by_key(|method| method.stage());
        if methods
            .iter()
            .filter(|method| method.stage() == Stage::Sign)
            .count()
            > 1
        {
            let message = "two methods sign the request: keep one";
            return Err(AuthError::new(ErrorKind::Definition, message));
        }
        let mut owned = Owned::default();
        for method in &methods {
            for name in &method.owned().headers {
                if owned.has_header(name.as_str()) {
                    let message = format!("two methods write the header {name}: keep one");
                    return Err(AuthError::new(ErrorKind::Definition, message));
                }
            }
            owned.extend(method.owned());
        }
        let needs = methods
            .iter()
            .map(|method| method.needs())
            .max()
            .unwrap_or(BodyNeed::Nothing);
        Ok(Self {
            methods,
            owned,
            needs,
        })
    }

    /// No method at all.
    pub(crate) fn none() -> Self {
        Self {
            methods: Vec::new(),
            owned: Owned::default(),
            needs: BodyNeed::Nothing,
        }
    }

    /// All that the methods write.
    #[must_use]
    pub fn owned(&self) -> &Owned {
        &self.owned
    }

    /// What they must know of the body.
    #[must_use]
    pub fn needs(&self) -> BodyNeed {
        self.needs
    }

    /// Adds all credentials to a request, preparing each method at most once.
    pub(crate) async fn authorize<T: Outbound>(
        &self,
        request: &mut T,
        body: BodyView<'_>,
        clock: &dyn Clock,
        mut attempt: Attempt,
    ) -> Result<AppliedAll, AuthError> {
        if self.needs > BodyNeed::Nothing && matches!(body, BodyView::Unread) {
            let message = "this method signs the body, and the body streams or is over the cap: send it as bytes";
            return Err(AuthError::new(ErrorKind::Body, message));
        }
        loop {
            let now = clock.now();
            let result = request.lend(body, |view| {
                let result = self.apply(view, &attempt, now);
                if result.is_err() {
                    self.strip(view);
                }
                result
            });
            match result {
                Ok(applied) => return Ok(applied),
                Err((_, NotApplied::Failed(error))) => return Err(error),
                Err((at, NotApplied::NotReady)) => {
                    if attempt.of(at).is_some() {
                        let message = "the method is not ready after it was prepared";
                        return Err(AuthError::new(ErrorKind::Definition, message));
                    }
                    attempt
                        .0
                        .push((at, self.methods[at].prepare(Why::NotReady).await?));
                }
            }
        }
    }

    /// Applies all methods if each is ready; nothing they own is left on the request if not.
    pub(crate) fn apply_now(
        &self,
        view: &mut RequestView<'_>,
        now: Now,
    ) -> Result<Option<AppliedAll>, AuthError> {
        match self.apply(view, &Attempt::default(), now) {
            Ok(applied) => Ok(Some(applied)),
            Err((_, cause)) => {
                self.strip(view);
                match cause {
                    NotApplied::NotReady => Ok(None),
                    NotApplied::Failed(error) => Err(error),
                }
            }
        }
    }

    fn apply(
        &self,
        view: &mut RequestView<'_>,
        attempt: &Attempt,
        now: Now,
    ) -> Result<AppliedAll, (usize, NotApplied)> {
        let mut all = AppliedAll {
            first: Applied::NOTHING,
            rest: Vec::new(),
        };
        for (at, method) in self.methods.iter().enumerate() {
            let applied = method
                .apply(view, attempt.of(at), now)
                .map_err(|cause| (at, cause))?;
            if at == 0 {
                all.first = applied
            } else {
                all.rest.push(applied)
            }
        }
        Ok(all)
    }

    /// Takes everything off a request that the methods would write.
    pub fn strip(&self, view: &mut RequestView<'_>) {
        for name in &self.owned.headers {
            view.remove_header(name);
        }
        for name in &self.owned.query {
            view.remove_query_pair(name);
        }
    }

    /// What each method holds now, for those who watch. Obtains nothing.
    #[must_use]
    pub fn held(&self) -> Vec<Holding> {
        self.methods.iter().map(|method| method.held()).collect()
    }

    /// What each method holds now, obtained where needed. For people to look at.
    ///
    /// # Errors
    /// When a credential is not to be had.
    pub async fn prepare(&self) -> Result<Vec<Ready>, AuthError> {
        let mut held = Vec::with_capacity(self.methods.len());
        for method in &self.methods {
            held.push(method.prepare(Why::NotReady).await?);
        }
        Ok(held)
    }

    /// What the methods say to a response, taken together: whoever wants to renew is heard.
    #[must_use]
    pub fn observe(&self, applied: &AppliedAll, response: &ResponseView<'_>) -> Verdict {
        let mut verdict = Verdict::Accepted;
        for (at, method) in self.methods.iter().enumerate() {
            let one = method.observe(applied.of(at), response);
            if rank(one) > rank(verdict) {
                verdict = one;
            }
        }
        verdict
    }

    /// Renews what the upstream rejected, for one replay.
    ///
    /// # Errors
    /// When nothing newer is to be had: the upstream's answer goes to the caller.
    pub async fn renew(
        &self,
        applied: &AppliedAll,
        response: &ResponseView<'_>,
    ) -> Result<Attempt, AuthError> {
        let mut attempt = Attempt::default();
        for (at, method) in self.methods.iter().enumerate() {
            let sent = applied.of(at);
            if let (Verdict::Renew, Some(stamp)) = (method.observe(sent, response), sent.stamp) {
                attempt
                    .0
                    .push((at, method.prepare(Why::Rejected(stamp)).await?));
            }
        }
        Ok(attempt)
    }
}

fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Accepted => 0,
        Verdict::Refused => 1,
        Verdict::NeedsBody(_) => 2,
        Verdict::Replay => 3,
        Verdict::Renew => 4,
    }
}

/// What was prepared for one attempt at sending.
///
/// ```
/// use gatepass_core::{Attempt, Bearer, BodyView, Deployment, Endpoint, SystemClock};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
/// let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
/// let mut request = http::Request::get("https://models.example.com/v1").body(()).unwrap();
///
/// let first = Attempt::default();
/// churn.authorize_with(&mut request, BodyView::Empty, &SystemClock, first).await?;
/// # Ok::<(), gatepass_core::AuthError>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Attempt(Vec<(usize, Ready)>);

impl Attempt {
    fn of(&self, at: usize) -> Option<&Ready> {
        self.0
            .iter()
            .find(|(of, _)| *of == at)
            .map(|(_, ready)| ready)
    }
}

/// What each method put on a request. One method, the usual case, needs no allocation.
///
/// ```
/// use gatepass_core::{Bearer, BodyView, Deployment, Endpoint, ResponseView, SystemClock};
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false).unwrap();
/// let churn = Deployment::new("churn", endpoint, vec![Bearer::method("abc")])?;
/// let mut request = http::Request::get("https://models.example.com/v1").body(()).unwrap();
///
/// let applied = churn.authorize(&mut request, BodyView::Empty, &SystemClock).await?;
/// let headers = http::HeaderMap::new();
/// let accepted = ResponseView::head(http::StatusCode::OK, &headers);
/// assert!(churn.reconsider(&applied, &accepted, true).await.is_none());
/// # Ok::<(), gatepass_core::AuthError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct AppliedAll {
    first: Applied,
    rest: Vec<Applied>,
}

impl AppliedAll {
    /// The number of the lease that the first method applied, for logs; `None` if it needs none.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        self.first.stamp
    }

    fn of(&self, at: usize) -> &Applied {
        match at {
            0 => &self.first,
            at => self.rest.get(at - 1).unwrap_or(&Applied::NOTHING),
        }
    }
}
