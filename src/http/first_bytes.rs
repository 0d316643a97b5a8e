//! A stream that keeps its first bytes, which tell what a server speaks that does not speak TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::forward::forward_writes;

/// This many bytes tell one protocol from another.
const KEPT: usize = 5;

/// A stream and the first bytes that came from it.
#[derive(Debug)]
pub(super) struct FirstBytes<S> {
    stream: S,
    kept: [u8; KEPT],
    len: usize,
}

impl<S> FirstBytes<S> {
    pub(super) fn of(stream: S) -> Self {
        Self { stream, kept: [0; KEPT], len: 0 }
    }

    /// The first bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.kept[..self.len]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.len < KEPT {
            let Self { kept, len, .. } = &mut *self;
            let came = &buffer.filled()[before..];
            let more = came.len().min(KEPT - *len);
            kept[*len..*len + more].copy_from_slice(&came[..more]);
            *len += more;
        }
        polled
    }
}

forward_writes!(FirstBytes);
