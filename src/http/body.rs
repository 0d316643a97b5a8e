//! Receiving a body.

use std::io;
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::Instant;

use super::classify::{Length, check_length};
use super::connection::Connection;
use super::errors::explain_body;
use super::pace::Pace;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Expect;

/// Bytes are secured after this much silence ..
const LULL: Duration = Duration::from_millis(200);
/// .. and while they come, or wait for a rate limit, about this often.
const OFTEN: Duration = Duration::from_secs(1);
/// `min_rate` is an average over this time.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// A body that is still to come, over the connection of its response.
#[derive(Debug)]
pub(crate) struct Body(pub(super) Incoming);

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules<'a> {
    /// The declared length of the whole file, in bytes.
    pub(crate) length: Option<u64>,
    pub(crate) expect: &'a Expect,
    /// What is known of the length independently of the response.
    pub(crate) known: Length,
    /// The longest silence.
    pub(crate) stall: Duration,
    /// The lowest rate, in bytes per second averaged over a minute; 0 for no limit.
    pub(crate) min_rate: u64,
}

/// Where the bytes of a body go.
pub(crate) trait Receiver {
    /// Bytes of the file so far, including those of earlier attempts.
    fn received(&self) -> u64;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the disk fails.
    fn take(&mut self, piece: &[u8]) -> io::Result<()>;

    /// Makes the bytes so far outlast the process. Called within two seconds after each byte, and
    /// hardly more often than once a second.
    fn secure(&mut self) {}

    /// Whether the rest of the body is not wanted any more.
    fn is_full(&self) -> bool {
        false
    }
}

/// A short text in memory.
impl Receiver for Vec<u8> {
    fn received(&self) -> u64 {
        self.len() as u64
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// Receives a body. `progress` gets the number of bytes of each piece. After a failure, `to` has
/// the bytes that came before it. If `to` wants no more, the body can be received further later.
///
/// # Errors
/// When the body is cut, stalls, is too slow, too long or too short, or the disk fails.
pub(crate) async fn receive(
    connection: &mut Connection,
    body: &mut Body,
    rules: &BodyRules<'_>,
    paces: &[&Pace],
    to: &mut impl Receiver,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let mut window = Window::new(rules.min_rate);
    let mut secured = Secured::new();
    let most = rules.known.most(rules.expect);
    while !to.is_full() {
        let received = to.received();
        let quiet = secured.quiet();
        let mut lull = || secured.secure(to);
        let piece = next_piece(connection, &mut body.0, rules, received, quiet, &mut lull).await?;
        let Some(piece) = piece else {
            return check_end(to.received(), rules);
        };
        let bytes = piece.len() as u64;
        to.take(&piece).map_err(|error| Failure::disk("write the file", &error))?;
        if secured.is_due() {
            secured.secure(to);
        }
        if let Some(most) = most
            && most < to.received()
        {
            let too_large = || {
                let message = format!("the file has more than {most} bytes");
                Failure::new(ErrorKind::TooLarge, message)
            };
            let explained = check_length(to.received(), rules.expect, rules.known);
            return Err(explained.err().unwrap_or_else(too_large));
        }
        if let Some(length) = rules.length
            && length < received + bytes
        {
            let message = format!("the body is longer than the declared {length} bytes");
            return Err(Failure::new(ErrorKind::Protocol, message));
        }
        progress(bytes);
        window.add(bytes)?;
        if !paces.is_empty() {
            let before = Instant::now();
            let pacing = async {
                for pace in paces {
                    pace.take(bytes).await;
                }
            };
            tokio::pin!(pacing);
            if tokio::time::timeout(secured.quiet(), &mut pacing).await.is_err() {
                secured.secure(to);
                pacing.await;
            }
            // Pauses of the local rate limit do not count as slowness of the server.
            window.since += before.elapsed();
        }
    }
    Ok(())
}

/// Checks that a body that ended is complete.
fn check_end(received: u64, rules: &BodyRules<'_>) -> Result<(), Failure> {
    match rules.length {
        Some(length) if length != received => {
            let message = format!("the file ended at {received} of {length} bytes");
            Err(Failure::new(ErrorKind::Truncated, message))
        }
        _ => check_length(received, rules.expect, rules.known),
    }
}

/// The next bytes of a body after `received` ones, or none at its end. `lull` is called after that
/// much silence.
async fn next_piece(
    connection: &mut Connection,
    body: &mut Incoming,
    rules: &BodyRules<'_>,
    received: u64,
    quiet: Duration,
    lull: &mut impl FnMut(),
) -> Result<Option<Bytes>, Failure> {
    let quiet = quiet.min(rules.stall);
    loop {
        let frame = match tokio::time::timeout(quiet, connection.frame(body)).await {
            Ok(frame) => Ok(frame),
            Err(_) => {
                lull();
                let rest = rules.stall.saturating_sub(quiet);
                tokio::time::timeout(rest, connection.frame(body)).await
            }
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                // A frame without data holds trailers.
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(Some(Err(error))) => return Err(explain_body(&error, received, rules.length)),
            Ok(None) if connection.is_over(body) => return Ok(None),
            Ok(None) => {
                let message = format!("the stream was broken off after {received} bytes");
                return Err(Failure::new(ErrorKind::Truncated, message));
            }
            Err(_) => {
                let seconds = rules.stall.as_secs_f32();
                let message = format!("no byte for {seconds} s after {received} bytes");
                return Err(Failure::new(ErrorKind::Stalled, message));
            }
        }
    }
}

/// A longer body is not worth reading only to keep the connection.
const SMALL: u64 = 64 * 1024;
/// Nor is waiting longer for the end of a body.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads and drops a body, and reports whether the connection can be used again.
pub(crate) async fn drain(connection: &mut Connection, mut body: Body) -> bool {
    if SMALL < body.0.size_hint().lower() {
        return false;
    }
    let drained = tokio::time::timeout(PATIENCE, async {
        let mut read = 0;
        while let Some(frame) = connection.frame(&mut body.0).await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if SMALL < read {
                return false;
            }
        }
        true
    })
    .await;
    drop(body);
    drained == Ok(true) && connection.is_reusable().await
}

/// When the bytes of a body were secured last.
struct Secured {
    begun: Instant,
    last: Option<Instant>,
}

impl Secured {
    fn new() -> Self {
        Self { begun: Instant::now(), last: None }
    }

    fn secure(&mut self, receiver: &mut impl Receiver) {
        receiver.secure();
        self.last = Some(Instant::now());
    }

    fn is_due(&self) -> bool {
        OFTEN <= self.last.unwrap_or(self.begun).elapsed()
    }

    /// The silence after which bytes are secured.
    fn quiet(&self) -> Duration {
        self.last.map_or(LULL, |last| LULL.max(OFTEN.saturating_sub(last.elapsed())))
    }
}

/// Compares the bytes of the last minute with `min_rate`.
struct Window {
    min_rate: u64,
    since: Instant,
    bytes: u64,
}

impl Window {
    fn new(min_rate: u64) -> Self {
        Self { min_rate, since: Instant::now(), bytes: 0 }
    }

    fn add(&mut self, bytes: u64) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.min_rate == 0 || self.since.elapsed() < RATE_WINDOW {
            return Ok(());
        }
        let rate = self.bytes / self.since.elapsed().as_secs().max(1);
        if rate < self.min_rate {
            let message = format!(
                "{rate} bytes a second over the last minute, less than `min_rate` ({})",
                self.min_rate
            );
            return Err(Failure::new(ErrorKind::Stalled, message));
        }
        *self = Self::new(self.min_rate);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// When bytes came, and how many outlast the process.
    struct Account {
        received: u64,
        /// Arrivals that a kill would lose.
        open: Vec<Instant>,
        secured: u32,
    }

    impl Account {
        fn check(&self) {
            let oldest = self.open.first().map_or(Duration::ZERO, Instant::elapsed);
            assert!(oldest <= Duration::from_secs(2), "{oldest:?} would be lost");
        }
    }

    impl Receiver for Account {
        fn received(&self) -> u64 {
            self.received
        }

        fn take(&mut self, piece: &[u8]) -> io::Result<()> {
            self.check();
            self.received += piece.len() as u64;
            self.open.push(Instant::now());
            Ok(())
        }

        fn secure(&mut self) {
            self.check();
            self.open.clear();
            self.secured += 1;
        }
    }

    /// Receives `pieces` pieces of `bytes` bytes each, one after each pause, under a limit in bytes
    /// per second.
    async fn receive_slowly(bytes: usize, pieces: usize, pause: Duration, limit: Option<u64>) {
        let (near, mut far) = tokio::io::duplex(1024 * 1024);
        let total = bytes * pieces;
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let read = far.read(&mut request).await.unwrap();
            assert!(0 < read);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n");
            far.write_all(head.as_bytes()).await.unwrap();
            for _ in 0..pieces {
                tokio::time::sleep(pause).await;
                far.write_all(&vec![b'x'; bytes]).await.unwrap();
            }
            // The connection stays open until the client closes it.
            assert_eq!(far.read(&mut request).await.unwrap(), 0);
        });
        let mut connection = Connection::over(near).await.unwrap();
        let request = hyper::Request::get("/").header("Host", "a").body(Empty::new()).unwrap();
        let mut body = Body(connection.send(request).await.unwrap().into_body());
        let expect = Expect::default();
        let rules = BodyRules {
            length: Some(total as u64),
            expect: &expect,
            known: Length::Unknown,
            stall: Duration::from_secs(30),
            min_rate: 0,
        };
        let pace = limit.map(Pace::new);
        let paces: Vec<_> = pace.iter().collect();
        let mut account = Account { received: 0, open: Vec::new(), secured: 0 };
        let began = Instant::now();
        receive(&mut connection, &mut body, &rules, &paces, &mut account, |_| {}).await.unwrap();
        account.check();
        let most = 2 + began.elapsed().as_secs();
        assert!(u64::from(account.secured) <= most, "{} times in {most} s", account.secured);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_loses_two_seconds_of_a_transfer_however_it_comes() {
        let millis = [1, 50, 150, 199, 201, 250, 700, 999, 1001, 1500, 5000];
        for pause in millis.map(Duration::from_millis) {
            receive_slowly(1000, 100, pause, None).await;
        }
        for limit in [100, 5_000, 50_000, 1_000_000] {
            receive_slowly(300_000, 1, Duration::ZERO, Some(limit)).await;
            receive_slowly(20_000, 10, Duration::from_millis(100), Some(limit)).await;
        }
    }
}
