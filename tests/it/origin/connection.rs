//! One connection: reads requests and carries out their answers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::answer::Step;
use super::log::Request;
use super::{Excess, Shared};

const HEAD_LIMIT: usize = 1 << 20;

pub(super) fn serve(shared: &Arc<Shared>, stream: TcpStream, number: usize) {
    // Errors mean that the client closed the connection, which is allowed.
    let _ = talk(shared, &stream, number);
    shared.closed(number);
}

/// Ends a connection without an answer.
pub(super) fn refuse(shared: &Shared, stream: &TcpStream, number: usize, excess: &Excess) {
    if matches!(excess, Excess::Reset) {
        // Unread input turns the end of the connection into a reset.
        let _ = stream.peek(&mut [0]);
    }
    shared.closed(number);
}

fn talk(shared: &Shared, mut stream: &TcpStream, number: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Some(head) = read_head_but_its_last_byte(stream)? else {
            return Ok(());
        };
        let Some(request) = Request::parse(&head, number) else {
            return Ok(());
        };
        let (position, answer, file) = shared.arrived(&request);
        let mut open = InFlight { shared, ended: false };
        // The standard library can send a reset only by closing a socket with unread input. So the
        // last byte of the head stays unread if the answer ends with a reset.
        if !answer.resets() {
            stream.read_exact(&mut [0])?;
        }
        shared.pause(answer.delay);
        if let Some(gate) = &answer.gate {
            gate.wait(|| shared.is_stopping());
        }
        let wire = answer.wire(&request, file.as_ref());
        shared.answered(position, wire.status, wire.sent);
        let last_write = wire
            .steps
            .iter()
            .rposition(|step| matches!(step, Step::Write(_)))
            .filter(|_| !matches!(wire.steps.last(), Some(Step::Stall)));
        for (index, step) in wire.steps.into_iter().enumerate() {
            match step {
                Step::Write(bytes) => {
                    // Before the last byte is sent: the client may send its next request at once,
                    // and must not be counted twice.
                    if last_write == Some(index) {
                        open.end();
                    }
                    stream.write_all(&bytes)?;
                }
                Step::Pause(pause) => shared.pause(pause),
                Step::Wait(gate) => gate.wait(|| shared.is_stopping()),
                Step::Stall => {
                    wait_for_the_end(shared, stream);
                    return Ok(());
                }
                Step::Reset => return Ok(()),
                Step::Close => {
                    open.end();
                    shared.closed(number);
                    return stream.shutdown(Shutdown::Both);
                }
            }
        }
    }
}

/// A request whose answer is not complete.
struct InFlight<'a> {
    shared: &'a Shared,
    ended: bool,
}

impl InFlight<'_> {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.shared.departed();
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// `None` if the client closed the connection.
fn read_head_but_its_last_byte(mut stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let seen = stream.peek(&mut buffer)?;
        if seen == 0 || HEAD_LIMIT < head.len() {
            return Ok(None);
        }
        let read = head.len();
        head.extend_from_slice(&buffer[..seen]);
        let from = read.saturating_sub(END.len());
        if let Some(at) = head[from..].windows(END.len()).position(|window| window == END) {
            head.truncate(from + at + END.len());
            stream.read_exact(&mut buffer[..head.len() - read - 1])?;
            return Ok(Some(head));
        }
        stream.read_exact(&mut buffer[..seen])?;
    }
}

fn wait_for_the_end(shared: &Shared, stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    while !shared.is_stopping() {
        match stream.peek(&mut [0]) {
            Ok(0) => return,
            Ok(_) => shared.pause(Duration::from_millis(50)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
