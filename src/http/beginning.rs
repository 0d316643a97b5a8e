//! A stream that keeps its first bytes, which tell what a server speaks that does not speak TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// This many bytes tell one protocol from another.
const KEPT: usize = 5;

/// A stream and the first bytes that came from it.
#[derive(Debug)]
pub(super) struct Beginning<S> {
    stream: S,
    kept: [u8; KEPT],
    len: usize,
}

impl<S> Beginning<S> {
    pub(super) fn of(stream: S) -> Self {
        Self { stream, kept: [0; KEPT], len: 0 }
    }

    /// The first bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.kept[..self.len]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Beginning<S> {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Beginning<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
