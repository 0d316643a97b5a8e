//! Connects to the first of several addresses that answers (RFC 8305, "Happy Eyeballs").

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::origin::Origin;
use super::proxies::Via;
use crate::failure::{ErrorKind, Failure};

/// How long one address may take before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address that answers. If an address is slow, the next one is tried beside
/// it.
pub(super) async fn reach(
    addresses: &[SocketAddr],
    origin: &Origin,
    via: Option<&Via>,
) -> Result<TcpStream, Failure> {
    let mut attempts = JoinSet::new();
    let addresses = interleaved(addresses);
    let mut rest = addresses.iter();
    let mut last = None;
    loop {
        if let Some(&address) = rest.next() {
            attempts.spawn(TcpStream::connect(address));
        } else if attempts.is_empty() {
            return Err(refused(origin, via, last.as_ref()));
        }
        let finished = if rest.len() == 0 {
            attempts.join_next().await
        } else {
            tokio::time::timeout(STAGGER, attempts.join_next()).await.unwrap_or(None)
        };
        match finished {
            Some(Ok(Ok(stream))) => {
                // Requests are small; Nagle's algorithm would only delay them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Some(Ok(Err(error))) => last = Some(error),
            Some(Err(_)) | None => {}
        }
    }
}

/// IPv6 and IPv4 addresses in turns, each kind in its own order, so that an unreachable kind costs
/// one delay and not one for each of its addresses (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (same, other): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|address| address.is_ipv6() == first.is_ipv6());
    let mut mixed = Vec::with_capacity(addresses.len());
    for place in 0..same.len().max(other.len()) {
        mixed.extend([&same, &other].into_iter().filter_map(|kind| kind.get(place)));
    }
    mixed
}

fn refused(origin: &Origin, via: Option<&Via>, error: Option<&io::Error>) -> Failure {
    let what = match error.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "the connection was refused".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "it cannot be reached from here".to_owned()
        }
        Some(io::ErrorKind::TimedOut) => "it does not answer".to_owned(),
        _ => error.map_or_else(|| "it has no address".to_owned(), ToString::to_string),
    };
    let proxy = if via.is_some() { "the proxy " } else { "" };
    Failure::new(ErrorKind::Connect, format!("cannot connect to {proxy}{origin}: {what}"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use super::super::origin::Target;
    use super::*;

    #[test]
    fn address_families_take_turns() {
        let of = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        for (given, mixed) in [
            (&[][..], &[][..]),
            (&["1.1.1.1:1", "2.2.2.2:1"], &["1.1.1.1:1", "2.2.2.2:1"]),
            (
                &["[a::]:1", "[b::]:1", "[c::]:1", "1.1.1.1:1"],
                &["[a::]:1", "1.1.1.1:1", "[b::]:1", "[c::]:1"],
            ),
            (&["1.1.1.1:1", "2.2.2.2:1", "[a::]:1"], &["1.1.1.1:1", "[a::]:1", "2.2.2.2:1"]),
        ] {
            assert_eq!(interleaved(&of(given)), of(mixed));
        }
    }

    /// A port that neither accepts nor refuses connections: its backlog is full while the returned
    /// sockets exist.
    fn black_hole() -> (SocketAddr, tokio::net::TcpListener, Vec<std::net::TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
            queue.push(stream);
            assert!(queue.len() < 64, "the queue has an end");
        }
        (address, listener, queue)
    }

    #[tokio::test]
    async fn a_silent_address_costs_one_delay() {
        let live = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = live.local_addr().unwrap();
        let (hole, _listener, _queue) = black_hole();
        let origin = Target::parse("http://h/").unwrap().origin;
        let began = Instant::now();
        let stream = reach(&[hole, hole, address], &origin, None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        // The kernel gives up a silent address after about two minutes.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn refused_addresses_cost_no_delay() {
        let live = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = live.local_addr().unwrap();
        let dead = |n| SocketAddr::from((Ipv4Addr::new(127, 9, 9, n), address.port()));
        let origin = Target::parse("http://h/").unwrap().origin;
        let began = Instant::now();
        let addresses: Vec<_> = (1..=200).map(dead).chain([address]).collect();
        let stream = reach(&addresses, &origin, None).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        // Delays would take 50 s; a refusal takes less than a millisecond.
        assert!(began.elapsed() < STAGGER * 100, "{:?}", began.elapsed());
        let failure = reach(&[dead(1), dead(2)], &origin, None).await.unwrap_err();
        assert!(failure.message.contains("refused"), "{failure}");
    }
}
