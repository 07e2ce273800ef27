//! The life of a request: checked, routed, called for, accounted for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gatepass_config::AccessLog;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::access_log::{Ended, Line, Trace};
use crate::account::Account;
use crate::answer::AnswerBody;
use crate::body::leave;
use crate::call::{Admitted, Call, Next};
use crate::guard;
use crate::met::{Met, UnderWay};
use crate::problem::{Part, Problem};
use crate::routes::{Books, Local, Route, Snapshot};
use crate::strip::{self, REQUEST_ID};

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
            deadline: connection.deadline(request.version()),
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
                passing.account = Some(account);
                if passing.has_ended() {
                    passing.finish();
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

/// Whether the request may be served, and by what: the route, the caller, where the rest of the path
/// begins.
fn admit<'a>(
    request: &Request<Incoming>,
    seen: &strip::Seen<'_>,
    connection: &Met,
    local: &'a Local,
) -> Result<(&'a Rc<Route>, usize, usize), Problem> {
    let snapshot = &local.snapshot;
    connection.let_in(seen, request.uri(), snapshot.generation, &snapshot.hosts)?;
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
