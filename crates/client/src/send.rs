//! A call being made: the credential is added, redirects are followed by our own rules, and a 401
//! is answered with one safe replay.
//!
//! Invariants: the credential, and all that the caller put on the request, goes to the deployment's
//! own origin only; https never becomes http; nothing is sent twice that cannot be.

use std::time::Duration;

use bytes::Bytes;
use gatepass_core::{Attempt, Origin, ResponseView};
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, COOKIE,
    LOCATION, PROXY_AUTHORIZATION,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::caller::Caller;
use crate::error::{Error, ErrorKind};
use crate::outgoing::{Outgoing, Payload, ReqwestOutbound};
use crate::response::Response;

/// How long the beginning of a body is waited for, piece by piece, where it has to be seen.
const LOOK: Duration = Duration::from_secs(2);

/// Redirects followed at most.
const MAX_REDIRECTS: usize = 10;

pub(crate) async fn send(caller: &Caller, mut outgoing: Outgoing) -> Result<Response, Error> {
    let call = Call::new(caller, &outgoing);
    let mut answer = call.to_deployment(&mut outgoing).await?;
    // Once a redirect has left the origin, nothing of the caller's goes along any more, not even
    // when another one leads back.
    let mut at_home = true;
    for _ in 0..MAX_REDIRECTS {
        let Some(location) = redirect_target(&answer.response, &outgoing.url) else {
            break;
        };
        let stays = at_home && Origin::of(&location).as_ref() == Some(caller.deployment().origin());
        let downgrade = outgoing.url.scheme() == "https" && location.scheme() == "http";
        if downgrade || !may_follow(answer.response.status(), stays, &outgoing) {
            break;
        }
        rewrite(&mut outgoing, answer.response.status(), location, stays);
        at_home = stays;
        answer = if stays {
            call.to_deployment(&mut outgoing).await?
        } else {
            let client = caller.connections().foreign(caller.deployment())?;
            let response = call.execute(client, outgoing.attempt()).await?;
            let seen = Vec::new();
            Answer { response, seen }
        };
    }
    Ok(Response::new(
        answer.response,
        answer.seen,
        caller.clone(),
        call.idle,
        call.deadline,
    ))
}

/// An answer, with the beginning of its body where that had to be seen.
struct Answer {
    response: reqwest::Response,
    seen: Vec<Bytes>,
}

/// The time limits of one call, redirects and replay included.
struct Call<'a> {
    caller: &'a Caller,
    first_byte: Duration,
    idle: Duration,
    deadline: Option<Instant>,
}

impl<'a> Call<'a> {
    fn new(caller: &'a Caller, outgoing: &Outgoing) -> Self {
        let transport = caller.deployment().transport();
        let total = outgoing.total_timeout.or(transport.total_timeout);
        Self {
            caller,
            first_byte: transport.first_byte_timeout,
            idle: transport.idle_timeout,
            // A limit beyond the end of time is none.
            deadline: total.and_then(|total| now().checked_add(total)),
        }
    }

    /// Sends with the credential; after a refusal once more with a renewed one, where that is safe.
    async fn to_deployment(&self, outgoing: &mut Outgoing) -> Result<Answer, Error> {
        let deployment = self.caller.deployment();
        let mut attempt = Attempt::default();
        let mut replayed = false;
        loop {
            let mut request = outgoing.attempt();
            let mut lent = ReqwestOutbound(&mut request);
            let authorize = deployment.authorize_with(
                &mut lent,
                outgoing.body_view(),
                self.caller.clock(),
                attempt,
            );
            let applied = self.in_time(authorize).await?;
            let applied = applied.map_err(|error| Error::of_auth(error, self.caller.name()))?;
            let mut response = self
                .execute(self.caller.connections().own(), request)
                .await?;
            let head = ResponseView::head(response.status(), response.headers());
            let wanted = deployment.wants_body(&applied, &head);
            let seen = match wanted {
                Some(bytes) => self.beginning(&mut response, bytes).await?,
                None => Vec::new(),
            };
            let body = seen.concat();
            let mut view = ResponseView::head(response.status(), response.headers());
            if wanted.is_some() {
                view = view.with_body(&body);
            }
            let limit = deployment.transport().replay_body_limit;
            let repeatable = outgoing.can_repeat() && outgoing.is_within(limit) && !replayed;
            let again = self.in_time(deployment.reconsider(&applied, &view, repeatable));
            let Ok(Some(again)) = again.await else {
                return Ok(Answer { response, seen });
            };
            tracing::debug!(
                deployment = self.caller.name(),
                "credential refused, sending once more"
            );
            (attempt, replayed) = (again, true);
        }
    }

    async fn execute(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, Error> {
        let first_byte = now().checked_add(self.first_byte);
        let limit = match (first_byte, self.deadline) {
            (Some(first_byte), Some(deadline)) => Some(first_byte.min(deadline)),
            (one, other) => one.or(other),
        };
        let executing = client.execute(request);
        let result = match limit {
            Some(limit) => timeout_at(limit, executing)
                .await
                .map_err(|_| self.timed_out())?,
            None => executing.await,
        };
        result.map_err(|error| {
            let origin = self.caller.deployment().origin().to_string();
            Error::of_reqwest(&error, self.caller.name(), &origin)
        })
    }

    /// The first pieces of the body, until there are that many bytes. A pause or a break in it ends
    /// the look: whoever reads on meets it again.
    async fn beginning(
        &self,
        response: &mut reqwest::Response,
        bytes: usize,
    ) -> Result<Vec<Bytes>, Error> {
        let mut seen: Vec<Bytes> = Vec::new();
        while seen.iter().map(Bytes::len).sum::<usize>() < bytes {
            let limit = now().checked_add(LOOK);
            let limit = limit.into_iter().chain(self.deadline).min();
            let piece = match limit {
                Some(limit) => match timeout_at(limit, response.chunk()).await {
                    Ok(piece) => piece,
                    Err(_) => break,
                },
                None => response.chunk().await,
            };
            match piece {
                Ok(Some(piece)) => seen.push(piece),
                Ok(None) => break,
                Err(error) => {
                    let origin = self.caller.deployment().origin().to_string();
                    return Err(Error::of_reqwest(&error, self.caller.name(), &origin));
                }
            }
        }
        Ok(seen)
    }

    /// Waits no longer than the whole call may take.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        match self.deadline {
            Some(deadline) => timeout_at(deadline, work)
                .await
                .map_err(|_| self.timed_out()),
            None => Ok(work.await),
        }
    }

    fn timed_out(&self) -> Error {
        let what =
            "no answer in time: raise first_byte_timeout or total_timeout if it needs longer";
        Error::new(ErrorKind::Timeout, self.caller.name(), what)
    }
}

fn now() -> Instant {
    Instant::now()
}

/// Where a redirect leads, if the response is one that says so in a usable way.
fn redirect_target(response: &reqwest::Response, from: &Url) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut url = from.join(location).ok()?;
    let usable = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none();
    url.set_fragment(None);
    usable.then_some(url)
}

/// Whether a redirect is followed, or given to the caller.
fn may_follow(status: StatusCode, stays: bool, outgoing: &Outgoing) -> bool {
    let keeps_body = matches!(status.as_u16(), 307 | 308);
    match (stays, keeps_body) {
        (true, true) => outgoing.can_repeat(),
        (true, false) => true,
        // A prompt is data too: it does not go to another origin.
        (false, true) => false,
        (false, false) => true,
    }
}

/// The request as it goes to the next place (RFC 9110 s15.4).
fn rewrite(outgoing: &mut Outgoing, status: StatusCode, location: Url, stays: bool) {
    outgoing.url = location;
    let keeps = matches!(outgoing.method, Method::GET | Method::HEAD);
    let becomes_get = status == StatusCode::SEE_OTHER || !keeps;
    if !stays || (becomes_get && !matches!(status.as_u16(), 307 | 308)) {
        if outgoing.method != Method::HEAD {
            outgoing.method = Method::GET;
        }
        outgoing.payload = Payload::Empty;
        for name in [
            CONTENT_TYPE,
            CONTENT_LENGTH,
            CONTENT_ENCODING,
            CONTENT_LANGUAGE,
        ] {
            outgoing.headers.remove(name);
        }
    }
    if !stays {
        outgoing.headers = harmless(&outgoing.headers);
    }
}

/// What may go to another origin: what describes the wanted answer, nothing that may be a key.
fn harmless(headers: &HeaderMap) -> HeaderMap {
    let may_go = |name: &HeaderName| {
        matches!(
            name.as_str(),
            "accept" | "accept-encoding" | "accept-language" | "user-agent"
        ) && ![AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
    };
    headers
        .iter()
        .filter(|(name, _)| may_go(name))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}
