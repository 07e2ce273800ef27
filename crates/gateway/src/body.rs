//! A request's body on its way upstream, with a copy for one replay.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gatepass_core::BodyView;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::routes::Route;
use crate::strip;
use crate::tick::{Deadline, before};

/// Why a body broke off; both sides are torn with it, so that no half answer looks whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    #[error("the other side broke off")]
    Torn,
    #[error("nothing came for idle_timeout")]
    Idle,
    #[error("total_timeout is over")]
    Total,
    #[error("the answer broke off while its beginning was read")]
    Cut,
    #[error("the request's body is longer than request_body_limit")]
    TooLong,
}

const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// What goes upstream.
pub(crate) enum RequestBody {
    Empty,
    /// As it comes, with a copy while it is short enough.
    Streaming(Incoming, Rc<Copy>),
    /// Pieces that were kept.
    Pieces(VecDeque<Bytes>),
}

/// What another attempt would send.
pub(crate) enum Repeat {
    Nothing,
    /// Read before it was sent.
    Whole(Bytes),
    /// Kept while it was sent.
    Copied(Rc<Copy>),
}

impl Repeat {
    /// The body once more, where all of it is there.
    pub(crate) fn again(&self) -> Option<RequestBody> {
        match self {
            Self::Nothing => Some(RequestBody::Empty),
            Self::Whole(bytes) => Some(RequestBody::Pieces([bytes.clone()].into())),
            Self::Copied(copy) => copy.again(),
        }
    }

    /// As a method sees it.
    pub(crate) fn view(&self) -> BodyView<'_> {
        match self {
            Self::Nothing => BodyView::Empty,
            Self::Whole(bytes) => BodyView::Bytes(bytes),
            Self::Copied(_) => BodyView::Unread,
        }
    }

    pub(crate) fn is_too_long(&self) -> bool {
        matches!(self, Self::Copied(copy) if copy.state.borrow().too_long)
    }

    /// Whether the caller broke off.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self, Self::Copied(copy) if copy.state.borrow().torn)
    }
}

/// What was sent of a body so far, for as long as it is short enough to be sent again.
pub(crate) struct Copy {
    route: Rc<Route>,
    /// What is kept at most, in bytes.
    keep: usize,
    /// What is passed on at most, in bytes.
    most: u64,
    state: RefCell<Copied>,
}

#[derive(Default)]
struct Copied {
    pieces: VecDeque<Bytes>,
    length: u64,
    whole: bool,
    over: bool,
    too_long: bool,
    torn: bool,
}

impl Copy {
    pub(crate) fn of(route: &Rc<Route>) -> Rc<Self> {
        let keep = route.deployment.transport().replay_body_limit;
        let most = route.deployment.limits().request_body;
        Rc::new(Self {
            route: Rc::clone(route),
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
            most: most.unwrap_or(u64::MAX),
            state: RefCell::default(),
        })
    }

    /// Keeps a piece; tells whether it may be passed on.
    fn add(&self, piece: &Bytes) -> bool {
        let mut copied = self.state.borrow_mut();
        copied.length = copied.length.saturating_add(piece.len() as u64);
        copied.too_long = copied.length > self.most;
        if copied.length > self.keep as u64 {
            copied.over = true;
            copied.pieces.clear();
        } else if !copied.over {
            copied.pieces.push_back(piece.clone());
        }
        !copied.too_long
    }

    fn end(&self, whole: bool) {
        self.state.borrow_mut().whole = whole;
    }

    /// The whole body once more, if it was kept.
    fn again(&self) -> Option<RequestBody> {
        let copied = self.state.borrow();
        (copied.whole && !copied.over).then(|| RequestBody::Pieces(copied.pieces.clone()))
    }
}

/// Has a request that goes no further ended in a way that its sender sees the answer.
pub(crate) fn leave(request: Request<Incoming>) {
    let asks_first = request.headers().contains_key(EXPECT);
    if request.version() < Version::HTTP_2 && !asks_first {
        linger(request.into_body());
    }
}

/// Reads for a moment what nobody wants: whoever still sends would not see the answer, for a connection
/// that is closed under what was sent is reset.
pub(crate) fn linger(mut rest: Incoming) {
    if rest.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(async move {
        let deadline = Deadline::new();
        deadline.set(LINGER);
        let mut left = LINGER_BYTES;
        let reading = async {
            while let Some(Ok(frame)) = rest.frame().await {
                let read = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(read) {
                    Some(less) => left = less,
                    None => return,
                }
            }
        };
        before(&deadline, pin!(reading)).await;
    });
}

/// In bytes.
pub(crate) fn length(pieces: &VecDeque<Bytes>) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Pieces(pieces) => {
                Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
            }
            Self::Streaming(incoming, copy) => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
                match &frame {
                    Some(Ok(frame)) => match frame.data_ref() {
                        Some(piece) if !copy.add(piece) => {
                            if let Self::Streaming(rest, _) = std::mem::replace(this, Self::Empty) {
                                linger(rest);
                            }
                            return Poll::Ready(Some(Err(BrokenBody::TooLong)));
                        }
                        Some(_) if incoming.is_end_stream() => copy.end(true),
                        Some(_) => {}
                        // Trailers are not kept, so such a body is sent once.
                        None => copy.end(false),
                    },
                    Some(Err(_)) => copy.state.borrow_mut().torn = true,
                    None => copy.end(true),
                }
                let owned = copy.route.deployment.credentials().owned();
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => Ok(strip::trailers(frame, Some(owned))),
                    Err(_) => Err(BrokenBody::Torn),
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Pieces(pieces) => pieces.is_empty(),
            Self::Streaming(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Pieces(pieces) => SizeHint::with_exact(length(pieces)),
            Self::Streaming(incoming, _) => incoming.size_hint(),
        }
    }
}
