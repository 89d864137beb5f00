//! A client of HTTP/1.1, as much of it as load needs: one request at a time on a connection that is kept.

use httparse::{Response, Status, EMPTY_HEADER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::Endpoint;
use crate::failure::{first_line, Failure};
use crate::stream::Stream;

const CHUNK: usize = 4096;
const MOST_HEADERS: usize = 100;
const LONGEST_HEAD: usize = 64 * 1024;
/// Of a longer body the rest is read, and forgotten.
const KEPT_BODY: usize = 8 << 20;

/// A response's first line and what its headers say of its body and of an upgrade.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) accept: Option<String>,
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
}

impl Head {
    /// From the beginning of what was received, with its length. None while it is not complete.
    pub(crate) fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, Failure> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        let size = match response.parse(received) {
            Ok(Status::Complete(size)) => size,
            Ok(Status::Partial) if received.len() < LONGEST_HEAD => return Ok(None),
            Ok(Status::Partial) | Err(_) => return Err(Failure::NotHttp(first_line(received))),
        };
        let mut head = Self {
            status: response.code.unwrap_or_default(),
            closes: response.version == Some(0),
            ..Self::default()
        };
        for header in response.headers.iter() {
            let value = String::from_utf8_lossy(header.value);
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.trim().parse().ok(),
                "transfer-encoding" => head.is_chunked = value.to_ascii_lowercase().contains("chunked"),
                "connection" if value.eq_ignore_ascii_case("close") => head.closes = true,
                "connection" if value.eq_ignore_ascii_case("keep-alive") => head.closes = false,
                "sec-websocket-accept" => head.accept = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        Ok(Some((head, size)))
    }

    /// The first line of the body, of which this has been received.
    pub(crate) fn first_line_of(&self, body: &[u8]) -> String {
        match httparse::parse_chunk_size(body) {
            Ok(Status::Complete((start, _))) if self.is_chunked => first_line(&body[start..]),
            _ => first_line(body),
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.status, 100..=199 | 204 | 304)
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The failure that it is if it is not a success.
    pub(crate) fn or_failure(self) -> Result<Vec<u8>, Failure> {
        match self.status {
            200..=399 => Ok(self.body),
            status => Err(Failure::Status(status, first_line(&self.body))),
        }
    }
}

/// A connection for requests. It is opened when it is needed.
#[derive(Debug, Default)]
pub(crate) struct Http {
    stream: Option<Stream>,
    received: Vec<u8>,
    /// A response whose body is being read.
    head: Option<Head>,
    body: Vec<u8>,
    /// Bytes of that body, kept or not.
    seen: u64,
    is_waiting: bool,
}

impl Http {
    /// On a connection on which a request has been sent.
    pub(crate) fn waiting_on(stream: Stream) -> Self {
        Self { stream: Some(stream), is_waiting: true, ..Self::default() }
    }

    /// The connection, if it is open, and what was received and not used.
    pub(crate) fn into_parts(self) -> Option<(Stream, Vec<u8>)> {
        Some((self.stream?, self.received))
    }

    /// Whether the response to a request is still to come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    pub(crate) async fn open(&mut self, endpoint: &Endpoint) -> Result<(), Failure> {
        self.stream = Some(endpoint.connect().await?);
        Ok(())
    }

    pub(crate) async fn request(&mut self, endpoint: &Endpoint, request: &[u8]) -> Result<Answer, Failure> {
        let is_kept = self.stream.is_some();
        let answered = match self.send(endpoint, request).await {
            Ok(()) => self.answer().await,
            Err(failure) => Err(failure),
        };
        match answered {
            // The server has closed what was kept, before it saw this request.
            Err(Failure::Closed | Failure::Reset)
                if is_kept && self.received.is_empty() && self.head.is_none() =>
            {
                self.stream = None;
                self.send(endpoint, request).await?;
                self.answer().await
            }
            answered => answered,
        }
    }

    pub(crate) async fn send(&mut self, endpoint: &Endpoint, request: &[u8]) -> Result<(), Failure> {
        if self.stream.is_none() {
            self.open(endpoint).await?;
        }
        if let Some(stream) = &mut self.stream {
            stream.write_all(request).await?;
        }
        self.is_waiting = true;
        Ok(())
    }

    /// Reads the response. May be dropped meanwhile, and called again.
    pub(crate) async fn answer(&mut self) -> Result<Answer, Failure> {
        let head = loop {
            if let Some(head) = &self.head {
                break head.clone();
            }
            match Head::parse(&self.received)? {
                Some((head, size)) => {
                    self.received.drain(..size);
                    if head.status != 100 {
                        self.head = Some(head);
                    }
                }
                None => self.read().await?,
            }
        };
        if head.has_body() {
            self.read_body(&head).await?;
        }
        self.head = None;
        self.seen = 0;
        self.is_waiting = false;
        if head.closes {
            self.stream = None;
            self.received.clear();
        }
        Ok(Answer { status: head.status, body: std::mem::take(&mut self.body) })
    }

    async fn read_body(&mut self, head: &Head) -> Result<(), Failure> {
        if head.is_chunked {
            while !self.take_chunks()? {
                self.read().await?;
            }
            return Ok(());
        }
        let Some(length) = head.length else { return self.read_to_end().await };
        loop {
            let ready = length.saturating_sub(self.seen).min(self.received.len() as u64);
            self.keep(ready as usize);
            if self.seen >= length {
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn read_to_end(&mut self) -> Result<(), Failure> {
        loop {
            self.keep(self.received.len());
            match self.read().await {
                Ok(()) => {}
                Err(Failure::Closed) => {
                    self.stream = None;
                    return Ok(());
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Moves what is there of a chunked body. Whether that was all of it.
    fn take_chunks(&mut self) -> Result<bool, Failure> {
        loop {
            let (start, size) = match httparse::parse_chunk_size(&self.received) {
                Ok(Status::Complete(found)) => found,
                Ok(Status::Partial) => return Ok(false),
                Err(_) => return Err(Failure::unexpected(&self.received)),
            };
            let too_long = || Failure::Unexpected("a chunk that is too long".to_owned());
            let size = usize::try_from(size).ok().filter(|size| *size <= KEPT_BODY).ok_or_else(too_long)?;
            let end = start + size + 2;
            if self.received.len() < end {
                return Ok(false);
            }
            self.received.drain(..start);
            self.keep(size);
            self.received.drain(..2);
            if size == 0 {
                return Ok(true);
            }
        }
    }

    fn keep(&mut self, count: usize) {
        let room = KEPT_BODY.saturating_sub(self.body.len()).min(count);
        self.body.extend_from_slice(&self.received[..room]);
        self.received.drain(..count);
        self.seen += count as u64;
    }

    async fn read(&mut self) -> Result<(), Failure> {
        let Some(stream) = &mut self.stream else { return Err(Failure::Closed) };
        read_more(stream, &mut self.received).await
    }
}

/// Reads what there is, behind what was received; at least a byte.
pub(crate) async fn read_more(stream: &mut Stream, received: &mut Vec<u8>) -> Result<(), Failure> {
    received.reserve(CHUNK);
    match stream.read_buf(received).await? {
        0 => Err(Failure::Closed),
        _ => Ok(()),
    }
}

/// A request's head, and its body if it is a POST.
pub(crate) fn request(endpoint: &Endpoint, path: &str, more: &str, body: Option<&[u8]>) -> Vec<u8> {
    let target = &endpoint.target;
    let method = if body.is_some() { "POST" } else { "GET" };
    let lines: Vec<_> = target.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = lines.concat();
    let about_body = match body {
        Some(body) => format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n", body.len()),
        None => String::new(),
    };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{more}{headers}{about_body}\r\n", target.host);
    [head.as_bytes(), body.unwrap_or_default()].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn body(received: &[u8], head: &Head) -> Result<bool, Failure> {
        let mut http = Http { received: received.to_vec(), ..Http::default() };
        assert!(head.is_chunked);
        http.take_chunks()
    }

    #[test]
    fn a_head_is_read_when_it_is_complete_and_refused_when_it_is_none() {
        let whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
        let (head, size) = Head::parse(whole).unwrap().unwrap();
        assert_eq!(
            (head.status, head.length, head.closes, &whole[size..]),
            (404, Some(3), true, &b"abc"[..])
        );
        assert_eq!(Head::parse(&whole[..30]), Ok(None));
        assert_eq!(
            Head::parse(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap_err(),
            Failure::NotHttp("SSH-2.0-OpenSSH_9.2".into())
        );
    }

    #[test]
    fn a_chunked_body_ends_with_an_empty_chunk() {
        let head = Head { is_chunked: true, ..Head::default() };
        assert_eq!(body(b"3\r\nabc\r\n0\r\n\r\n", &head), Ok(true));
        assert_eq!(body(b"3\r\nabc\r\n0\r\n", &head), Ok(false));
        assert!(body(b"ffffffffffff\r\nabc", &head).is_err());
        assert!(body(b"zz\r\n", &head).is_err());
    }
}
