//! Connections that went over to another protocol: bytes both ways, until either side ends it or
//! nothing comes for a while.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::account::Account;
use crate::forward::UnderWay;
use crate::tick::{Deadline, before};

/// Both ends of a protocol that caller and upstream agreed on.
pub(crate) struct Tunnel {
    pub(crate) upstream: OnUpgrade,
    pub(crate) downstream: OnUpgrade,
    pub(crate) idle: Duration,
}

impl Tunnel {
    /// Carries bytes both ways; the request is under way until that ends.
    pub(crate) async fn run(self, mut account: Account, under_way: UnderWay) {
        let deadline = Deadline::new();
        let end = |upgraded: Upgraded| End {
            io: TokioIo::new(upgraded),
            deadline: deadline.clone(),
            idle: self.idle,
        };
        deadline.set(self.idle);
        let both = async {
            let (up, down) = (self.upstream.await, self.downstream.await);
            let (Ok(up), Ok(down)) = (up, down) else {
                return false;
            };
            let (mut up, mut down) = (end(up), end(down));
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
struct End {
    io: TokioIo<Upgraded>,
    deadline: Deadline,
    idle: Duration,
}

impl AsyncRead for End {
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

impl AsyncWrite for End {
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
