//! Host names and addresses.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::thread;

use crate::world::World;

#[test]
fn an_unknown_host_fails_all_its_entries_quickly_with_one_message() {
    let world = World::new().source("http://no-such-host.invalid/{n}.txt", &["vars: {n: 1..1000}"]);
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 1000, failed 1000");
    let (kind, message) = run.failure("1000.txt");
    assert_eq!(kind, "dns");
    // Without a reachable name server, the message is the second one.
    let known = ["there is no such name", "the name server does not answer"];
    assert!(known.iter().any(|part| message.ends_with(part)), "{message}");
    // Once in the message, and once in the URL that stands for the group.
    assert_eq!(run.stderr.matches("no-such-host.invalid").count(), 2, "{}", run.stderr);
}

#[test]
fn a_name_may_have_addresses_without_a_listener() {
    let world = World::new().serve("/a.txt", "a");
    let url = format!("http://localhost:{}/a.txt", world.origin.port());
    let world = world.source(&url, &["http: {retries: 0}"]);
    world.apply().success();
    world.assert_files(&[("a.txt", "a")]);
}

#[test]
fn an_address_can_be_one_of_ipv6() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        // Skipped: this machine has no IPv6.
        return;
    };
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let read = stream.read(&mut head).unwrap();
        let host = format!("host: [::1]:{port}\r\n");
        let fits = String::from_utf8_lossy(&head[..read]).to_lowercase().contains(&host);
        let status = if fits { "200 OK" } else { "400 Bad Request" };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nsix").unwrap();
    });
    let world = World::new().source(&format!("http://[::1]:{port}/a.txt"), &["path: a.txt"]);
    world.run(["apply"]).success();
    world.assert_files(&[("a.txt", "six")]);
}
