//! A scripted answer: its content, its framing, and its faults.

use std::time::Duration;

use super::file::File;
use super::gate::Gate;
use super::log::Request;

/// An answer to a request. It starts as a correct answer; each method changes it.
///
/// Offsets count the bytes after the head as sent on the wire, including chunk framing.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    base: Base,
    headers: Vec<(String, String)>,
    without: Vec<String>,
    lengths: Option<Vec<String>>,
    framing: Framing,
    surplus: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) gate: Option<Gate>,
    break_at: Option<(usize, Break)>,
    drip: Option<(usize, Duration)>,
    close_after: bool,
}

#[derive(Clone, Debug)]
enum Base {
    File,
    Status(u16, Vec<u8>),
    Raw(Vec<u8>),
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    Chunked { finished: bool },
    UntilClose,
}

#[derive(Clone, Debug)]
enum Break {
    Fin,
    Reset,
    Stall,
    Gate(Gate),
}

/// One step of sending an answer.
#[derive(Debug)]
pub(super) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    Wait(Gate),
    /// Stays silent until the other side goes away.
    Stall,
    /// Closes the connection with FIN.
    Close,
    /// Closes the connection with RST.
    Reset,
}

/// The steps of an answer to one request.
pub(super) struct Wire {
    pub(super) status: u16,
    /// Bytes after the head.
    pub(super) sent: usize,
    pub(super) steps: Vec<Step>,
}

impl Answer {
    fn new(base: Base) -> Self {
        Self {
            base,
            headers: Vec::new(),
            without: Vec::new(),
            lengths: None,
            framing: Framing::Length,
            surplus: Vec::new(),
            delay: Duration::ZERO,
            gate: None,
            break_at: None,
            drip: None,
            close_after: false,
        }
    }

    /// The correct answer for the path (404 if there is no file).
    pub(crate) fn file() -> Self {
        Self::new(Base::File)
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::new(Base::Status(status, format!("status {status}\n").into_bytes()))
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// Sends these bytes verbatim, then closes the connection.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(Base::Raw(bytes.into()))
    }

    /// Closes the connection without an answer.
    pub(crate) fn close() -> Self {
        Self::new(Base::Close)
    }

    /// Replaces the body of an answer from `status`.
    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Base::Status(_, body) = &mut self.base {
            *body = bytes.into();
        }
        self
    }

    /// Sets a header, and replaces the usual one of this name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without_header(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }

    pub(crate) fn retry_after(self, value: &str) -> Self {
        self.header("Retry-After", value)
    }

    /// Adds `Content-Encoding: gzip`, although the request did not allow it.
    pub(crate) fn gzip_label(self) -> Self {
        self.header("Content-Encoding", "gzip")
    }

    /// Sends one `Content-Length` header for each of these values, instead of the real length.
    pub(crate) fn content_lengths(mut self, lengths: &[&str]) -> Self {
        self.lengths = Some(lengths.iter().map(|&length| length.to_owned()).collect());
        self
    }

    /// Sends these bytes after the end of the body.
    pub(crate) fn surplus(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.surplus = bytes.into();
        self
    }

    pub(crate) fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked { finished: true };
        self
    }

    /// Chunked, and closes the connection instead of sending the final chunk.
    pub(crate) fn no_final_chunk(mut self) -> Self {
        self.framing = Framing::Chunked { finished: false };
        self
    }

    /// An HTTP/1.0 answer without a length; closing the connection ends the body.
    pub(crate) fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// Waits for this time before the head.
    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits before the head until the gate is open.
    pub(crate) fn gate(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Waits after this many bytes until the gate is open.
    pub(crate) fn gate_at(mut self, offset: usize, gate: &Gate) -> Self {
        self.break_at = Some((offset, Break::Gate(gate.clone())));
        self
    }

    /// Closes the connection with FIN after this many bytes.
    pub(crate) fn cut_at(mut self, offset: usize) -> Self {
        self.break_at = Some((offset, Break::Fin));
        self
    }

    /// Resets the connection after this many bytes.
    pub(crate) fn rst_at(mut self, offset: usize) -> Self {
        self.break_at = Some((offset, Break::Reset));
        self
    }

    /// Sends nothing more after this many bytes, but keeps the connection open.
    pub(crate) fn stall_at(mut self, offset: usize) -> Self {
        self.break_at = Some((offset, Break::Stall));
        self
    }

    /// Sends this many bytes at a time, with a pause after each piece.
    pub(crate) fn drip(mut self, bytes: usize, pause: Duration) -> Self {
        self.drip = Some((bytes, pause));
        self
    }

    /// Closes the connection after the answer, without `Connection: close`.
    pub(crate) fn close_after(mut self) -> Self {
        self.close_after = true;
        self
    }

    /// True if a step resets the connection.
    pub(super) fn resets(&self) -> bool {
        matches!(self.break_at, Some((_, Break::Reset)))
    }

    pub(super) fn wire(&self, request: &Request, file: Option<&File>) -> Wire {
        let (status, mut headers, body) = match (&self.base, file) {
            (Base::Raw(bytes), _) => {
                let steps = vec![Step::Write(bytes.clone()), Step::Close];
                return Wire { status: 0, sent: bytes.len(), steps };
            }
            (Base::Close, _) => {
                return Wire { status: 0, sent: 0, steps: vec![Step::Close] };
            }
            (Base::File, Some(file)) => file.answer(request),
            (Base::File, None) => (404, vec![html()], b"<html>not found</html>".to_vec()),
            (Base::Status(status, body), _) => (*status, Vec::new(), body.clone()),
        };
        let bodiless = status == 304 || status == 204 || status < 200;
        headers.push(("Date".to_owned(), httpdate::fmt_http_date(std::time::SystemTime::now())));
        let mut close = self.close_after;
        match (&self.lengths, self.framing) {
            (Some(lengths), _) => {
                headers.extend(
                    lengths.iter().map(|length| ("Content-Length".to_owned(), length.clone())),
                );
            }
            (None, Framing::Length) if !bodiless => {
                headers.push(("Content-Length".to_owned(), body.len().to_string()));
            }
            (None, Framing::Chunked { .. }) => {
                headers.push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            }
            _ => {}
        }
        for (name, value) in &self.headers {
            headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
            close |= name.eq_ignore_ascii_case("connection") && value == "close";
        }
        headers
            .retain(|(name, _)| !self.without.iter().any(|gone| gone.eq_ignore_ascii_case(name)));

        let version = if self.framing == Framing::UntilClose { "1.0" } else { "1.1" };
        let mut head = format!("HTTP/{version} {status} {}\r\n", reason(status)).into_bytes();
        for (name, value) in &headers {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");

        let mut wire_body = Vec::new();
        if request.method != "HEAD" && !bodiless {
            wire_body = self.framed(body);
            close |=
                matches!(self.framing, Framing::UntilClose | Framing::Chunked { finished: false });
            close |= self.lengths.is_some();
        }
        self.steps(status, head, wire_body, close)
    }

    fn framed(&self, body: Vec<u8>) -> Vec<u8> {
        let mut wire = match self.framing {
            Framing::Length | Framing::UntilClose => body,
            Framing::Chunked { finished } => {
                let mut wire = Vec::with_capacity(body.len() + 64);
                for chunk in body.chunks(1000) {
                    wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                if finished {
                    wire.extend_from_slice(b"0\r\n\r\n");
                }
                wire
            }
        };
        wire.extend_from_slice(&self.surplus);
        wire
    }

    fn steps(&self, status: u16, head: Vec<u8>, mut body: Vec<u8>, close: bool) -> Wire {
        let mut steps = Vec::new();
        let mut end = None;
        let mut held_back = Vec::new();
        if let Some((offset, kind)) = &self.break_at
            && *offset <= body.len()
            && !body.is_empty()
        {
            held_back = body.split_off(*offset);
            end = Some(kind.clone());
        }
        let goes_on = matches!(end, Some(Break::Gate(_)));
        let sent = body.len() + if goes_on { held_back.len() } else { 0 };
        match self.drip {
            None => {
                let mut first = head;
                first.extend_from_slice(&body);
                steps.push(Step::Write(first));
            }
            Some((size, pause)) => {
                steps.push(Step::Write(head));
                for piece in body.chunks(size.max(1)) {
                    steps.extend([Step::Pause(pause), Step::Write(piece.to_vec())]);
                }
            }
        }
        match end {
            Some(Break::Gate(gate)) => steps.extend([Step::Wait(gate), Step::Write(held_back)]),
            Some(Break::Fin) => steps.push(Step::Close),
            Some(Break::Reset) => steps.push(Step::Reset),
            Some(Break::Stall) => steps.push(Step::Stall),
            None => {}
        }
        if close && !matches!(steps.last(), Some(Step::Stall | Step::Reset | Step::Close)) {
            steps.push(Step::Close);
        }
        Wire { status, sent, steps }
    }
}

fn html() -> (String, String) {
    ("Content-Type".to_owned(), "text/html".to_owned())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "Whatever",
    }
}
