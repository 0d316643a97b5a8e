//! A stream that mends the heads of responses before hyper parses them.
//!
//! It looks only at what follows a request, up to the end of the head. Heads that are sound and come
//! in one piece are not copied, and bodies pass through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::forward::forward_writes;
use super::head::{Beginning, LARGEST_HEAD, beginning, mended};

/// Tells the stream that a request is about to be sent, so that a head follows.
#[derive(Clone, Debug)]
pub(super) struct Expecting(Arc<AtomicBool>);

impl Expecting {
    pub(super) fn head(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A stream of responses.
#[derive(Debug)]
pub(super) struct Heads<S> {
    stream: S,
    expecting: Arc<AtomicBool>,
    /// The beginning of a head that has not come completely.
    held: Vec<u8>,
    /// Bytes that hyper has to get next, from `at` on.
    mended: Vec<u8>,
    at: usize,
}

impl<S> Heads<S> {
    pub(super) fn of(stream: S) -> (Self, Expecting) {
        let expecting = Arc::<AtomicBool>::default();
        let heads = Self {
            stream,
            expecting: Arc::clone(&expecting),
            held: Vec::new(),
            mended: Vec::new(),
            at: 0,
        };
        (heads, Expecting(expecting))
    }

    /// Moves what is complete of the held bytes to the mended ones. The first `known` held bytes
    /// have no end of a head.
    fn advance(&mut self, known: usize) -> io::Result<()> {
        let (mut from, mut known) = (0, known);
        loop {
            let rest = &self.held[from..];
            match beginning(rest, known) {
                Beginning::Partial if rest.len() <= LARGEST_HEAD => break,
                // Hyper explains what is no head, and refuses a head that is too large.
                Beginning::Partial | Beginning::Other => {
                    self.expecting.store(false, Ordering::Relaxed);
                    self.mended.extend_from_slice(rest);
                    from = self.held.len();
                    break;
                }
                Beginning::Head { length, interim } => {
                    let head = &rest[..length];
                    let better = mended(head)
                        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                    self.mended.extend_from_slice(better.as_deref().unwrap_or(head));
                    (from, known) = (from + length, 0);
                    if !interim {
                        self.expecting.store(false, Ordering::Relaxed);
                        self.mended.extend_from_slice(&self.held[from..]);
                        from = self.held.len();
                        break;
                    }
                }
            }
        }
        self.held.drain(..from);
        Ok(())
    }
}

/// Whether bytes have a head that needs no mending, and all that follows is its body.
fn is_sound(bytes: &[u8]) -> bool {
    match beginning(bytes, 0) {
        Beginning::Head { length, interim: false } => mended(&bytes[..length]) == Ok(None),
        _ => false,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.at < this.mended.len() {
                let next = &this.mended[this.at..];
                let next = &next[..next.len().min(buffer.remaining())];
                buffer.put_slice(next);
                this.at += next.len();
                return Poll::Ready(Ok(()));
            }
            (this.mended, this.at) = (Vec::new(), 0);
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            if !this.expecting.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let came = &buffer.filled()[before..];
            if came.is_empty() {
                // The end of the stream: hyper gets what came of the head.
                this.expecting.store(false, Ordering::Relaxed);
                if this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.mended = std::mem::take(&mut this.held);
                continue;
            }
            if this.held.is_empty() && is_sound(came) {
                this.expecting.store(false, Ordering::Relaxed);
                return Poll::Ready(Ok(()));
            }
            let known = this.held.len();
            this.held.extend_from_slice(came);
            buffer.set_filled(before);
            this.advance(known)?;
        }
    }
}

forward_writes!(Heads);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a reader gets of `sent`, which comes in pieces of that size.
    async fn through(sent: &[u8], size: usize) -> io::Result<Vec<u8>> {
        let (near, mut far) = tokio::io::duplex(size);
        let (mut heads, expecting) = Heads::of(near);
        expecting.head();
        let sent = sent.to_vec();
        let writing = tokio::spawn(async move {
            let _ = far.write_all(&sent).await;
        });
        let mut got = Vec::new();
        let read = heads.read_to_end(&mut got).await;
        drop(heads);
        writing.await.unwrap();
        read.map(|_| got)
    }

    #[tokio::test]
    async fn heads_are_mended_and_bodies_pass() {
        let interim = "HTTP/1.1 103 Early\r\nX : a\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\nX : a\r\nB: c\r\n\r\n";
        let body = "HTTP/1.1 200 OK\r\nX : a\r\n\r\nstays";
        let sent = format!("{interim}{head}{body}");
        let expected = format!("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nB: c\r\n\r\n{body}");
        for size in 1..sent.len() {
            let got = through(sent.as_bytes(), size).await.unwrap();
            assert_eq!(String::from_utf8(got).unwrap(), expected, "{size}");
        }
    }

    #[tokio::test]
    async fn what_is_no_head_passes() {
        let large = format!("HTTP/1.1 200 OK\r\nX : {}", "x".repeat(2 * LARGEST_HEAD));
        for sent in ["", "H", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nX : a\r\n", &large] {
            assert_eq!(through(sent.as_bytes(), 7).await.unwrap(), sent.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_doubtful_head_is_an_error() {
        let sent = b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nright";
        let error = through(sent, 9).await.unwrap_err();
        assert!(error.to_string().contains("`Content-Length : 5`"), "{error}");
    }

    #[tokio::test]
    async fn only_what_follows_a_request_is_looked_at() {
        let (near, mut far) = tokio::io::duplex(1000);
        let (mut heads, expecting) = Heads::of(near);
        let mut buffer = [0; 1000];
        for (is_expected, sent, got) in [
            (true, "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
            (false, "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n"),
            (true, "\r\nHTTP/1.1 200 OK\r\nX : a\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        ] {
            if is_expected {
                expecting.head();
            }
            far.write_all(sent.as_bytes()).await.unwrap();
            let read = heads.read(&mut buffer).await.unwrap();
            assert_eq!(std::str::from_utf8(&buffer[..read]).unwrap(), got);
        }
    }
}
