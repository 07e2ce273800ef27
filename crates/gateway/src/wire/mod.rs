//! HTTP/1.1 towards upstreams (RFC 9112): one connection, one request at a time.
//!
//! The task that waits for an answer moves the connection itself: there is no task for each connection,
//! no channel between the two, and a head is written from where it lies. What is read is strict where
//! two readers could differ; what is not understood ends the connection, and never looks whole.
//!
//! ```text
//!  Outgoing, RequestBody ──> send ──> head of the answer ──> poll_frame .. ──> settled: the next one
//! ```

mod decode; // heads and bodies of answers
mod encode; // heads and bodies of requests
mod io; // plain or encrypted

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::body::{BrokenBody, RequestBody, linger};
use crate::outgoing::Outgoing;
use decode::{Decoded, Decoder};
use encode::Framing;

pub(crate) use io::Io;

/// What is read at once, at first and at most.
const READ: usize = 8 * 1024;
const READ_AT_MOST: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The connection broke; `sent` tells whether any byte of the request went out.
    Broke { sent: bool },
    /// What came is no HTTP/1.1 answer: what is wrong with it.
    Malformed(&'static str),
    /// The request's own body broke.
    Body,
}

/// A connection to an upstream.
pub(crate) struct Connection {
    io: Io,
    read: BytesMut,
    read_next: usize,
    /// What is to be written now: these bytes, then the piece, then what follows it.
    out: Vec<u8>,
    out_at: usize,
    piece: Bytes,
    after: &'static [u8],
    body: RequestBody,
    framing: Framing,
    /// Whether all of the request was handed to the system.
    sent: bool,
    /// Whether any of it was.
    began: bool,
    /// The upstream reads no more; it may still answer.
    deaf: bool,
    decoder: Decoder,
    keeps: bool,
}

impl Connection {
    pub(crate) fn over(io: Io) -> Box<Self> {
        Box::new(Self {
            io,
            read: BytesMut::new(),
            read_next: READ,
            out: Vec::new(),
            out_at: 0,
            piece: Bytes::new(),
            after: b"",
            body: RequestBody::Empty,
            framing: Framing::None,
            sent: true,
            began: false,
            deaf: false,
            decoder: Decoder::Ended,
            keeps: true,
        })
    }

    /// Sends a request, and waits for the head of its answer. The body may still be on its way then.
    pub(crate) async fn send(
        &mut self,
        request: &Outgoing,
        body: RequestBody,
    ) -> Result<Response<()>, Failed> {
        self.out.clear();
        self.out_at = 0;
        self.framing = encode::head(request, &body.size_hint(), &mut self.out);
        self.body = body;
        self.sent = false;
        self.began = false;
        // What was handed out of it is given back by now, so mostly this makes no new buffer.
        if self.read.capacity() < READ / 2 {
            self.read.reserve(READ);
        }
        // The beginning of the body, where it is there, goes out together with the head.
        let head = poll_fn(|context| {
            if !self.sent {
                match self.poll_send(context) {
                    Poll::Ready(Err(failed @ Failed::Body)) => return Poll::Ready(Err(failed)),
                    Poll::Ready(Err(_)) => self.give_up_sending(),
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            self.poll_head(&request.method, context)
        });
        head.await
    }

    /// Whether both messages have ended, and nothing speaks against another request.
    pub(crate) fn has_ended(&self) -> bool {
        let whole = self.sent && self.is_end_stream() && self.read.is_empty();
        whole && self.keeps && !self.deaf
    }

    /// Whether the next request can be sent: both messages have ended, and the upstream has neither
    /// closed the connection nor said anything unasked, as far as this thread has heard.
    pub(crate) fn is_settled(&mut self) -> bool {
        if !self.has_ended() {
            return false;
        }
        // Nobody waits here, so nobody is to be woken.
        let mut nobody = Context::from_waker(Waker::noop());
        // Nor is it to be taken for quiet because this task had its share of the runtime.
        let read = tokio::task::unconstrained(self.io.read_buf(&mut self.read));
        pin!(read).poll(&mut nobody).is_pending()
    }

    /// Ends it. A caller that still sends to it is heard out for a moment.
    pub(crate) fn let_go(&mut self) {
        if let RequestBody::Streaming(rest, _) =
            std::mem::replace(&mut self.body, RequestBody::Empty)
        {
            linger(rest);
        }
    }

    /// The stream under it, and what was read of another protocol already.
    pub(crate) fn into_parts(self) -> (Io, Bytes) {
        (self.io, self.read.freeze())
    }

    /// Whether the answer's body has ended.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.has_ended()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }

    /// The next piece of the answer's body; what is left of the request's goes on meanwhile.
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if !self.sent
            && let Poll::Ready(Err(_)) = self.poll_send(context)
        {
            self.give_up_sending();
        }
        loop {
            match self.decoder.decode(&mut self.read) {
                Ok(Decoded::Data(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Decoded::Trailers(trailers)) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::More) => {}
                Err(_) => return Poll::Ready(Some(Err(self.torn()))),
            }
            match ready!(self.poll_read(context)) {
                Ok(0) if self.decoder.ends_by_close() => {
                    self.decoder = Decoder::Ended;
                    self.keeps = false;
                    return Poll::Ready(None);
                }
                Ok(0) | Err(_) => return Poll::Ready(Some(Err(self.torn()))),
                Ok(_) => {}
            }
        }
    }

    /// The rest of the request is not sent any more; an answer may come all the same.
    fn give_up_sending(&mut self) {
        (self.deaf, self.sent) = (true, true);
    }

    fn torn(&mut self) -> BrokenBody {
        self.keeps = false;
        BrokenBody::Torn
    }

    fn poll_head(
        &mut self,
        method: &Method,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Failed>> {
        loop {
            match decode::head(&mut self.read, method) {
                Ok(Some(head)) if head.is_interim() => continue,
                Ok(Some(head)) => {
                    self.keeps &= head.keeps;
                    self.decoder = head.decoder;
                    return Poll::Ready(Ok(head.response));
                }
                Ok(None) => {}
                Err(what) => return Poll::Ready(Err(Failed::Malformed(what))),
            }
            match ready!(self.poll_read(context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    let sent = self.began;
                    return Poll::Ready(Err(Failed::Broke { sent }));
                }
            }
        }
    }

    /// Reads what is there; 0 at the end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        let room = self.read.capacity() - self.read.len();
        if room < self.read_next / 2 {
            self.read.reserve(self.read_next);
        }
        let room = self.read.capacity() - self.read.len();
        let read = ready!(pin!(self.io.read_buf(&mut self.read)).poll(context));
        if let Ok(read) = &read {
            // A long answer comes in larger pieces, a short one in small ones.
            let full = *read >= room;
            let next = if full { self.read_next * 2 } else { READ };
            self.read_next = next.min(READ_AT_MOST);
        }
        Poll::Ready(read)
    }

    /// Writes what can be written; ready when all of the request was.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        loop {
            // A head goes out with the beginning of its body, if that is there.
            let taken = self.piece.is_empty() && self.after.is_empty();
            let more = taken && !self.framing.has_ended();
            let waits = more && self.next_piece(context)?.is_pending();
            while self.out_at < self.out.len() || !self.piece.is_empty() || !self.after.is_empty() {
                let written = ready!(self.poll_write(context)?);
                self.advance(written);
                self.began = true;
            }
            let broke = |_| Failed::Broke { sent: true };
            ready!(Pin::new(&mut self.io).poll_flush(context)).map_err(broke)?;
            if waits {
                return Poll::Pending;
            }
            if self.framing.has_ended() {
                self.sent = true;
                self.body = RequestBody::Empty;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes the next piece of the request's body, framed.
    fn next_piece(&mut self, context: &mut Context<'_>) -> Result<Poll<()>, Failed> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            return Ok(Poll::Pending);
        };
        if self.out_at == self.out.len() {
            self.out.clear();
            self.out_at = 0;
        }
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => {
                    self.after = self.framing.piece(&piece, &mut self.out)?;
                    self.piece = piece;
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    self.framing.end(&trailers, &mut self.out)?;
                }
            },
            Some(Err(_)) => return Err(Failed::Body),
            None => self.framing.end(&HeaderMap::new(), &mut self.out)?,
        }
        Ok(Poll::Ready(()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Result<Poll<usize>, Failed> {
        let out = self.out.get(self.out_at..).unwrap_or_default();
        let io = Pin::new(&mut self.io);
        let written = if self.piece.is_empty() && self.after.is_empty() {
            io.poll_write(context, out)
        } else {
            let parts = [out, &self.piece, self.after].map(IoSlice::new);
            io.poll_write_vectored(context, &parts)
        };
        let sent = self.began;
        match written {
            Poll::Ready(Ok(0) | Err(_)) => Err(Failed::Broke { sent }),
            Poll::Ready(Ok(written)) => Ok(Poll::Ready(written)),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    fn advance(&mut self, mut written: usize) {
        let of_out = written.min(self.out.len() - self.out_at);
        self.out_at += of_out;
        written -= of_out;
        let of_piece = written.min(self.piece.len());
        self.piece.advance(of_piece);
        written -= of_piece;
        self.after = self.after.get(written..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
