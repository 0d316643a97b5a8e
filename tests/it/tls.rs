//! TLS: what is trusted, and what is wrong told apart.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use rcgen::{CertifiedIssuer, KeyPair, date_time_ymd};

use crate::secure::{FILE, Secure, authority, params};
use crate::world::World;

/// A world whose manifest trusts an authority.
fn trusting(issuer: &CertifiedIssuer<'_, KeyPair>, url: &str) -> World {
    let world = World::new().source(url, &["http: {ca_file: ca.pem, retries: 1}"]);
    world.write("ca.pem", issuer.pem());
    world
}

#[test]
fn an_authority_of_ones_own_can_be_trusted() {
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("localhost"), FILE);
    let world = trusting(&issuer, &secure.url("localhost"));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    world.assert_files(&[("file.txt", "secret")]);
}

#[test]
fn an_address_can_be_in_a_certificate() {
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("127.0.0.1"), FILE);
    let world = trusting(&issuer, &secure.url("127.0.0.1"));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let issuer = authority();
    let expired = {
        let mut params = params("localhost");
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        params
    };
    let future = {
        let mut params = params("localhost");
        params.not_before = date_time_ymd(2999, 1, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
        params
    };
    for (params, wrong) in [
        (expired, "its certificate has expired"),
        (future, "its certificate is not valid yet"),
        (params("other.example"), "its certificate is for another host"),
    ] {
        let secure = Secure::start(&issuer, &params, FILE);
        let world = trusting(&issuer, &secure.url("localhost"));
        let run = world.apply().code(1);
        assert_eq!(run.failure("file.txt").0, "tls");
        assert!(run.stderr.contains(wrong), "{}", run.stderr);
        world.assert_files(&[]);
    }
}

#[test]
fn a_stranger_is_not_trusted() {
    let (issuer, other) = (authority(), authority());
    let secure = Secure::start(&issuer, &params("localhost"), FILE);
    let run = trusting(&other, &secure.url("localhost")).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "tls");
    assert!(run.stderr.contains("unknown issuer"), "{}", run.stderr);
    // Nor is it without a file: it is no authority that the system knows.
    let run = World::new().source(&secure.url("localhost"), &[]).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "tls");
}

#[test]
fn a_server_without_tls_is_told_so() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        // What it sent is lost when it closes before it has read what it was sent.
        let _ = stream.read(&mut [0; 4096]);
    });
    let run =
        World::new().source(&format!("https://127.0.0.1:{port}/file.txt"), &[]).apply().code(1);
    server.join().unwrap();
    assert_eq!(run.failure("file.txt").0, "tls");
    assert!(run.stderr.contains("does not speak TLS"), "{}", run.stderr);
}

#[test]
fn nobody_leads_from_https_to_http() {
    let issuer = authority();
    let answer =
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/file.txt\r\nContent-Length: 0\r\n\r\n";
    let secure = Secure::start(&issuer, &params("localhost"), answer);
    let run = trusting(&issuer, &secure.url("localhost")).apply().code(1);
    assert_eq!(run.failure("file.txt").0, "redirect");
    assert!(run.stderr.contains("from https to http"), "{}", run.stderr);
}
