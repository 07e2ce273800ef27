//! One request to one deployment: given its credential, sent, sent once more where its token was
//! rejected, answered.

use std::rc::Rc;

use bytes::Bytes;
use gatepass_core::{
    Attempt, AuthError, BodyNeed, BodyView, Destination, Outbound, RequestView, ResponseView,
    SystemClock,
};
use http::header::{CONNECTION, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::account::Account;
use crate::body::{Copy, Passing, RequestBody, linger};
use crate::forward::REQUEST_ID;
use crate::guard;
use crate::problem::{Part, Problem};
use crate::routes::Route;
use crate::strip;
use crate::tick::{Deadline, before};
use crate::tunnel::Tunnel;
use crate::upstream::{Borrowed, NoAnswer};

/// A request head on its way to a deployment, as a method sees it.
struct Outgoing<'a> {
    route: &'a Route,
    method: Method,
    /// Path and query.
    target: Uri,
    headers: HeaderMap,
}

impl Outbound for Outgoing<'_> {
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R {
        let origin = self.route.deployment.origin();
        let to = Destination {
            scheme: origin.scheme(),
            host: origin.host(),
            port: Some(origin.port()),
            path: self.target.path(),
            query: self.target.query().unwrap_or(""),
        };
        let mut view = RequestView::new(&self.method, to, &mut self.headers, body);
        let result = call(&mut view);
        if let Some(query) = view.into_changed_query() {
            let path = self.target.path();
            let changed = if query.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{query}")
            };
            // What a method writes into a query is encoded.
            if let Ok(changed) = parsed(changed) {
                self.target = changed;
            }
        }
        result
    }
}

impl Outgoing<'_> {
    /// Whether it may be processed twice (RFC 9110 s9.2.2): it reads only, or says how it is told apart.
    fn is_harmless(&self) -> bool {
        self.method.is_safe() || self.headers.contains_key("idempotency-key")
    }

    fn request(&self, body: RequestBody) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// Path and query of a request.
fn parsed(target: String) -> Result<Uri, Problem> {
    Uri::from_maybe_shared(Bytes::from(target)).map_err(|_| {
        let detail = "the path does not make a request: percent-encode it";
        Problem::new(StatusCode::BAD_REQUEST, Part::Gateway, detail)
    })
}

/// What follows the head of an answer.
pub(crate) enum Next {
    Body(Box<Passing>),
    Tunnel(Tunnel),
}

/// One request to one deployment.
pub(crate) struct Call<'a> {
    pub(crate) route: &'a Rc<Route>,
    /// Where the caller's path and query go on below the deployment's name.
    pub(crate) rest: usize,
    pub(crate) request_id: &'a HeaderValue,
    /// What of the caller's headers has to go.
    pub(crate) found: strip::Found,
    /// The caller wants to switch protocols.
    pub(crate) switching: bool,
}

impl Call<'_> {
    pub(crate) async fn forward(
        &self,
        mut request: Request<Incoming>,
        deadline: Deadline,
        account: &mut Account,
    ) -> Result<(Response<()>, Next), Problem> {
        let (route, deployment) = (self.route, &self.route.deployment);
        let credential = |error: &AuthError| Problem::credential(error);
        let path = guard::path_and_query(request.uri());
        let target = deployment
            .request_target(path.get(self.rest..).unwrap_or_default())
            .map_err(|error| credential(&error))?;
        let switching = self.switching.then(|| hyper::upgrade::on(&mut request));
        let (parts, incoming) = request.into_parts();
        let mut headers = parts.headers;
        let owned = deployment.credentials().owned();
        let (upgrade, stripped) = strip::request(&mut headers, self.found, owned);
        account.stripped(stripped);
        headers.insert(HOST, route.host.clone());
        headers.insert(REQUEST_ID, self.request_id.clone());
        if let Some(protocol) = &upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol.clone());
        }
        let mut outgoing = Outgoing {
            route,
            method: parts.method,
            target: parsed(target)?,
            headers,
        };
        let settings = deployment.transport();
        let body = self.body(incoming).await?;
        let copy = match &body {
            RequestBody::Streaming(_, copy) => Some(Rc::clone(copy)),
            _ => None,
        };
        let again = |body: &RequestBody| match body {
            RequestBody::Pieces(pieces) => Some(RequestBody::Pieces(pieces.clone())),
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Streaming(..) => None,
        };
        let kept = again(&body);
        // What is to be signed was read as one piece.
        let whole = match &body {
            RequestBody::Pieces(pieces) => pieces.front().cloned(),
            _ => None,
        };
        let view = || match (&whole, &kept) {
            (Some(bytes), _) => BodyView::Bytes(bytes),
            (None, Some(_)) => BodyView::Empty,
            (None, None) => BodyView::Unread,
        };
        let total = settings.total_timeout.map(|limit| {
            let total = Deadline::new();
            total.set(limit);
            total
        });
        let first_byte = settings
            .total_timeout
            .map_or(settings.first_byte_timeout, |total| {
                total.min(settings.first_byte_timeout)
            });
        let repeat = || {
            let kept = kept.as_ref().and_then(again);
            kept.or_else(|| copy.as_ref().and_then(|copy| copy.again()))
        };
        let mut body = body;
        let mut attempt = Attempt::default();
        let mut replayed = false;
        let mut resent = false;
        loop {
            let ready = if replayed {
                Ok(None)
            } else {
                deployment.authorize_now(&mut outgoing, view(), &SystemClock)
            };
            let applied = match ready.map_err(|error| credential(&error))? {
                Some(applied) => applied,
                None => {
                    let next_attempt = std::mem::take(&mut attempt);
                    let authorize = deployment.authorize_with(
                        &mut outgoing,
                        view(),
                        &SystemClock,
                        next_attempt,
                    );
                    let applied = Box::pin(authorize).await;
                    applied.map_err(|error| credential(&error))?
                }
            };
            account.sent_with(applied.stamp());
            deadline.set(first_byte);
            let request = outgoing.request(body);
            let sent = before(&deadline, route.pool.send(request)).await;
            account.answered();
            let (response, borrowed) = match sent {
                Some(Ok(answer)) => answer,
                Some(Err(NoAnswer::Broke { kept: true })) if !resent && outgoing.is_harmless() => {
                    // The upstream closes kept connections when it likes (RFC 9112 s9.3.1).
                    let Some(next) = repeat() else {
                        return Err(self.no_answer(NoAnswer::Broke { kept: true }));
                    };
                    (resent, body) = (true, next);
                    continue;
                }
                Some(Err(NoAnswer::Body))
                    if copy.as_ref().is_some_and(|copy| copy.is_too_long()) =>
                {
                    return Err(self.too_long());
                }
                Some(Err(why)) => return Err(self.no_answer(why)),
                None => {
                    let detail = format!(
                        "deployment \"{}\" did not begin to answer within {} s: raise first_byte_timeout (or total_timeout) if that is normal",
                        deployment.name(),
                        first_byte.as_secs()
                    );
                    return Err(Problem::upstream(StatusCode::GATEWAY_TIMEOUT, detail));
                }
            };
            let mut answer = Answer {
                response,
                borrowed,
                peeked: Vec::new(),
                cut: false,
            };
            if response_may_reject(answer.response.status()) {
                let next = repeat().filter(|_| !replayed && upgrade.is_none());
                let view = Box::pin(answer.peek(deployment, &applied, &deadline)).await;
                let seen = view.as_view(&answer.response);
                let reconsider = deployment.reconsider(&applied, &seen, next.is_some());
                let next_attempt = Box::pin(reconsider).await;
                if let (Some(again), Some(next)) = (next_attempt, next) {
                    account.replayed();
                    replayed = true;
                    attempt = again;
                    body = next;
                    continue;
                }
                (answer.peeked, answer.cut) = (view.pieces, view.cut);
            }
            if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none() {
                let detail = format!(
                    "deployment \"{}\" switched protocols, which nobody asked for: check its URL",
                    deployment.name()
                );
                return Err(Problem::upstream(StatusCode::BAD_GATEWAY, detail));
            }
            return Ok(self.answer(answer, switching, deadline, total));
        }
    }

    /// The caller's body: held whole where a method signs it, else copied as it streams.
    async fn body(&self, incoming: Incoming) -> Result<RequestBody, Problem> {
        let (deployment, limit) = (
            &self.route.deployment,
            self.route.deployment.transport().replay_body_limit,
        );
        if incoming.is_end_stream() {
            return Ok(RequestBody::Empty);
        }
        let most = deployment.limits().request_body;
        // What is said to be too long is refused before any of it is sent.
        if most.is_some_and(|most| incoming.size_hint().lower() > most) {
            if !self.found.asks_first() {
                linger(incoming);
            }
            return Err(self.too_long());
        }
        if deployment.credentials().needs() == BodyNeed::Nothing {
            return Ok(RequestBody::Streaming(incoming, Copy::new(limit, most)));
        }
        let limit = limit.min(most.unwrap_or(u64::MAX));
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match Box::pin(Limited::new(incoming, limit).collect()).await {
            Ok(whole) => Ok(RequestBody::Pieces([whole.to_bytes()].into())),
            Err(_) => {
                let detail = "the body is too long to be signed, or broke off: raise replay_body_limit, or send less";
                Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    Part::Gateway,
                    detail,
                ))
            }
        }
    }

    fn too_long(&self) -> Problem {
        let name = self.route.deployment.name();
        let detail = format!(
            "the body is longer than deployment \"{name}\" takes: send less, or raise request_body_limit"
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Part::Gateway, detail)
    }

    fn no_answer(&self, why: NoAnswer) -> Problem {
        let name = self.route.deployment.name();
        match why {
            NoAnswer::Unreachable(what) => Problem::upstream(
                StatusCode::BAD_GATEWAY,
                format!("deployment \"{name}\" is not reached: {what}"),
            ),
            NoAnswer::Broke { .. } => Problem::upstream(
                StatusCode::BAD_GATEWAY,
                format!(
                    "the connection to deployment \"{name}\" broke before its answer: it may have been processed"
                ),
            ),
            NoAnswer::Body => Problem::new(
                StatusCode::BAD_REQUEST,
                Part::Gateway,
                "the request's body broke off",
            )
            .permanent(),
        }
    }

    /// The upstream's answer on its way to the caller.
    fn answer(
        &self,
        answer: Answer,
        switching: Option<hyper::upgrade::OnUpgrade>,
        deadline: Deadline,
        total: Option<Deadline>,
    ) -> (Response<()>, Next) {
        let Answer {
            mut response,
            borrowed,
            peeked,
            cut,
        } = answer;
        let protocol = response.headers().get(UPGRADE).cloned();
        let upstream = (response.status() == StatusCode::SWITCHING_PROTOCOLS)
            .then(|| hyper::upgrade::on(&mut response));
        let (mut parts, incoming) = response.into_parts();
        parts.version = Version::HTTP_11;
        parts.extensions = http::Extensions::new();
        if strip::answer(&mut parts.headers) {
            self.relocate(&mut parts.headers);
        }
        let idle = self.route.deployment.transport().idle_timeout;
        if let (Some(upstream), Some(downstream)) = (upstream, switching) {
            if let Some(protocol) = protocol {
                parts.headers.insert(UPGRADE, protocol);
            }
            parts
                .headers
                .insert(CONNECTION, HeaderValue::from_static("upgrade"));
            let tunnel = Tunnel {
                upstream,
                downstream,
                idle,
            };
            return (Response::from_parts(parts, ()), Next::Tunnel(tunnel));
        }
        deadline.set(idle);
        let passing = Passing {
            incoming,
            peeked: peeked.into(),
            cut,
            total,
            borrowed,
            deadline,
            idle,
            account: None,
        };
        (
            Response::from_parts(parts, ()),
            Next::Body(Box::new(passing)),
        )
    }

    /// A redirect below the deployment's own URL leads to the gateway; any other passes as it is.
    fn relocate(&self, headers: &mut HeaderMap) {
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let deployment = &self.route.deployment;
        let Some(rest) = deployment.path_below_base(location) else {
            return;
        };
        let own = format!("/{}{rest}", deployment.name());
        if let Ok(own) = HeaderValue::try_from(own) {
            headers.insert(LOCATION, own);
        }
    }
}

/// Most answers reject nothing: they are not looked at twice.
fn response_may_reject(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

struct Answer {
    response: Response<Incoming>,
    borrowed: Borrowed,
    peeked: Vec<Bytes>,
    cut: bool,
}

/// The beginning of an answer's body, where a matcher wants to see it.
struct Peeked {
    pieces: Vec<Bytes>,
    text: Option<Vec<u8>>,
    cut: bool,
}

impl Peeked {
    fn as_view<'a>(&'a self, response: &'a Response<Incoming>) -> ResponseView<'a> {
        let head = ResponseView::head(response.status(), response.headers());
        match &self.text {
            Some(text) => head.with_body(text),
            None => head,
        }
    }
}

impl Answer {
    async fn peek(
        &mut self,
        deployment: &gatepass_core::Deployment,
        applied: &gatepass_core::AppliedAll,
        deadline: &Deadline,
    ) -> Peeked {
        let head = ResponseView::head(self.response.status(), self.response.headers());
        let mut peeked = Peeked {
            pieces: Vec::new(),
            text: None,
            cut: false,
        };
        let Some(wanted) = deployment.wants_body(applied, &head) else {
            return peeked;
        };
        let mut text = Vec::new();
        while text.len() < wanted {
            match before(deadline, self.response.body_mut().frame()).await {
                Some(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        text.extend_from_slice(&piece);
                        peeked.pieces.push(piece);
                    }
                }
                Some(None) => break,
                Some(Some(Err(_))) | None => {
                    peeked.cut = true;
                    break;
                }
            }
        }
        text.truncate(wanted);
        peeked.text = Some(text);
        peeked
    }
}
