//! The dispatcher without a network: what it hands out, and when.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::failure::ErrorKind;
use crate::http::{Hop, Target};
use crate::manifest::PerHost;
use crate::transfer::job::OnTheWay;
use crate::transfer::lane::Reach;
use crate::transfer::supply::{Jobs, Supplied};

fn job(entry: u64, url: &str) -> Job {
    Job::new(EntryIndex(entry), Target::parse(url).unwrap())
}

/// The jobs of a source.
fn source<'a>(jobs: impl Iterator<Item = Supplied> + Send + 'a) -> Jobs<'a> {
    let jobs: Vec<_> = jobs.collect();
    let count = jobs.len() as u64;
    let find = move |among: Range<u64>| {
        let job = jobs.get(usize::try_from(among.start).ok()?).filter(|_| !among.is_empty())?;
        let again = |job: &Job| Job::new(job.entry, job.target.clone());
        Some((among.start, job.as_ref().map(again).map_err(Clone::clone)))
    };
    Jobs::new(0..count, Box::new(find))
}

/// All jobs from one source.
fn one<'a>(jobs: impl Iterator<Item = Supplied> + Send + 'a) -> Supply<'a> {
    Supply::new([source(jobs)])
}

/// A dispatcher of these URLs, whose entries are numbered from 0.
fn dispatch<'a>(urls: &'a [&'a str], http: &'a Http, connections: usize) -> Dispatch<'a> {
    let supply = urls.iter().zip(0..).map(|(url, entry)| Ok(job(entry, url)));
    Dispatch::new(
        one(supply),
        Box::new(move |_| Terms { http, dialer: 0 }),
        connections,
        Clock::system(),
    )
}

fn per_host(number: usize) -> Http {
    Http { connections_per_host: PerHost::Fixed(number), ..Http::default() }
}

/// The number of the first entry that is at an origin whose lane was forgotten, and a dispatcher:
/// each entry before it is at another origin; it is at the first one again, and the one after it at
/// the second one.
fn over_many_origins(http: &Http) -> (u64, Dispatch<'_>) {
    let last = 2 * lanes::MOST_LANES as u64;
    let urls = (0..last).map(|entry| (entry, format!("http://h{entry}/x")));
    let again = [(last, "http://h0/y".to_owned()), (last + 1, "http://h1/y".to_owned())];
    let supply = urls.chain(again).map(|(entry, url)| Ok(job(entry, &url)));
    let terms = Box::new(move |_: &Job| Terms { http, dialer: 0 });
    (last, Dispatch::new(one(supply), terms, 64, Clock::system()))
}

fn ask<'r>(dispatch: &'r Dispatch<'_>, now: Instant) -> (u64, Slot<'r>) {
    match dispatch.try_next(now) {
        Next::Task(Task::Ask(job, slot)) => (job.entry.0, slot),
        Next::Task(task) => panic!("{task:?}"),
        Next::Wait(until) => panic!("it waits until {until:?}"),
        Next::Done => panic!("it is done"),
    }
}

fn waits(dispatch: &Dispatch<'_>, now: Instant) -> Option<Instant> {
    match dispatch.try_next(now) {
        Next::Wait(until) => until,
        Next::Task(task) => panic!("{task:?}"),
        Next::Done => panic!("it is done"),
    }
}

#[test]
fn an_origin_gets_no_more_than_its_places() {
    let (http, now) = (per_host(2), Instant::now());
    let dispatch = dispatch(&["http://a/1", "http://a/2", "http://a/3", "http://b/4"], &http, 64);
    let (first, slot) = ask(&dispatch, now);
    let (second, _other) = ask(&dispatch, now);
    // The third waits for a place; it does not keep the other origin waiting.
    let (fourth, _elsewhere) = ask(&dispatch, now);
    assert_eq!((first, second, fourth), (0, 1, 3));
    assert_eq!(waits(&dispatch, now), None);
    drop(slot);
    assert_eq!(ask(&dispatch, now).0, 2);
}

fn spare<'r>(dispatch: &'r Dispatch<'_>, url: &str) -> Option<Slot<'r>> {
    let helped = job(9, url);
    match dispatch.spare(&helped.target.origin, &helped) {
        Spare::Place(slot) => Some(slot),
        Spare::Later => None,
        Spare::NotUp => panic!("the lane is not up"),
    }
}

#[tokio::test]
async fn a_spare_place_goes_to_a_job_that_waits_for_it() {
    let (http, now) = (per_host(2), Instant::now());
    let dispatch = dispatch(&["http://a/1", "http://b/2", "http://a/3"], &http, 2);
    let (_, _front) = ask(&dispatch, now);
    let helper = spare(&dispatch, "http://a/1").expect("no job waits yet");
    assert!(spare(&dispatch, "http://a/1").is_none(), "all places are in use");
    let origin = job(1, "http://a/1").target.origin;
    let helper = dispatch.spare_again(helper, &origin).expect("no job waits yet");
    // A worker finds no place for the next jobs, at this origin and at another one, and waits.
    let stop = Stop::default();
    let worker = dispatch.next(&stop);
    tokio::pin!(worker);
    let early = tokio::select! {
        biased;
        _ = &mut worker => true,
        () = std::future::ready(()) => false,
    };
    assert!(!early);
    assert!(dispatch.spare_again(helper, &origin).is_none());
    assert!(matches!(worker.await, Some(Task::Ask(..))), "the worker was woken");
}

#[test]
fn a_place_serves_its_own_origin_alone() {
    let (http, now) = (per_host(2), Instant::now());
    let dispatch = dispatch(&["http://a/1"], &http, 4);
    let (_, front) = ask(&dispatch, now);
    let (home, other) = (job(1, "http://a/1"), job(2, "http://b/2"));
    // A redirect leads both to another origin.
    let front = dispatch.go_on(front, &other.target.origin, &home).expect("a place is free");
    let helper = spare(&dispatch, "http://b/2").expect("no job waits");
    assert!(dispatch.is_of(helper.lane, &other.target.origin));
    assert!(dispatch.spare_again(helper, &home.target.origin).is_none(), "it is given back");
    let front = dispatch.own_again(front, &home).expect("a place is free");
    assert!(dispatch.is_of(front.lane, &home.target.origin));
}

#[test]
fn a_lane_that_is_not_up_has_no_spare_place() {
    let (http, now) = (per_host(4), Instant::now());
    let failure = Failure::new(ErrorKind::Connect, "refused");
    let lane_after = |doubt: &dyn Fn(&Dispatch<'_>, LaneId)| {
        let dispatch = dispatch(&["http://a/1"], &http, 64);
        let (_, front) = ask(&dispatch, now);
        doubt(&dispatch, front.lane);
        let helped = job(9, "http://a/1");
        let spare = dispatch.spare(&helped.target.origin, &helped);
        let found = match &spare {
            Spare::Place(_) => "up",
            Spare::Later => "held",
            Spare::NotUp => "not up",
        };
        drop(spare);
        assert_eq!(dispatch.own_again(front, &helped).is_some(), found == "up");
        found
    };
    assert_eq!(lane_after(&|_, _| {}), "up");
    assert_eq!(lane_after(&|dispatch, lane| dispatch.hold(lane, Duration::from_mins(1))), "held");
    let unreachable = |dispatch: &Dispatch<'_>, lane| {
        dispatch.unreachable(lane, Instant::now(), &failure, 4, 0.5);
    };
    assert_eq!(lane_after(&unreachable), "not up");
    let failed = |dispatch: &Dispatch<'_>, lane| {
        for _ in 0..40 {
            dispatch.failed(lane, &failure, true, false, 0.5);
        }
    };
    assert_eq!(lane_after(&failed), "not up");
}

#[test]
fn a_pause_holds_back_one_origin_alone() {
    let (http, now) = (per_host(4), Instant::now());
    let dispatch = dispatch(&["http://a/1", "http://a/2", "http://b/3"], &http, 64);
    let (_, slot) = ask(&dispatch, now);
    dispatch.hold(slot.lane, Duration::from_mins(1));
    assert_eq!(ask(&dispatch, Instant::now()).0, 2);
    let until = waits(&dispatch, Instant::now()).expect("only time is wanting");
    assert!(Duration::from_secs(50) < until - now);
    assert_eq!(ask(&dispatch, until).0, 1);
}

#[test]
fn requests_are_spaced() {
    let http = Http { requests_per_second: Some(2.0), ..Http::default() };
    let dispatch = dispatch(&["http://a/1", "http://a/2"], &http, 64);
    let now = Instant::now();
    let _first = ask(&dispatch, now);
    assert_eq!(waits(&dispatch, now), Some(now + Duration::from_millis(500)));
    assert_eq!(ask(&dispatch, now + Duration::from_millis(500)).0, 1);
}

#[test]
fn sources_that_share_an_origin_are_bound_by_the_strictest() {
    let (wide, narrow, now) = (per_host(8), per_host(1), Instant::now());
    let supply = (0..3).map(|entry| Ok(job(entry, "http://a/x")));
    let settings = |job: &Job| {
        let http = if job.entry.0 == 1 { &narrow } else { &wide };
        Terms { http, dialer: 0 }
    };
    let dispatch = Dispatch::new(one(supply), Box::new(settings), 64, Clock::system());
    let _slot = ask(&dispatch, now);
    assert_eq!(waits(&dispatch, now), None);
}

#[test]
fn sources_with_different_dialers_share_no_lane() {
    let (http, now) = (per_host(1), Instant::now());
    let supply = (0..3).map(|entry| Ok(job(entry, "http://a/x")));
    let settings = |job: &Job| {
        let dialer = usize::from(job.entry.0 == 1);
        Terms { http: &http, dialer }
    };
    let dispatch = Dispatch::new(one(supply), Box::new(settings), 64, Clock::system());
    let (_, slot) = ask(&dispatch, now);
    let (entry, other) = ask(&dispatch, now);
    assert_eq!(entry, 1);
    assert_ne!(slot.lane, other.lane);
    let lane = slot.lane;
    drop(slot);
    assert_eq!(ask(&dispatch, now).1.lane, lane);
}

#[test]
fn a_job_that_is_put_back_comes_again_after_its_pause() {
    let (http, now) = (per_host(4), Instant::now());
    let dispatch = dispatch(&["http://a/1"], &http, 64);
    let (_, slot) = ask(&dispatch, now);
    drop(slot);
    dispatch.put_back(job(0, "http://a/1"), Duration::from_secs(5));
    let due = waits(&dispatch, now).expect("it is due some time");
    assert_eq!(ask(&dispatch, due).0, 0);
    dispatch.finish();
    assert!(matches!(dispatch.try_next(now), Next::Done));
}

/// A job whose redirect leads there.
fn redirected(entry: u64, url: &str, to: &str) -> Job {
    let (target, hops) = (Target::parse(to).unwrap(), Hop::default());
    let on_the_way = OnTheWay { target, hops, since: Instant::now() };
    Job { on_the_way: Some(Box::new(on_the_way)), ..job(entry, url) }
}

#[test]
fn a_redirected_job_waits_where_it_leads_to_and_goes_first() {
    let (http, now) = (per_host(1), Instant::now());
    let dispatch = dispatch(&["http://b/1", "http://b/2", "http://a/3"], &http, 64);
    let (_, there) = ask(&dispatch, now);
    let (third, slot) = ask(&dispatch, now);
    assert_eq!(third, 2);
    let job = redirected(2, "http://a/3", "http://b/3");
    assert!(dispatch.go_on(slot, &origin("http://b/"), &job).is_none(), "the only place is taken");
    dispatch.wait(job);
    assert_eq!(waits(&dispatch, now), None);
    drop(there);
    let (first, slot) = ask(&dispatch, now);
    assert_eq!(first, 2, "it began before the other");
    drop(slot);
    dispatch.put_back(redirected(2, "http://a/3", "http://b/3"), Duration::ZERO);
    let (first, _slot) = ask(&dispatch, now);
    let Next::Task(Task::Ask(job, _slot)) = dispatch.try_next(now) else {
        panic!("there is a place for both");
    };
    assert_eq!((first, job.entry.0), (1, 2));
    assert!(job.on_the_way.is_none(), "another attempt starts from the beginning");
}

#[test]
fn an_origin_waits_while_its_redirects_wait_elsewhere() {
    let (http, now) = (per_host(1), Instant::now());
    let urls = ["http://b/1", "http://a/2", "http://a/3", "http://c/4"];
    let dispatch = dispatch(&urls, &http, 64);
    let (_, there) = ask(&dispatch, now);
    let (_, slot) = ask(&dispatch, now);
    let job = redirected(1, "http://a/2", "http://b/2");
    assert!(dispatch.go_on(slot, &origin("http://b/"), &job).is_none());
    dispatch.wait(job);
    assert_eq!(ask(&dispatch, now).0, 3, "the next of the first origin would wait as well");
    drop(there);
    assert_eq!(ask(&dispatch, now).0, 1);
    assert_eq!(ask(&dispatch, now).0, 2);
}

fn origin(url: &str) -> Origin {
    Target::parse(url).unwrap().origin
}

#[test]
fn a_redirected_job_fails_with_the_origin_that_it_waits_for() {
    let (http, now) = (per_host(1), Instant::now());
    let dispatch = dispatch(&["http://b/1", "http://a/2"], &http, 64);
    let (_, there) = ask(&dispatch, now);
    let (_, slot) = ask(&dispatch, now);
    let failure = Failure::new(ErrorKind::Tls, "not trusted");
    assert_eq!(dispatch.unreachable(there.lane, now, &failure, 4, 1.0), Reach::WentDown);
    drop(there);
    let job = redirected(1, "http://a/2", "http://b/2");
    assert!(dispatch.go_on(slot, &origin("http://b/"), &job).is_none());
    dispatch.wait(job);
    let next = dispatch.try_next(now);
    assert!(matches!(next, Next::Task(Task::Unreachable(_, told)) if told == failure));
}

#[test]
fn a_worker_wakes_when_a_spaced_request_is_due() {
    let http = Http { requests_per_second: Some(2.0), ..Http::default() };
    let dispatch = dispatch(&["http://a/1", "http://a/2"], &http, 64);
    let now = Instant::now();
    let _first = ask(&dispatch, now);
    assert!(waits(&dispatch, now).is_some());
    assert!(dispatch.lock().lanes.has_more(), "the second is due later");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_cannot_be_reached_is_tried_by_one_and_then_given_up() {
    let (http, now) = (per_host(4), Instant::now());
    let dispatch = dispatch(&["http://a/1", "http://a/2", "http://a/3"], &http, 64);
    let (_, slot) = ask(&dispatch, now);
    let (_, other) = ask(&dispatch, now);
    let lane = slot.lane;
    let failure = Failure::new(ErrorKind::Connect, "refused");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(dispatch.unreachable(lane, now, &failure, 1, 1.0), Reach::Doubtful);
    // The other attempt was under way at the same time: it tells the same thing.
    assert_eq!(dispatch.unreachable(lane, now, &failure, 1, 1.0), Reach::Doubtful);
    drop((slot, other));
    dispatch.put_back(job(0, "http://a/1"), Duration::ZERO);
    dispatch.put_back(job(1, "http://a/2"), Duration::ZERO);
    let later = waits(&dispatch, Instant::now()).expect("the pause before the next attempt");
    let (_, probe) = ask(&dispatch, later);
    assert_eq!(waits(&dispatch, later), None, "one alone tries");
    let began = Instant::now();
    assert_eq!(dispatch.unreachable(lane, began, &failure, 1, 1.0), Reach::WentDown);
    drop(probe);
    for _ in 0..2 {
        assert!(matches!(dispatch.try_next(later), Next::Task(Task::Unreachable(..))));
    }
}

#[test]
fn an_origin_that_refuses_connections_while_it_serves_gets_no_more_of_them() {
    let (http, now) = (per_host(8), Instant::now());
    let urls = ["http://a/x"; 8];
    let dispatch = dispatch(&urls, &http, 64);
    let mut running: Vec<_> = (0..3).map(|_| ask(&dispatch, now).1).collect();
    for slot in &mut running {
        dispatch.reached(slot);
    }
    let failure = Failure::new(ErrorKind::Connect, "refused");
    let (_, refused) = ask(&dispatch, now);
    let lane = refused.lane;
    drop(refused);
    let reach = dispatch.unreachable(lane, Instant::now(), &failure, 0, 0.0);
    assert_eq!(reach, Reach::Doubtful, "it serves three");
    assert_eq!(waits(&dispatch, now), None, "for the end of one of the three");
    drop(running.pop());
    let again = ask(&dispatch, now);
    assert_eq!(waits(&dispatch, now), None);
    for _ in 0..12 {
        dispatch.succeeded(lane, 1);
    }
    let _further = ask(&dispatch, now);
    drop(again);
}

#[test]
fn a_refusal_beside_other_transfers_is_free_and_lowers_their_number() {
    let (http, now) = (per_host(4), Instant::now());
    let urls = ["http://a/x"; 8];
    let dispatch = dispatch(&urls, &http, 64);
    let mut running: Vec<_> = (0..4).map(|_| ask(&dispatch, now).1).collect();
    let lane = running[0].lane;
    let mut refused = |number: usize, by| {
        drop(running.pop());
        dispatch.refused(lane, &mut job(number as u64, "http://a/x"), by)
    };
    assert_eq!(refused(3, Refused::Surely), Crowded::Free { tell: None });
    assert_eq!(refused(2, Refused::Perhaps), Crowded::Free { tell: None });
    assert_eq!(waits(&dispatch, now), None, "two are in progress");
    assert_eq!(refused(1, Refused::Surely), Crowded::Free { tell: None });
    assert_eq!(refused(0, Refused::Surely), Crowded::Costs, "nothing was served meanwhile");
}

#[test]
fn a_job_is_refused_for_free_a_bounded_number_of_times() {
    let (http, now) = (per_host(4), Instant::now());
    let urls = ["http://a/x"; 8];
    let dispatch = dispatch(&urls, &http, 64);
    let (_, slot) = ask(&dispatch, now);
    for (by, most) in [(Refused::Surely, 10), (Refused::Perhaps, 3)] {
        let mut job = job(9, "http://a/x");
        let free = || dispatch.refused(slot.lane, &mut job, by) != Crowded::Costs;
        assert_eq!(std::iter::repeat_with(free).take(100).filter(|&free| free).count(), most);
    }
}

/// An origin that fails all other requests is not given up while one of its transfers goes on.
#[test]
fn the_breaker_gives_no_origin_up_that_serves_a_transfer() {
    let urls = ["http://a/x"; 200];
    let (http, mut now) = (per_host(4), Instant::now());
    let dispatch = dispatch(&urls, &http, 64);
    let failure = Failure::new(ErrorKind::HttpStatus, "no").with_status(500);
    let (_, mut serving) = ask(&dispatch, now);
    dispatch.reached(&mut serving);
    let lane = serving.lane;
    let mut fail = || {
        now += Duration::from_mins(1);
        match dispatch.try_next(now) {
            Next::Task(Task::Ask(_, slot)) => {
                let is_probe = slot.is_probe;
                drop(slot);
                let went_down = dispatch.failed(lane, &failure, true, is_probe, 0.0).went_down;
                dispatch.finish();
                Some(went_down)
            }
            Next::Task(_) | Next::Wait(_) | Next::Done => None,
        }
    };
    assert_eq!((0..100).map(|_| fail()).collect::<Vec<_>>(), [Some(false); 100]);
    drop(serving);
    assert_eq!(fail(), Some(true), "no probe succeeded, and nothing is served any more");
}

/// Which jobs of 1,000 an origin that fails is probed with.
#[test]
fn probes_are_for_jobs_from_everywhere() {
    let urls = ["http://a/x"; 1000];
    let (http, now) = (per_host(4), Instant::now());
    let dispatch = dispatch(&urls, &http, 64);
    let failure = Failure::new(ErrorKind::HttpStatus, "no").with_status(500);
    let (mut now, mut probes) = (now, Vec::new());
    for _ in 0..58 {
        now += Duration::from_secs(10);
        let (entry, slot) = ask(&dispatch, now);
        let (lane, is_probe) = (slot.lane, slot.is_probe);
        drop(slot);
        if dispatch.lock().lanes.get(lane).unwrap().breaker.is_open() {
            probes.push(entry);
        }
        dispatch.failed(lane, &failure, true, is_probe, 0.0);
        let job = Job { tries: 1, ..job(entry, "http://a/x") };
        dispatch.put_back(job, if entry < 30 { Duration::ZERO } else { Duration::from_hours(1) });
    }
    assert!(probes.contains(&999), "{probes:?}");
    assert!(probes.iter().any(|entry| (500..950).contains(entry)), "{probes:?}");
    assert!(probes.iter().any(|entry| *entry < 30), "a retry is one, too: {probes:?}");
}

/// Entries at an origin that refuses connections, and then at one that works. Probes of the first
/// one look at few entries of the other one.
#[test]
fn an_origin_that_is_down_costs_few_looks_at_the_supply() {
    const EACH: u64 = 1000;
    let looks = AtomicU64::new(0);
    let find = |mut among: Range<u64>| {
        looks.fetch_add(1, Ordering::Relaxed);
        let at = among.next()?;
        let host = if at < EACH { "down" } else { "good" };
        Some((at, Ok(job(at, &format!("http://{host}/x")))))
    };
    let supply = Supply::new([Jobs::new(0..2 * EACH, Box::new(find))]);
    let (http, clock) = (per_host(4), Clock::system());
    let terms = Box::new(|_: &Job| Terms { http: &http, dialer: 0 });
    let dispatch = Dispatch::new(supply, terms, 64, clock);
    let failure = Failure::new(ErrorKind::Connect, "refused");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let (mut good, mut probes) = (0, 0);
        let mut running = VecDeque::new();
        loop {
            let began = clock.now();
            match dispatch.try_next(began) {
                Next::Done => break,
                Next::Wait(until) => match running.pop_front() {
                    Some(slot) => {
                        tokio::time::advance(Duration::from_millis(5)).await;
                        let slot: Slot<'_> = slot;
                        let lane = slot.lane;
                        drop(slot);
                        dispatch.succeeded(lane, 1);
                        dispatch.finish();
                    }
                    None => {
                        let until = until.expect("only time is wanting");
                        tokio::time::advance(until - began).await;
                    }
                },
                Next::Task(Task::Ask(job, mut slot)) if &*job.target.origin.host == "good" => {
                    good += 1;
                    dispatch.reached(&mut slot);
                    running.push_back(slot);
                }
                Next::Task(Task::Ask(job, slot)) => {
                    probes += 1;
                    let lane = slot.lane;
                    drop(slot);
                    match dispatch.unreachable(lane, began, &failure, 4, 1.0) {
                        Reach::Doubtful => dispatch.put_back(job, Duration::ZERO),
                        Reach::WentDown | Reach::Down => dispatch.finish(),
                    }
                }
                Next::Task(_) => dispatch.finish(),
            }
            let waiting = dispatch.lock().waiting;
            assert!(waiting <= LOOK_AHEAD, "{waiting}");
        }
        assert_eq!((good, probes), (EACH, 5));
    });
    let looks = looks.load(Ordering::Relaxed);
    assert!(looks < 2 * EACH + 200, "{looks} looks");
}

#[test]
fn no_more_jobs_wait_than_are_bounded() {
    let urls = vec!["http://a/x"; 2 * LOOK_AHEAD];
    let (http, now) = (per_host(1), Instant::now());
    let dispatch = dispatch(&urls, &http, 64);
    let _slot = ask(&dispatch, now);
    assert_eq!(waits(&dispatch, now), None);
    assert_eq!(dispatch.lock().waiting, crate::transfer::supply::BACKLOG);
}

#[test]
fn a_source_whose_origin_pauses_does_not_keep_the_next_waiting() {
    let (http, now) = (per_host(1), Instant::now());
    let first = (0..100_000).map(|entry| Ok(job(entry, "http://a/x")));
    let second = (100_000..100_002).map(|entry| Ok(job(entry, "http://b/x")));
    let supply = Supply::new([source(first), source(second)]);
    let dispatch =
        Dispatch::new(supply, Box::new(|_| Terms { http: &http, dialer: 0 }), 64, Clock::system());
    let (entry, held) = ask(&dispatch, now);
    dispatch.hold(held.lane, Duration::from_mins(1));
    let (next, slot) = ask(&dispatch, now);
    assert_eq!((entry, next), (0, 100_000));
    drop((held, slot));
    assert_eq!(ask(&dispatch, now).0, 100_001);
}

/// A dispatcher of one entry at each of many origins.
fn many(origins: u64, http: &Http) -> Dispatch<'_> {
    let supply = (0..origins).map(|entry| Ok(job(entry, &format!("http://h{entry}/x"))));
    Dispatch::new(one(supply), Box::new(|_| Terms { http, dialer: 0 }), 64, Clock::system())
}

#[test]
fn lanes_without_work_are_forgotten() {
    let (http, now) = (Http::default(), Instant::now());
    let dispatch = many(3 * lanes::MOST_LANES as u64, &http);
    let mut entries = Vec::new();
    while let Next::Task(Task::Ask(job, slot)) = dispatch.try_next(now) {
        entries.push(job.entry.0);
        let lane = slot.lane;
        drop(slot);
        dispatch.succeeded(lane, 1);
        dispatch.finish();
    }
    assert_eq!(entries, (0..3 * lanes::MOST_LANES as u64).collect::<Vec<_>>());
    assert!(dispatch.lock().lanes.len() <= 2 * lanes::MOST_LANES);
}

#[test]
fn a_pause_outlives_the_lanes_that_are_forgotten() {
    let (http, now) = (Http::default(), Instant::now());
    let (last, dispatch) = over_many_origins(&http);
    for entry in 0..last {
        let (next, slot) = ask(&dispatch, now);
        assert_eq!(next, entry);
        if entry == 0 {
            dispatch.hold(slot.lane, Duration::from_mins(10));
        }
        drop(slot);
        dispatch.finish();
    }
    assert_eq!(ask(&dispatch, now).0, last + 1, "the other one waits");
    assert!(waits(&dispatch, now).is_some());
}

#[test]
fn what_speaks_against_an_origin_outlives_its_lane() {
    let (http, now) = (Http::default(), Instant::now());
    let (last, dispatch) = over_many_origins(&http);
    let failure = Failure::new(ErrorKind::Connect, "refused").lasting();
    for entry in 0..last {
        let (_, slot) = ask(&dispatch, now);
        if entry == 0 {
            dispatch.unreachable(slot.lane, now, &failure, 0, 0.0);
        }
        if entry == 1 {
            let mut job = job(entry, "http://h1/x");
            let _other = dispatch.slot(&mut dispatch.lock(), slot.lane, now);
            assert_ne!(dispatch.refused(slot.lane, &mut job, Refused::Surely), Crowded::Costs);
        }
        drop(slot);
        dispatch.finish();
    }
    let Next::Task(Task::Unreachable(job, told)) = dispatch.try_next(now) else {
        panic!("the origin is down")
    };
    assert_eq!((job.entry.0, told), (last, failure));
    let (_, slot) = ask(&dispatch, now);
    let bound = dispatch.lock().lanes.get(slot.lane).unwrap().limit.get();
    assert_eq!(bound, 2, "it refused a third transfer");
}

#[test]
fn lanes_take_turns() {
    let (http, now) = (per_host(1), Instant::now());
    let urls: Vec<_> = (0..30).map(|n| format!("http://{}/x", ["a", "b", "c"][n / 10])).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let dispatch = dispatch(&urls, &http, 1);
    let (_, slot) = ask(&dispatch, now);
    assert_eq!(waits(&dispatch, now), None, "the only place is taken");
    drop(slot);
    dispatch.finish();
    let mut hosts = String::new();
    for _ in 0..27 {
        let Next::Task(Task::Ask(job, slot)) = dispatch.try_next(now) else { panic!("a job") };
        hosts.push_str(&job.target.origin.host);
        drop(slot);
        dispatch.finish();
    }
    assert_eq!(hosts, "bca".repeat(9));
}

/// Does random things to a dispatcher, and compares each of its decisions with a scan of all lanes.
#[test]
fn the_order_among_lanes_is_that_of_a_scan_of_all() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        for seed in 0..150 {
            random_walk(seed).await;
        }
    });
}

async fn random_walk(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let origins = rng.u64(1..8);
    let http = Http {
        connections_per_host: PerHost::Fixed(rng.usize(1..4)),
        requests_per_second: (rng.u32(0..4) == 0).then_some(2.0),
        ..Http::default()
    };
    let targets: Vec<_> = (0..120).map(|_| format!("http://h{}/x", rng.u64(0..origins))).collect();
    let supply = targets.iter().zip(0..).map(|(url, entry)| Ok(job(entry, url)));
    let settings = Box::new(|_: &Job| Terms { http: &http, dialer: 0 });
    let connections = rng.usize(1..8);
    let clock = Clock::system();
    let dispatch = Dispatch::new(one(supply), settings, connections, clock);
    let failure = Failure::new(ErrorKind::Connect, "refused");
    let mut held: Vec<(Job, Slot<'_>)> = Vec::new();
    for _ in 0..4000 {
        let now = clock.now();
        let next = dispatch.try_next(now);
        let (is_ready, soonest) = dispatch.lock().lanes.scan(now);
        match next {
            Next::Done => return,
            Next::Task(Task::Ask(job, slot)) => held.push((job, slot)),
            Next::Task(_) => dispatch.finish(),
            Next::Wait(until) => {
                assert!(!is_ready, "seed {seed}: a job waits for which there is a place");
                let due = dispatch.lock().delayed.peek().map(|Reverse(delayed)| delayed.due);
                let latest = due.into_iter().chain(soonest).min();
                // Too early is harmless.
                assert!(latest.is_none() || until.is_some() && until <= latest, "seed {seed}");
                assert!(until.is_none_or(|until| now < until), "seed {seed}: it does not wait");
                if let Some(until) = until.filter(|_| held.is_empty() || rng.bool()) {
                    tokio::time::advance(until.saturating_duration_since(now)).await;
                }
            }
        }
        assert!(held.len() <= connections, "seed {seed}");
        if held.is_empty() || rng.u32(0..3) == 0 {
            continue;
        }
        let (mut job, mut slot) = held.swap_remove(rng.usize(0..held.len()));
        let (lane, is_probe) = (slot.lane, slot.is_probe);
        match rng.u32(0..10) {
            0 => {
                drop(slot);
                dispatch.hold(lane, Duration::from_millis(rng.u64(0..3000)));
                dispatch.put_back(job, Duration::from_millis(rng.u64(0..3000)));
            }
            1 => {
                drop(slot);
                dispatch.unreachable(lane, now, &failure, 1, rng.f64());
                dispatch.put_back(job, Duration::ZERO);
            }
            2 => {
                drop(slot);
                dispatch.objected(lane);
                dispatch.failed(lane, &failure, rng.bool(), is_probe, rng.f64());
                dispatch.put_back(job, Duration::ZERO);
            }
            3 | 4 => {
                let target = Target::parse(&format!("http://h{}/y", rng.u64(0..origins))).unwrap();
                match dispatch.go_on(slot, &target.origin, &job) {
                    Some(slot) => held.push((job, slot)),
                    None => {
                        let (hops, since) = (Hop::default(), now);
                        job.on_the_way = Some(Box::new(OnTheWay { target, hops, since }));
                        dispatch.wait(job);
                    }
                }
            }
            _ => {
                dispatch.reached(&mut slot);
                drop(slot);
                dispatch.succeeded(lane, 1);
                dispatch.finish();
            }
        }
    }
    panic!("seed {seed}: it does not end");
}
