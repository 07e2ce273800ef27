//! Requests on the wire: the head, and a body in the one framing that it gets here, whatever framing it
//! came in.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use http_body::SizeHint;

use super::Failed;
use crate::outgoing::Outgoing;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none, or all of it was taken.
    None,
    /// So many bytes are left.
    Length(u64),
    Chunked,
}

/// Writes the head, and how the body is framed (RFC 9112 s6.3, s7.1).
pub(super) fn head(request: &Outgoing, body: &SizeHint, out: &mut Vec<u8>) -> Framing {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    let target = request.target.path_and_query();
    out.extend_from_slice(target.map_or("/", |target| target.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if let Some(host) = request.headers.get(HOST) {
        line(HOST.as_str().as_bytes(), host.as_bytes(), out);
    }
    for (name, value) in &request.headers {
        if !matches!(*name, HOST | CONTENT_LENGTH | TRANSFER_ENCODING) {
            line(name.as_str().as_bytes(), value.as_bytes(), out);
        }
    }
    let framing = match body.exact() {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    match framing {
        // Where a body is expected, it is said that there is none (RFC 9110 s8.6).
        Framing::None if expects_body(&request.method) => {
            line(b"content-length", b"0", out);
        }
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => line(b"transfer-encoding", b"chunked", out),
    }
    out.extend_from_slice(b"\r\n");
    framing
}

/// Values hold no line ends: their type sees to that.
fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

impl Framing {
    pub(super) fn has_ended(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }

    /// What goes out before a piece; returns what goes out after it.
    pub(super) fn piece(
        &mut self,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<&'static [u8], Failed> {
        match self {
            Self::None if piece.is_empty() => Ok(b""),
            Self::None => Err(Failed::Body),
            Self::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(Failed::Body)?;
                Ok(b"")
            }
            // An empty chunk would be the end.
            Self::Chunked if piece.is_empty() => Ok(b""),
            Self::Chunked => {
                hexadecimal(piece.len(), out);
                out.extend_from_slice(b"\r\n");
                Ok(b"\r\n")
            }
        }
    }

    /// The body has ended.
    pub(super) fn end(&mut self, trailers: &HeaderMap, out: &mut Vec<u8>) -> Result<(), Failed> {
        match std::mem::replace(self, Self::None) {
            Self::None | Self::Length(0) => Ok(()),
            // It broke off, and must not look whole.
            Self::Length(_) => Err(Failed::Body),
            Self::Chunked => {
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    line(name.as_str().as_bytes(), value.as_bytes(), out);
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

fn hexadecimal(number: usize, out: &mut Vec<u8>) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(number >> (digit * 4)) & 0xf]);
    }
}
