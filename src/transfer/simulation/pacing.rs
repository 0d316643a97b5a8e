//! How many requests a host gets at a time and in a second, in virtual time.

use std::time::Duration;

use super::download;
use super::scene::Scene;
use super::world::{Arrival, Temper};

fn most(arrivals: &[Arrival]) -> usize {
    arrivals.iter().map(|arrival| arrival.in_progress).max().unwrap_or(0)
}

#[test]
fn all_limits_hold_together() {
    let http = "requests_per_second: 20, connections_per_host: 3, rate_limit: 1MB/s";
    let slow = Temper { slowing: (0, Duration::from_millis(40)), ..Temper::good() };
    let arrivals = download(&Scene::of_one_host(slow, http, 60, 64));
    assert_eq!(arrivals.len(), 60);
    // Twelve requests are eleven intervals of 50 ms. A new connection delays its first request by
    // at most 5 ms.
    for window in arrivals.windows(12) {
        let width = window[11].at - window[0].at;
        assert!(Duration::from_millis(545) <= width, "{width:?}");
    }
    assert!(most(&arrivals) <= 3, "{}", most(&arrivals));
}

/// The average number of requests in progress at an arrival.
fn usual(arrivals: &[Arrival]) -> usize {
    arrivals.iter().map(|arrival| arrival.in_progress).sum::<usize>() / arrivals.len()
}

#[test]
fn a_host_that_slows_down_under_load_gets_fewer_concurrent_requests() {
    let slow = Temper { slowing: (50, Duration::from_millis(40)), ..Temper::good() };
    let arrivals = download(&Scene::of_one_host(slow, "", 600, 10));
    let (first, last) = (usual(&arrivals[50..100]), usual(&arrivals[200..]));
    assert!(last < first, "{first}, then {last} at a time");
}

#[test]
fn a_host_that_is_as_fast_under_load_gets_more_concurrent_requests() {
    let arrivals = download(&Scene::of_one_host(Temper::good(), "", 600, 64));
    let (first, last) = (most(&arrivals[..10]), most(&arrivals[500..]));
    assert!(first <= 10 && 10 < last, "{first}, then {last} at a time");
}
