//! A TCP relay that adds latency to loopback. `delay HOST:PORT MILLISECONDS` prints the port on
//! which it listens, and forwards data in both directions with a delay of half the given time.
//!
//! The kernel completes TCP handshakes on loopback without this delay. To account for the
//! handshake, the first bytes of a connection wait for one additional round trip.

#![allow(clippy::disallowed_methods, reason = "a program of its own, with arguments and a clock")]

use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// The maximum number of chunks in flight in one direction of one connection.
const CHUNKS: usize = 4096;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(round_trip)) = (arguments.next(), arguments.next()) else {
        return Err("usage: delay HOST:PORT MILLISECONDS".into());
    };
    let half = Duration::from_millis(round_trip.parse()?) / 2;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    loop {
        let (client, _) = listener.accept().await?;
        let target = target.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
                return;
            }
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            hand_on(from_client, to_server, half, half * 2);
            hand_on(from_server, to_client, half, Duration::ZERO);
        });
    }
}

/// Forwards one direction. Each chunk is delayed by `late`; nothing is forwarded before
/// `handshake + late` has passed.
fn hand_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, late: Duration, handshake: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(CHUNKS);
    tokio::spawn(async move {
        let open = Instant::now() + handshake;
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(64 * 1024);
            match from.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    let due = Instant::now().max(open) + late;
                    if sender.send((due, buffer.split().freeze())).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, chunk)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
}
