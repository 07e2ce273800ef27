//! Answers from the wire: heads and bodies (RFC 9112 s4, s6.3, s7.1).

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::SizeHint;
use httparse::{EMPTY_HEADER, Status};

use crate::strip;

/// The longest head, in bytes.
const HEAD: usize = 64 * 1024;
const HEADERS: usize = 128;
/// The longest line of a chunk's size, and all trailers together.
const CHUNK_LINE: usize = 4 * 1024;
const TRAILERS: usize = 16 * 1024;

/// The head of an answer.
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) decoder: Decoder,
    /// Whether the connection may serve another request after it.
    pub(super) keeps: bool,
}

impl Head {
    /// Whether the answer itself is yet to come (RFC 9110 s15.2).
    pub(super) fn is_interim(&self) -> bool {
        let status = self.response.status();
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Takes a head off the buffer, if all of it is there.
pub(super) fn head(buffer: &mut BytesMut, method: &Method) -> Result<Option<Head>, &'static str> {
    if buffer.is_empty() {
        return Ok(None);
    }
    // Where names and values lie, for they are cut out of the buffer afterwards.
    let mut places = [[0_u32; 4]; HEADERS];
    let mut room = [const { MaybeUninit::uninit() }; HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut room);
    let length = match status {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if buffer.len() > HEAD => return Err("its head is too long"),
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("its head has too many headers"),
        Err(_) => return Err("its head does not parse"),
    };
    let minor = parsed.version.unwrap_or(0);
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or("its status is none")?;
    let start = buffer.as_ptr() as usize;
    let at = |slice: &[u8]| {
        let from = slice.as_ptr() as usize - start;
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        [place(from), place(from + slice.len())]
    };
    let count = parsed.headers.len();
    for (place, header) in places.iter_mut().zip(parsed.headers.iter()) {
        let ([from, to], [begin, end]) = (at(header.name.as_bytes()), at(header.value));
        *place = [from, to, begin, end];
    }
    let bytes = buffer.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(count);
    let mut seen = Seen::default();
    for [from, to, begin, end] in places.into_iter().take(count) {
        let name = HeaderName::from_bytes(&bytes[from as usize..to as usize])
            .map_err(|_| "a header's name is none")?;
        let value = bytes.slice(begin as usize..end as usize);
        let value =
            HeaderValue::from_maybe_shared(value).map_err(|_| "a header's value is none")?;
        seen.look(&name, &value)?;
        headers.append(name, value);
    }
    let (decoder, framed) = seen.decoder(method, status);
    if seen.chunked {
        // What is passed on is framed anew, and two framings are one too many.
        headers.remove(CONTENT_LENGTH);
    }
    let keeps = framed && seen.keeps.unwrap_or(minor == 1);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Some(Head {
        response,
        decoder,
        keeps,
    }))
}

/// What of the headers is about the message itself.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    keeps: Option<bool>,
}

impl Seen {
    fn look(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), &'static str> {
        match *name {
            CONTENT_LENGTH => {
                for one in value.as_bytes().split(|byte| *byte == b',') {
                    let length = decimal(one.trim_ascii()).ok_or("its Content-Length is none")?;
                    if self.length.is_some_and(|before| before != length) {
                        return Err("its Content-Length says two things");
                    }
                    self.length = Some(length);
                }
            }
            TRANSFER_ENCODING => {
                let plain = value.as_bytes().eq_ignore_ascii_case(b"chunked");
                if !plain || std::mem::replace(&mut self.chunked, true) {
                    return Err("its Transfer-Encoding is not plain chunked");
                }
            }
            CONNECTION => {
                for one in value.as_bytes().split(|byte| *byte == b',') {
                    match one.trim_ascii() {
                        close if close.eq_ignore_ascii_case(b"close") => self.keeps = Some(false),
                        keep if keep.eq_ignore_ascii_case(b"keep-alive") => {
                            self.keeps.get_or_insert(true);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// How the body ends, and whether the connection outlives it.
    fn decoder(&self, method: &Method, status: StatusCode) -> (Decoder, bool) {
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (self.chunked, self.length) {
            _ if bodiless => (Decoder::Ended, true),
            // Both: the coding counts, and whoever sends both is not trusted with another request.
            (true, length) => (Decoder::Chunked(Chunk::Size), length.is_none()),
            (false, Some(length)) => (Decoder::Length(length), true),
            (false, None) => (Decoder::UntilClose, false),
        }
    }
}

/// Digits alone (RFC 9110 s8.6).
fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    text.parse().ok()
}

/// Where the body of an answer ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    Ended,
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// What of a chunked body comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What was taken off the buffer.
#[derive(Debug)]
pub(super) enum Decoded {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Nothing: more is to be read first.
    More,
    End,
}

/// What is no body.
#[derive(Debug)]
pub(super) struct Malformed;

impl Decoder {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended | Self::Length(0))
    }

    pub(super) fn ends_by_close(&self) -> bool {
        *self == Self::UntilClose
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Ended => SizeHint::with_exact(0),
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose => SizeHint::new(),
        }
    }

    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Malformed> {
        loop {
            match self {
                Self::Ended | Self::Length(0) => return Ok(Decoded::End),
                _ if buffer.is_empty() => return Ok(Decoded::More),
                Self::Length(left) => return Ok(Decoded::Data(take(left, buffer))),
                Self::UntilClose => return Ok(Decoded::Data(buffer.split().freeze())),
                Self::Chunked(Chunk::Size) => match httparse::parse_chunk_size(buffer) {
                    Ok(Status::Complete((length, size))) => {
                        buffer.advance(length);
                        *self = Self::Chunked(match size {
                            0 => Chunk::Trailers,
                            size => Chunk::Data(size),
                        });
                    }
                    Ok(Status::Partial) if buffer.len() <= CHUNK_LINE => return Ok(Decoded::More),
                    Ok(Status::Partial) | Err(_) => return Err(Malformed),
                },
                Self::Chunked(Chunk::Data(left)) => {
                    let piece = take(left, buffer);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::DataEnd);
                    }
                    return Ok(Decoded::Data(piece));
                }
                Self::Chunked(Chunk::DataEnd) => {
                    if buffer.len() < 2 {
                        return Ok(Decoded::More);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        return Err(Malformed);
                    }
                    buffer.advance(2);
                    *self = Self::Chunked(Chunk::Size);
                }
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(buffer)? else {
                        return Ok(Decoded::More);
                    };
                    *self = Self::Ended;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(trailers));
                    }
                }
            }
        }
    }
}

/// What is there of so many bytes.
fn take(left: &mut u64, buffer: &mut BytesMut) -> Bytes {
    let there = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    *left -= there as u64;
    buffer.split_to(there).freeze()
}

fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    let mut room = [EMPTY_HEADER; 32];
    let (length, trailers) = match httparse::parse_headers(buffer, &mut room) {
        Ok(Status::Complete((length, parsed))) => {
            let mut trailers = HeaderMap::new();
            for header in parsed.iter().filter(|header| strip::may_trail(header.name)) {
                let name = HeaderName::from_bytes(header.name.as_bytes());
                let value = HeaderValue::from_bytes(header.value);
                match (name, value) {
                    (Ok(name), Ok(value)) => trailers.append(name, value),
                    _ => return Err(Malformed),
                };
            }
            (length, trailers)
        }
        Ok(Status::Partial) if buffer.len() <= TRAILERS => return Ok(None),
        Ok(Status::Partial) | Err(_) => return Err(Malformed),
    };
    buffer.advance(length);
    Ok(Some(trailers))
}
