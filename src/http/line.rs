//! What a connection is spoken over, and how one sees that its caller is gone.

use std::future::{Future, Pending, pending};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Timeout;

/// A socket that a caller came over.
pub trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static> Socket for S {}

/// What requests and answers go over: a socket, or TLS on one.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether the other end is still there. Asks the system itself: what tokio knows of a socket
    /// is as old as its last look at all of them. Behind a request that waits to be read an end
    /// may not be seen.
    fn is_open(&mut self) -> bool;
}

/// A socket that does not wait for ever until its caller takes what is sent.
pub struct Impatient<S> {
    socket: S,
    timeout: Duration,
    /// Since the caller last took nothing.
    stuck: Option<Pin<Box<Timeout<Pending<()>>>>>,
}

impl<S> Impatient<S> {
    /// Fails what the caller does not take within the time-out.
    pub fn new(socket: S, timeout: Duration) -> Impatient<S> {
        Impatient {
            socket,
            timeout,
            stuck: None,
        }
    }

    /// Fails what has not moved for too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.stuck = None;
            return moved;
        }
        let timeout = self.timeout;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::timeout(timeout, pending())));
        stuck
            .as_mut()
            .poll(context)
            .map(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: Socket> Stream for Impatient<S> {
    fn is_open(&mut self) -> bool {
        match SockRef::from(&self.socket).peek(&mut [MaybeUninit::uninit()]) {
            Ok(waiting) => waiting > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

impl<S: AsFd> AsFd for Impatient<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.in_time(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
