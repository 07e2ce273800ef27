//! The life of a request: checked, routed, called for, accounted for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use bytes::Bytes;
use gatepass_config::AccessLog;
use http::header::EXPECT;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::access_log::{Ended, Line, Trace};
use crate::account::Account;
use crate::body::{AnswerBody, linger};
use crate::call::{Admitted, Call, Next};
use crate::guard::{self, Here};
use crate::problem::{Part, Problem};
use crate::routes::{Books, Local, Route, Snapshot};
use crate::strip;
use crate::tick::Deadline;

/// How long after its deadline a request may still be under way.
const STUCK: Duration = Duration::from_secs(2);
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What one thread serves with.
pub(crate) struct Worker {
    /// The newest snapshot, and its number so that a look costs one atomic.
    pub(crate) newest: Arc<Newest>,
    pub(crate) local: RefCell<Rc<Local>>,
    pub(crate) books: Books,
    pub(crate) ids: Ids,
    /// No more requests than those under way.
    pub(crate) draining: Cell<bool>,
}

/// Where a reload puts the next snapshot.
#[derive(Debug)]
pub(crate) struct Newest {
    pub(crate) generation: AtomicU64,
    pub(crate) snapshot: std::sync::Mutex<Arc<Snapshot>>,
}

/// Request ids: unique by a random beginning for each thread.
pub(crate) struct Ids {
    prefix: u64,
    next: Cell<u64>,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self {
            prefix: fastrand::u64(..),
            next: Cell::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut text = Vec::with_capacity(33);
        hex(self.prefix, 16, &mut text);
        text.push(b'-');
        let digits = (67 - number.leading_zeros()) / 4;
        hex(number, digits.max(1), &mut text);
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// The last so many hexadecimal digits; the machinery of `format!` costs ten times as much.
fn hex(number: u64, digits: u32, text: &mut Vec<u8>) {
    for digit in (0..digits).rev() {
        let nibble = (number >> (digit * 4)) & 0xf;
        text.push(b"0123456789abcdef"[nibble as usize]);
    }
}

impl Worker {
    fn local(&self) -> Rc<Local> {
        let generation = self.newest.generation.load(Ordering::Acquire);
        let current = Rc::clone(&self.local.borrow());
        if current.snapshot.generation == generation {
            return current;
        }
        let newest = self.newest.snapshot.lock();
        let newest = newest.unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = Rc::new(Local::new(Arc::clone(&newest), Some(&current)));
        *self.local.borrow_mut() = Rc::clone(&fresh);
        fresh
    }

    /// How callers that connect now are spoken to.
    pub(crate) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.local().snapshot.tls.clone()
    }

    /// Takes over what a reload changed, and lets go of what is of no more use.
    pub(crate) fn sweep(&self) {
        self.local().sweep();
    }

    /// Begins to answer a request: all that needs no waiting.
    pub(crate) fn begin(&self, request: Request<Incoming>, connection: &Met) -> Answering {
        let local = self.local();
        let under_way = UnderWay::on(connection);
        let seen = strip::look(request.headers());
        let given = seen.request_id.filter(|id| guard::is_request_id(id));
        let request_id = given.cloned().unwrap_or_else(|| self.ids.next());
        let (found, switching) = (seen.found(), seen.upgrade);
        let admitted = admit(&request, &seen, connection, &local);
        let snapshot = &local.snapshot;
        let line = |deployment: &str, caller: &str| {
            (snapshot.access_log != AccessLog::Off).then(|| {
                Box::new(Line {
                    form: snapshot.access_log,
                    method: request.method().clone(),
                    deployment: deployment.to_owned(),
                    caller: caller.to_owned(),
                    request_id: request_id.clone(),
                    trace: seen.traceparent.and_then(Trace::of),
                    stamp: None,
                    replayed: false,
                })
            })
        };
        let (route, caller, rest) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => {
                self.books.refusals.count(problem.status);
                if let Some(line) = line("", "") {
                    line.write(Ended {
                        status: problem.status,
                        part: Some(problem.part),
                        whole: true,
                        total: Duration::ZERO,
                        upstream: Duration::ZERO,
                    });
                }
                leave(request);
                return Answering::refused(problem, None, request_id, under_way);
            }
        };
        let counters = route.counters(caller, &snapshot.callers, &self.books);
        let line = line(route.deployment.name(), snapshot.callers.name(caller));
        let mut account = Account::open(Rc::clone(route), counters, line);
        if let Err(problem) = account.admit() {
            leave(request);
            return Answering::refused(problem, Some(account), request_id, under_way);
        }
        let admitted = Admitted {
            route,
            rest,
            request_id: &request_id,
            found,
            switching,
            deadline: if request.version() == Version::HTTP_2 {
                Deadline::new()
            } else {
                // One request at a time on this connection.
                connection.deadline.clear();
                connection.deadline.clone()
            },
        };
        match Call::new(admitted, request, &mut account) {
            Ok(call) => Answering {
                begun: Begun::Call(call),
                account: Some(account),
                request_id,
                under_way: Some(under_way),
            },
            Err(problem) => Answering::refused(problem, Some(account), request_id, under_way),
        }
    }
}

/// A request that is being answered.
pub(crate) struct Answering {
    begun: Begun,
    account: Option<Account>,
    request_id: HeaderValue,
    under_way: Option<UnderWay>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every request is a call, and a box for it would cost each of them"
)]
enum Begun {
    Call(Call),
    Refused(Option<Problem>),
}

impl Answering {
    fn refused(
        problem: Problem,
        account: Option<Account>,
        request_id: HeaderValue,
        under_way: UnderWay,
    ) -> Self {
        Self {
            begun: Begun::Refused(Some(problem)),
            account,
            request_id,
            under_way: Some(under_way),
        }
    }

    /// Whatever becomes of it. To be called once.
    pub(crate) async fn answer(&mut self) -> Response<AnswerBody> {
        let result = match (&mut self.begun, &mut self.account) {
            (Begun::Call(call), Some(account)) => call.run(account).await,
            (Begun::Refused(problem), _) => Err(problem.take().unwrap_or_else(Problem::internal)),
            (Begun::Call(_), None) => Err(Problem::internal()),
        };
        let mut response = match result {
            Ok((response, next)) => self.passed(response, next),
            Err(problem) => self.failed(problem),
        };
        response
            .headers_mut()
            .insert(REQUEST_ID, self.request_id.clone());
        response
    }

    fn failed(&mut self, problem: Problem) -> Response<AnswerBody> {
        // Short as it is, it counts as passed on; nobody reads it after a HEAD.
        if let Some(mut account) = self.account.take() {
            account.failed(&problem);
            account.ended(true);
        }
        let under_way = self.under_way.take();
        let response = problem.into_response(&self.request_id);
        response.map(|bytes| AnswerBody::own(bytes, under_way))
    }

    fn passed(&mut self, response: Response<()>, next: Next) -> Response<AnswerBody> {
        let (Some(mut account), Some(under_way)) = (self.account.take(), self.under_way.take())
        else {
            return self.failed(Problem::internal());
        };
        account.passed(response.status());
        match next {
            Next::Body(mut passing) => {
                if passing.peeked.is_empty() && !passing.cut && passing.incoming.is_end_stream() {
                    passing.incoming.give_back();
                    account.ended(true);
                } else {
                    passing.account = Some(account);
                }
                response.map(|()| AnswerBody::passing(passing, under_way))
            }
            // It is under way until the other protocol ends.
            Next::Tunnel(tunnel) => {
                tokio::task::spawn_local(tunnel.run(account, under_way));
                response.map(|()| AnswerBody::own(Bytes::new(), None))
            }
        }
    }
}

/// What is known of a caller's connection.
pub(crate) struct Met {
    here: Here,
    deadline: Deadline,
    /// The Host it was last let in by, under which configuration; callers send the same one again
    /// and again.
    host: RefCell<Option<(u64, Box<[u8]>)>>,
    quiet: Rc<Quiet>,
}

/// How long a connection may go on with no request under way.
pub(crate) struct Quiet {
    deadline: Deadline,
    limit: Duration,
    under_way: Cell<usize>,
    /// The thread serves on for as long as anything holds it.
    _own: Rc<()>,
}

impl Quiet {
    /// Whether it has been quiet for too long; if not, the task is woken when it may be.
    pub(crate) fn poll_too_long(&self, context: &mut Context<'_>) -> bool {
        if !self.deadline.poll_passed(context) {
            return false;
        }
        self.deadline.set(self.limit);
        self.under_way.get() == 0
    }
}

/// A request under way, until its answer has ended.
pub(crate) struct UnderWay(Rc<Quiet>);

impl UnderWay {
    fn on(connection: &Met) -> Self {
        let quiet = Rc::clone(&connection.quiet);
        quiet.under_way.set(quiet.under_way.get() + 1);
        Self(quiet)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.deadline.set(self.0.limit);
    }
}

impl Met {
    /// A connection to this end, which may be quiet for so long.
    pub(crate) fn at(here: Here, limit: Duration, own: Rc<()>) -> Self {
        let deadline = Deadline::new();
        deadline.set(limit);
        Self {
            here,
            deadline: Deadline::new(),
            host: RefCell::default(),
            quiet: Rc::new(Quiet {
                deadline,
                limit,
                under_way: Cell::new(0),
                _own: own,
            }),
        }
    }

    /// Whether a request under way is long past its deadline: a caller that does not read its answer
    /// keeps the answer from being looked at.
    pub(crate) fn is_stuck(&self) -> bool {
        self.quiet.under_way.get() > 0 && self.deadline.passed_for(STUCK)
    }

    pub(crate) fn quiet(&self) -> Rc<Quiet> {
        Rc::clone(&self.quiet)
    }

    fn knows(&self, seen: &strip::Seen<'_>, uri: &Uri, generation: u64) -> bool {
        let known = self.host.borrow();
        let same = known
            .as_ref()
            .zip(seen.host)
            .is_some_and(|((since, host), now)| *since == generation && **host == *now.as_bytes());
        same && !seen.second_host && uri.authority().is_none()
    }

    fn remember(&self, seen: &strip::Seen<'_>, generation: u64) {
        // A copy of its own: a clone would keep the whole head in memory.
        *self.host.borrow_mut() = seen.host.map(|host| (generation, host.as_bytes().into()));
    }
}

/// Whether the request may be served, and by what: the route, the caller, where the rest of the path
/// begins.
fn admit<'a>(
    request: &Request<Incoming>,
    seen: &strip::Seen<'_>,
    connection: &Met,
    local: &'a Local,
) -> Result<(&'a Rc<Route>, usize, usize), Problem> {
    let snapshot = &local.snapshot;
    if !connection.knows(seen, request.uri(), snapshot.generation) {
        guard::host(seen, request.uri(), connection.here, &snapshot.hosts)?;
        connection.remember(seen, snapshot.generation);
    }
    guard::origin(seen)?;
    guard::framing(seen)?;
    if matches!(*request.method(), Method::TRACE | Method::CONNECT) {
        let detail = "TRACE and CONNECT are not forwarded";
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Part::Gateway,
            detail,
        ));
    }
    let caller = guard::caller(seen, &snapshot.callers)?;
    let path = guard::path_and_query(request.uri());
    let start = usize::from(path.starts_with('/'));
    let name = path.get(start..).unwrap_or_default();
    let name = &name[..name.find(['/', '?']).unwrap_or(name.len())];
    let route = local
        .route(name)
        .filter(|_| snapshot.callers.allows(caller, name));
    let route = route.ok_or_else(|| Problem::unknown(name))?;
    Ok((route, caller, start + name.len()))
}

/// Has a request that goes no further ended in a way that its sender sees the answer.
pub(crate) fn leave(request: Request<Incoming>) {
    let asks_first = request.headers().contains_key(EXPECT);
    if request.version() < Version::HTTP_2 && !asks_first {
        linger(request.into_body());
    }
}
