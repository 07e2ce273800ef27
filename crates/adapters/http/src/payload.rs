//! Bodies that may be seen, and sent again.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};

/// A body, as far as a credential must know of it.
///
/// Bodies of known bytes can be signed, and sent again after a refusal; wrap any other in [`Once`].
///
/// ```
/// use gatepass_http::{Once, Payload};
/// assert_eq!("{}".to_owned().known().unwrap(), "{}");
/// assert!(Once("streams".to_owned()).again().is_none());
/// ```
pub trait Payload: Sized {
    /// All its bytes, where they are at hand; empty where there is no body.
    fn known(&self) -> Option<Bytes>;

    /// The same body once more, where it can be sent again.
    fn again(&self) -> Option<Self>;
}

impl Payload for () {
    fn known(&self) -> Option<Bytes> {
        Some(Bytes::new())
    }

    fn again(&self) -> Option<Self> {
        Some(())
    }
}

impl Payload for String {
    fn known(&self) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(self.as_bytes()))
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Payload for Bytes {
    fn known(&self) -> Option<Bytes> {
        Some(self.clone())
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Payload for Empty<Bytes> {
    fn known(&self) -> Option<Bytes> {
        Some(Bytes::new())
    }

    fn again(&self) -> Option<Self> {
        Some(*self)
    }
}

impl Payload for Full<Bytes> {
    fn known(&self) -> Option<Bytes> {
        // Its one frame is ready at once, and a clone shares the bytes.
        let mut copy = self.clone();
        match Pin::new(&mut copy).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            Poll::Ready(None) => Some(Bytes::new()),
            Poll::Ready(Some(Err(never))) => match never {},
            Poll::Pending => None,
        }
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Any other body: it is sent once, and no method that must see it will sign it.
///
/// ```
/// use gatepass_http::{Once, Payload};
/// assert!(Once("streams".to_owned()).known().is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Once<B>(pub B);

impl<B> Payload for Once<B> {
    fn known(&self) -> Option<Bytes> {
        None
    }

    fn again(&self) -> Option<Self> {
        None
    }
}

impl<B: Body + Unpin> Body for Once<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
