//! An answer's body on its way downstream, with an end that is told.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::account::Account;
use crate::body::{BrokenBody, length};
use crate::met::UnderWay;
use crate::tick::Deadline;
use crate::upstream::Answer;

/// What goes downstream; its request is under way until it ends.
pub(crate) struct AnswerBody {
    from: From,
    /// None where something else is under way in its stead.
    _under_way: Option<UnderWay>,
}

enum From {
    /// The gateway's own words.
    Gateway(Option<Bytes>),
    Upstream(Box<Passing>),
}

/// An upstream's body on its way downstream.
pub(crate) struct Passing {
    pub(crate) incoming: Answer,
    /// Read already, to see whether a token was rejected.
    pub(crate) peeked: VecDeque<Bytes>,
    /// It broke off after what was read.
    pub(crate) cut: bool,
    /// For the whole call, where there is such a limit.
    pub(crate) total: Option<Deadline>,
    pub(crate) deadline: Deadline,
    pub(crate) idle: Duration,
    pub(crate) account: Option<Account>,
}

impl AnswerBody {
    pub(crate) fn own(bytes: Bytes, under_way: Option<UnderWay>) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            from: From::Gateway(bytes),
            _under_way: under_way,
        }
    }

    pub(crate) fn passing(passing: Box<Passing>, under_way: UnderWay) -> Self {
        Self {
            from: From::Upstream(passing),
            _under_way: Some(under_way),
        }
    }
}

impl Passing {
    /// Whether all of it was passed on.
    pub(crate) fn has_ended(&self) -> bool {
        self.peeked.is_empty() && !self.cut && self.incoming.is_end_stream()
    }

    pub(crate) fn finish(&mut self) {
        self.incoming.give_back();
        if let Some(account) = &mut self.account {
            account.ended(true);
        }
    }

    fn broke(&mut self, why: BrokenBody) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if let Some(account) = &mut self.account {
            account.broke(&why.to_string());
        }
        Poll::Ready(Some(Err(why)))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let passing = match &mut self.get_mut().from {
            From::Gateway(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            From::Upstream(passing) => passing,
        };
        if let Some(piece) = passing.peeked.pop_front() {
            if passing.has_ended() {
                passing.finish();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if std::mem::take(&mut passing.cut) {
            return passing.broke(BrokenBody::Cut);
        }
        let total = passing.total.as_ref();
        if total.is_some_and(|total| total.poll_passed(context)) {
            return passing.broke(BrokenBody::Total);
        }
        let frame = match passing.incoming.poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending if passing.deadline.poll_passed(context) => {
                return passing.broke(BrokenBody::Idle);
            }
            Poll::Pending => return Poll::Pending,
        };
        match frame {
            Some(Ok(frame)) => {
                passing.deadline.set(passing.idle);
                if passing.has_ended() {
                    passing.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(why)) => passing.broke(why),
            None => {
                passing.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Gateway(bytes) => bytes.is_none(),
            From::Upstream(passing) => passing.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Gateway(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            From::Upstream(passing) => {
                let peeked = length(&passing.peeked);
                let rest = passing.incoming.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + peeked);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + peeked);
                }
                hint
            }
        }
    }
}
