//! One request to one deployment: given its credential, sent, sent once more where its token was
//! rejected, answered.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gatepass_core::{
    AppliedAll, Attempt, AuthError, BodyNeed, Deployment, ResponseView, SystemClock,
};
use http::header::{CONNECTION, HOST, LOCATION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::account::Account;
use crate::answer::Passing;
use crate::body::{Copy, Repeat, RequestBody, leave, linger};
use crate::guard;
use crate::outgoing::{Outgoing, parsed};
use crate::problem::{Part, Problem};
use crate::routes::Route;
use crate::strip::{self, REQUEST_ID};
use crate::tick::{Deadline, before};
use crate::tunnel::Tunnel;
use crate::upstream::{Answer, How, NoAnswer};

/// What follows the head of an answer.
pub(crate) enum Next {
    Body(Box<Passing>),
    Tunnel(Tunnel),
}

/// A caller's request as it was let in.
pub(crate) struct Admitted<'a> {
    pub(crate) route: &'a Rc<Route>,
    /// Where the caller's path and query go on below the deployment's name.
    pub(crate) rest: usize,
    pub(crate) request_id: &'a HeaderValue,
    /// What of the caller's headers has to go.
    pub(crate) found: strip::Found,
    /// The caller wants to switch protocols.
    pub(crate) switching: bool,
    /// Of the caller's connection, or of its stream.
    pub(crate) deadline: Deadline,
}

/// One request to one deployment. All that is rare is boxed: a connection holds room for the largest of
/// its requests' states for as long as it lives.
pub(crate) struct Call {
    outgoing: Outgoing,
    /// For the next attempt.
    body: RequestBody,
    repeat: Repeat,
    /// A body that a method wants to see before it is sent.
    unread: Option<Incoming>,
    /// The caller's side of another protocol, where it wants one.
    switching: Option<OnUpgrade>,
    wants_upgrade: bool,
    deadline: Deadline,
    first_byte: Duration,
    total: Option<Deadline>,
    attempt: Attempt,
    /// Sent once more after a rejected token.
    replayed: bool,
    /// Sent once more after a kept connection broke.
    resent: bool,
}

fn credential(error: &AuthError) -> Problem {
    Problem::credential(error)
}

impl Call {
    /// # Errors
    /// A path that cannot be, a body that is too long.
    pub(crate) fn new(
        admitted: Admitted<'_>,
        mut request: Request<Incoming>,
        account: &mut Account,
    ) -> Result<Self, Problem> {
        let (route, deployment) = (admitted.route, &admitted.route.deployment);
        let path = guard::path_and_query(request.uri());
        let target = deployment
            .request_target(path.get(admitted.rest..).unwrap_or_default())
            .map_err(|error| credential(&error))
            .and_then(parsed);
        let target = match target {
            Ok(target) => target,
            Err(problem) => {
                leave(request);
                return Err(problem);
            }
        };
        let switching = admitted.switching.then(|| hyper::upgrade::on(&mut request));
        let (parts, incoming) = request.into_parts();
        let mut headers = parts.headers;
        let owned = deployment.credentials().owned();
        let (upgrade, stripped) = strip::request(&mut headers, admitted.found, owned);
        account.stripped(stripped);
        headers.insert(HOST, route.host.clone());
        headers.insert(REQUEST_ID, admitted.request_id.clone());
        let wants_upgrade = upgrade.is_some();
        if let Some(protocol) = upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        let settings = deployment.transport();
        let total = settings.total_timeout.map(|limit| {
            let total = Deadline::new();
            total.set(limit);
            total
        });
        let mut call = Self {
            outgoing: Outgoing {
                route: Rc::clone(route),
                method: parts.method,
                target,
                headers,
            },
            body: RequestBody::Empty,
            repeat: Repeat::Nothing,
            unread: None,
            switching,
            wants_upgrade,
            deadline: admitted.deadline,
            first_byte: settings.first_byte_timeout,
            total,
            attempt: Attempt::default(),
            replayed: false,
            resent: false,
        };
        call.take_body(incoming, admitted.found)?;
        Ok(call)
    }

    /// Copied as it streams, unless a method has to see all of it first.
    fn take_body(&mut self, incoming: Incoming, found: strip::Found) -> Result<(), Problem> {
        if incoming.is_end_stream() {
            return Ok(());
        }
        let deployment = self.deployment();
        let most = deployment.limits().request_body;
        // What is said to be too long is refused before any of it is sent.
        if most.is_some_and(|most| incoming.size_hint().lower() > most) {
            if !found.asks_first() {
                linger(incoming);
            }
            return Err(self.too_long());
        }
        if deployment.credentials().needs() == BodyNeed::Nothing {
            let copy = Copy::of(&self.outgoing.route);
            self.repeat = Repeat::Copied(Rc::clone(&copy));
            self.body = RequestBody::Streaming(incoming, copy);
        } else {
            self.unread = Some(incoming);
        }
        Ok(())
    }

    fn deployment(&self) -> &Deployment {
        &self.outgoing.route.deployment
    }

    pub(crate) async fn run(
        &mut self,
        account: &mut Account,
    ) -> Result<(Response<()>, Next), Problem> {
        if let Some(unread) = self.unread.take() {
            Box::pin(self.read(unread)).await?;
        }
        loop {
            let applied = match self.authorize_now()? {
                Some(applied) => applied,
                None => Box::pin(self.authorize()).await?,
            };
            account.sent_with(applied.stamp());
            self.deadline.set(self.time_left());
            let sent = {
                let pool = &self.outgoing.route.pool;
                let how = How {
                    fresh: self.resent,
                    http1: self.wants_upgrade,
                };
                let sending = pin!(pool.send(&self.outgoing, &mut self.body, how));
                before(&self.deadline, sending).await
            };
            account.answered();
            match sent {
                Some(Ok((response, incoming))) => {
                    let mut answer = Begun {
                        response,
                        incoming,
                        peeked: Vec::new(),
                        cut: false,
                    };
                    if !response_may_reject(answer.response.status())
                        || !Box::pin(self.reconsider(&mut answer, &applied, account)).await
                    {
                        return self.answer(answer);
                    }
                }
                Some(Err(why)) if self.sends_again(&why) => {}
                Some(Err(why)) => return Err(self.no_answer(why)),
                None => return Err(self.too_late()),
            }
        }
    }

    /// Until the answer has to begin.
    fn time_left(&self) -> Duration {
        let total = self.total.as_ref().and_then(Deadline::left);
        total.map_or(self.first_byte, |total| total.min(self.first_byte))
    }

    /// The body as a whole, for a method that signs it.
    async fn read(&mut self, mut unread: Incoming) -> Result<(), Problem> {
        let deployment = self.deployment();
        let most = deployment.limits().request_body.unwrap_or(u64::MAX);
        let limit = deployment.transport().replay_body_limit.min(most);
        let mut whole = BytesMut::new();
        self.deadline.set(self.time_left());
        loop {
            let frame = match before(&self.deadline, pin!(unread.frame())).await {
                Some(Some(Ok(frame))) => frame,
                Some(None) => break,
                Some(Some(Err(_))) => return Err(self.no_answer(NoAnswer::Body)),
                None => {
                    let detail = "the request's body did not come in time";
                    let late = StatusCode::REQUEST_TIMEOUT;
                    return Err(Problem::new(late, Part::Gateway, detail));
                }
            };
            if let Some(piece) = frame.data_ref() {
                whole.extend_from_slice(piece);
            }
            if whole.len() as u64 > limit {
                linger(unread);
                let detail = "the body is too long to be signed: raise replay_body_limit and request_body_limit, or send less";
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Problem::new(status, Part::Gateway, detail));
            }
        }
        self.repeat = Repeat::Whole(whole.freeze());
        self.body = self.repeat.again().unwrap_or(RequestBody::Empty);
        Ok(())
    }

    /// The credential that is held, where one is and nothing newer was prepared.
    fn authorize_now(&mut self) -> Result<Option<AppliedAll>, Problem> {
        if self.replayed {
            return Ok(None);
        }
        let route = Rc::clone(&self.outgoing.route);
        let view = self.repeat.view();
        let applied = route
            .deployment
            .authorize_now(&mut self.outgoing, view, &SystemClock);
        applied.map_err(|error| credential(&error))
    }

    async fn authorize(&mut self) -> Result<AppliedAll, Problem> {
        let route = Rc::clone(&self.outgoing.route);
        let attempt = std::mem::take(&mut self.attempt);
        let view = self.repeat.view();
        let applied =
            route
                .deployment
                .authorize_with(&mut self.outgoing, view, &SystemClock, attempt);
        applied.await.map_err(|error| credential(&error))
    }

    /// Whether the answer rejects the token and the request is to be sent once more.
    async fn reconsider(
        &mut self,
        answer: &mut Begun,
        applied: &AppliedAll,
        account: &mut Account,
    ) -> bool {
        let route = Rc::clone(&self.outgoing.route);
        let deployment = &route.deployment;
        let again = self.repeat.again();
        let again = again.filter(|_| !self.replayed && !self.wants_upgrade);
        let view = answer.peek(deployment, applied, &self.deadline).await;
        let seen = view.as_view(&answer.response);
        let next = deployment.reconsider(applied, &seen, again.is_some());
        if let (Some(attempt), Some(body)) = (next.await, again) {
            account.replayed();
            self.replayed = true;
            self.attempt = attempt;
            self.body = body;
            return true;
        }
        (answer.peeked, answer.cut) = (view.pieces, view.cut);
        false
    }

    /// Whether a request is sent once more because a kept connection broke: upstreams close those when
    /// they like (RFC 9112 s9.3.1). One that may have been seen must do no harm.
    fn sends_again(&mut self, why: &NoAnswer) -> bool {
        let NoAnswer::Broke { kept: true, sent } = *why else {
            return false;
        };
        if self.resent || (sent && !self.outgoing.is_harmless()) {
            return false;
        }
        let Some(body) = self.repeat.again() else {
            return false;
        };
        (self.resent, self.body) = (true, body);
        true
    }

    fn too_long(&self) -> Problem {
        let name = self.deployment().name();
        let detail = format!(
            "the body is longer than deployment \"{name}\" takes: send less, or raise request_body_limit"
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Part::Gateway, detail)
    }

    fn too_late(&self) -> Problem {
        let total = self.deployment().transport().total_timeout;
        let limit = total.map_or(self.first_byte, |total| total.min(self.first_byte));
        let detail = format!(
            "deployment \"{}\" did not begin to answer within {} s: raise first_byte_timeout (or total_timeout) if that is normal",
            self.deployment().name(),
            limit.as_secs()
        );
        Problem::upstream(StatusCode::GATEWAY_TIMEOUT, detail)
    }

    fn no_answer(&self, why: NoAnswer) -> Problem {
        let name = self.deployment().name();
        match why {
            // Over HTTP/2 the stream is reset, whoever broke it.
            NoAnswer::Broke { .. } | NoAnswer::Body if self.repeat.is_too_long() => self.too_long(),
            NoAnswer::Broke { .. } if self.repeat.is_torn() => self.no_answer(NoAnswer::Body),
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
            NoAnswer::Malformed(what) => Problem::upstream(
                StatusCode::BAD_GATEWAY,
                format!(
                    "deployment \"{name}\" answered with what is no HTTP answer ({what}): check its URL and port"
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
    fn answer(&mut self, answer: Begun) -> Result<(Response<()>, Next), Problem> {
        let Begun {
            response,
            mut incoming,
            peeked,
            cut,
        } = answer;
        let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if switches && !self.wants_upgrade {
            let detail = format!(
                "deployment \"{}\" switched protocols, which nobody asked for: check its URL",
                self.deployment().name()
            );
            return Err(Problem::upstream(StatusCode::BAD_GATEWAY, detail));
        }
        let protocol = response.headers().get(UPGRADE).cloned();
        let upstream = switches.then(|| incoming.switched()).flatten();
        let (mut parts, ()) = response.into_parts();
        if strip::answer(&mut parts.headers) {
            self.relocate(&mut parts.headers);
        }
        let idle = self.deployment().transport().idle_timeout;
        if let (Some(upstream), Some(downstream)) = (upstream, self.switching.take()) {
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
            return Ok((Response::from_parts(parts, ()), Next::Tunnel(tunnel)));
        }
        self.deadline.set(idle);
        let passing = Passing {
            incoming,
            peeked: peeked.into(),
            cut,
            total: self.total.take(),
            deadline: self.deadline.clone(),
            idle,
            account: None,
        };
        let head = Response::from_parts(parts, ());
        Ok((head, Next::Body(Box::new(passing))))
    }

    /// A redirect below the deployment's own URL leads to the gateway; any other passes as it is.
    fn relocate(&self, headers: &mut HeaderMap) {
        let Some(location) = headers.get(LOCATION).and_then(|value| value.to_str().ok()) else {
            return;
        };
        let deployment = self.deployment();
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

/// An answer that began.
struct Begun {
    response: Response<()>,
    incoming: Answer,
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
    fn as_view<'a>(&'a self, response: &'a Response<()>) -> ResponseView<'a> {
        let head = ResponseView::head(response.status(), response.headers());
        match &self.text {
            Some(text) => head.with_body(text),
            None => head,
        }
    }
}

impl Begun {
    async fn peek(
        &mut self,
        deployment: &Deployment,
        applied: &AppliedAll,
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
            let next = pin!(poll_fn(|context| self.incoming.poll_frame(context)));
            match before(deadline, next).await {
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
