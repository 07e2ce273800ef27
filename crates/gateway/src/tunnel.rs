//! Connections that went over to another protocol: bytes both ways, until either side ends it or
//! nothing comes for a while.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::account::Account;
use crate::met::UnderWay;
use crate::tick::{Deadline, before};
use crate::wire::Io;

/// Both ends of a protocol that caller and upstream agreed on.
pub(crate) struct Tunnel {
    /// The stream, and what was read of it already.
    pub(crate) upstream: (Io, Bytes),
    pub(crate) downstream: OnUpgrade,
    pub(crate) idle: Duration,
}

impl Tunnel {
    /// Carries bytes both ways; the request is under way until that ends.
    pub(crate) async fn run(self, mut account: Account, under_way: UnderWay) {
        let deadline = Deadline::new();
        let idle = self.idle;
        deadline.set(idle);
        let both = async {
            let Ok(down) = self.downstream.await else {
                return false;
            };
            let mut down = End::of(TokioIo::new(down), &deadline, idle);
            let (up, first) = self.upstream;
            let mut up = End::of(up, &deadline, idle);
            if down.write_all(&first).await.is_err() {
                return false;
            }
            tokio::io::copy_bidirectional(&mut down, &mut up)
                .await
                .is_ok()
        };
        let whole = before(&deadline, pin!(both)).await;
        account.ended(whole.unwrap_or(false));
        drop(under_way);
    }
}

/// One end; what comes from it moves the deadline.
struct End<I> {
    io: I,
    deadline: Deadline,
    idle: Duration,
}

impl<I> End<I> {
    fn of(io: I, deadline: &Deadline, idle: Duration) -> Self {
        let deadline = deadline.clone();
        Self { io, deadline, idle }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for End<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.deadline.set(self.idle);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for End<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
