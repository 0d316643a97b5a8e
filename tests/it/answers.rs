//! Questions and answers: what follows from each answer to a conditional GET, to a GET of a rest and
//! to a HEAD. Only a plain GET, without `Range` and without a condition, proves that a file is missing
//! or refused (docs/transfer.md).

use crate::origin::{Answer, File, Request};
use crate::world::{Run, World, content, sha256_of};

const SIZE: usize = 200_000;
const CUT: usize = 80_000;

/// The kinds of requests that are no plain GET.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    Conditional,
    Rest,
    Head,
}

const QUESTIONS: [Question; 3] = [Question::Conditional, Question::Rest, Question::Head];

fn asks(request: &Request, question: Question) -> bool {
    let conditional =
        request.header("if-none-match").is_some() || request.header("if-modified-since").is_some();
    match question {
        Question::Conditional => conditional,
        Question::Rest => request.header("range").is_some(),
        Question::Head => request.method == "HEAD",
    }
}

fn is_plain(request: &Request) -> bool {
    !QUESTIONS.iter().any(|question| asks(request, *question))
}

/// A world whose next run asks that question about `a.bin`.
fn world(question: Question, settings: &[&str]) -> World {
    let world = World::new().serve("/a.bin", content(1, SIZE)).source("$BASE/a.bin", settings);
    match question {
        Question::Conditional => drop(world.apply().success()),
        Question::Rest => {
            world.origin.attempts("/a.bin", [Answer::file().cut_at(CUT)]);
            world.run(["apply", "--retries", "0"]).code(1);
        }
        // Not natsync's own file, of the same length and not older.
        Question::Head => world.write("out/a.bin", content(1, SIZE)),
    }
    world.origin.forget();
    world
}

/// Answers that question so, and everything else correctly.
fn answer(world: &World, question: Question, answer: &Answer) {
    let answer = answer.clone();
    world.origin.decide(move |request| asks(request, question).then(|| answer.clone()));
}

fn plain_gets(world: &World) -> usize {
    world.origin.requests().iter().filter(|request| is_plain(request)).count()
}

/// The law: whatever the answer to the question is, the file ends as a plain GET says, at most one
/// plain GET was needed, and that holds without retries.
#[test]
fn only_a_plain_get_proves_that_a_file_is_missing_or_refused() {
    let statuses =
        [400, 403, 404, 405, 406, 409, 410, 411, 412, 414, 415, 416, 422, 428, 451, 500, 501, 505];
    for settings in [
        &["on_missing: fail"][..],
        &["on_missing: skip"],
        &["on_missing: prune", "missing_when: {status: [403, 404, 410]}"],
    ] {
        for question in QUESTIONS {
            for (number, status) in statuses.into_iter().enumerate() {
                // The usual ones with all settings, the others with one each.
                let rare = ![400, 403, 404, 405, 416, 500].contains(&status);
                if rare && number % 3 != settings.len() % 3 {
                    continue;
                }
                let which = format!("{question:?}, {status}, {settings:?}");
                let world = world(question, settings);
                answer(&world, question, &Answer::status(status));
                let run = world.run(["apply", "--json", "--retries", "0"]);
                assert_eq!(run.status, 0, "{which}: {}", run.output());
                assert!(world.read("out/a.bin") == content(1, SIZE), "{which}");
                assert_eq!(run.summary()["absent"], 0, "{which}");
                assert_eq!(plain_gets(&world), 1, "{which}");
                assert!(world.origin.requests().len() <= 3, "{which}");
                // The next run does not ask the same in vain, unless it is about something new.
                assert_eq!(world.partial_files(), [""; 0], "{which}");
            }
        }
    }
}

#[test]
fn errors_to_a_range_lead_to_one_plain_get_also_with_a_busy_server() {
    for status in [429, 502, 503, 504] {
        let world = world(Question::Rest, &[]);
        answer(&world, Question::Rest, &Answer::status(status));
        world.run(["apply", "--json", "--retries", "0"]).success();
        assert_eq!((world.origin.requests().len(), plain_gets(&world)), (2, 1), "{status}");
        assert!(world.read("out/a.bin") == content(1, SIZE));
    }
}

#[test]
fn the_part_stays_until_the_plain_get_has_succeeded() {
    let world = world(Question::Rest, &[]);
    world.origin.decide(|request| {
        let cut = Answer::file().cut_at(CUT / 2);
        Some(if asks(request, Question::Rest) { Answer::status(400) } else { cut })
    });
    world.run(["apply", "--json", "--retries", "0"]).code(1);
    world.origin.behave();
    world.origin.forget();
    world.apply().success();
    let range = world.origin.requests()[0].header("range").map(str::to_owned);
    assert_eq!(range, Some(format!("bytes={CUT}-")), "the longer part was kept");
}

#[test]
fn a_forced_run_does_not_resume() {
    let world = world(Question::Rest, &[]);
    world.run(["apply", "--force"]).success();
    assert!(world.origin.requests().iter().all(is_plain));
}

#[test]
fn a_head_that_hangs_or_is_refused_is_not_repeated() {
    for refused in [
        Answer::status(429),
        Answer::status(503),
        Answer::status(503).retry_after("0"),
        Answer::close(),
        Answer::file().stall_at(0).delay(std::time::Duration::from_secs(5)),
    ] {
        let world = world(Question::Head, &["http: {stall_timeout: 300ms}"]);
        answer(&world, Question::Head, &refused);
        world.apply().success();
        let heads = world.origin.requests().iter().filter(|it| it.method == "HEAD").count();
        assert_eq!(heads, 1);
    }
}

/// A 304 that names another version is no answer.
#[test]
fn a_304_with_other_validators_leads_to_a_plain_get() {
    for (name, value) in [("ETag", "\"other\""), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")]
    {
        let world = world(Question::Conditional, &[]);
        world.origin.serve("/a.bin", content(2, SIZE));
        answer(&world, Question::Conditional, &Answer::status(304).header(name, value));
        let run = world.apply().success();
        assert_eq!(run.outcomes()["a.bin"], "updated", "{name}");
        assert!(world.read("out/a.bin") == content(2, SIZE), "{name}");
    }
}

#[test]
fn a_200_with_the_same_strong_tag_is_not_received_again() {
    let world = World::new()
        .serve("/a.bin", File::new(content(1, SIZE)).etag("\"one\""))
        .source("$BASE/a.bin", &[]);
    world.apply().success();
    let whole = |etag: &str| Answer::status(200).body(content(1, SIZE)).header("ETag", etag);
    world.origin.always("/a.bin", whole("\"one\""));
    let run = world.apply().success();
    assert_eq!(
        (run.outcomes()["a.bin"].as_str(), &run.summary()["bytes"]),
        ("unchanged", &0.into())
    );
    for etag in ["W/\"one\"", "\"two\""] {
        world.origin.always("/a.bin", whole(etag));
        let run = world.apply().success();
        assert_eq!(run.summary()["bytes"], SIZE, "{etag}");
    }
}

/// A status of 200 or 206 does not matter where `Content-Range` says that it is the whole file.
#[test]
fn a_content_range_of_the_whole_file_is_the_whole_file() {
    let all = format!("bytes 0-{}/{SIZE}", SIZE - 1);
    for status in [200, 206] {
        for question in [None, Some(Question::Conditional), Some(Question::Rest)] {
            let bytes = content(2, SIZE);
            let answer = Answer::status(status).body(bytes.clone()).header("Content-Range", &all);
            let world = match question {
                Some(question) => self::world(question, &[]),
                None => World::new().serve("/a.bin", "x").source("$BASE/a.bin", &[]),
            };
            world.origin.always("/a.bin", answer);
            world.run(["apply", "--json", "--retries", "0"]).success();
            assert!(world.read("out/a.bin") == bytes, "{status}, {question:?}");
        }
    }
    let part = Answer::status(206).body(content(1, 100)).header("Content-Range", "bytes 0-99/200");
    let world = World::new().serve("/a.bin", "x").source("$BASE/a.bin", &[]);
    world.origin.always("/a.bin", part);
    world.run(["apply", "--json", "--retries", "0"]).code(1);
    assert!(!world.exists("out/a.bin"));
}

/// What is kept has to meet `expect`, as what is fetched has to.
#[test]
fn adopted_and_unchanged_files_meet_what_is_expected() {
    let jpeg = [&b"\xff\xd8\xff\xe0"[..], &content(1, 500), &b"\xff\xd9"[..]].concat();
    let html = b"<!DOCTYPE html><html>sign in</html>".to_vec();
    let page = || {
        let mut page = html.clone();
        page.resize(jpeg.len(), b' ');
        page
    };
    // Adoption: the local file is a page, empty, or too large.
    for (local, settings) in [
        (page(), "expect: {kind: jpeg}"),
        (page(), ""),
        (content(3, jpeg.len()), "expect: {kind: jpeg}"),
    ] {
        let world = World::new().serve("/a.jpg", jpeg.clone()).source("$BASE/a.jpg", &[settings]);
        world.write("out/a.jpg", local);
        world.apply().success();
        assert!(world.read("out/a.jpg") == jpeg, "{settings}");
    }
    // A 304, `never` and an age: the manifest learned later what it expects.
    for check in ["always", "never", "1d"] {
        for settings in
            ["expect: {kind: jpeg}", "expect: {min_size: 600}", "expect: {max_size: 100}"]
        {
            let old = content(4, 300);
            let world = World::new().serve("/a.jpg", old.clone());
            let text = |expect: &str| {
                format!("sources: [{{url: $BASE/a.jpg, check: {check}, {expect}}}]\n")
            };
            let world = world.manifest(&text("path: a.jpg"));
            world.apply().success();
            world.set_manifest("natsync.yaml", &text(&format!("path: a.jpg, {settings}")));
            let run = world.run(["apply", "--json", "--retries", "0"]);
            // Upstream still has what is not expected: the run fails, and the file stays.
            assert_eq!(run.status, 1, "{check}, {settings}: {}", run.output());
            assert!(world.read("out/a.jpg") == old);
        }
    }
}

#[test]
fn an_older_copy_of_a_mirror_does_not_replace_a_newer_file() {
    let at = |days: u64| {
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * days)
    };
    for (days, pinned, taken) in [(100, false, false), (300, false, true), (100, true, true)] {
        let mirror = crate::origin::Origin::new();
        let bytes = content(2, 1000);
        mirror.serve("/a.bin", File::new(bytes.clone()).modified(at(days)));
        let pin = if pinned { format!(", sha256: {}", sha256_of(&bytes)) } else { String::new() };
        let world = World::new()
            .serve("/a.bin", File::new(content(1, 1000)).modified(at(200)))
            .manifest("sources: [{url: $BASE/a.bin}]\n");
        world.apply().success();
        let url = mirror.url("/a.bin");
        world.set_manifest(
            "natsync.yaml",
            &format!("sources: [{{url: $BASE/a.bin, mirrors: ['{url}']{pin}}}]\n"),
        );
        world.origin.everywhere(Answer::status(500));
        let run = world.run(["apply", "--json", "--retries", "0"]);
        let expected = if taken { bytes } else { content(1, 1000) };
        assert!(world.read("out/a.bin") == expected, "{days}, {pinned}: {}", run.output());
        assert_eq!(run.status, i32::from(!taken));
        if !taken {
            assert!(run.failure("a.bin").1.contains("500"), "{}", run.output());
            assert!(run.stderr.contains("is older than the local file"), "{}", run.stderr);
        }
    }
}

fn only(answer: Answer, settings: &[&str]) -> World {
    let world = World::new().serve("/a.bin", "x").source("$BASE/a.bin", settings);
    world.origin.always("/a.bin", answer);
    world
}

#[test]
fn a_stale_header_digest_yields_to_a_pin_and_can_be_ignored() {
    let bytes = content(1, 1000);
    let fields = [
        ("Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-goog-hash", "md5=1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("Repr-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    ];
    for (name, value) in fields {
        let answer = || Answer::status(200).body(bytes.clone()).header(name, value);
        let pin = format!("sha256: {}", sha256_of(&bytes));
        let world = only(answer(), &[&pin]);
        let run = world.apply().success();
        assert!(run.stderr.contains(name), "{}", run.stderr);
        assert_eq!(world.origin.requests().len(), 1);

        let world = only(answer(), &[]);
        let run = world.run(["apply", "--json", "--retries", "0"]).code(1);
        let (kind, message) = run.failure("a.bin");
        assert_eq!(kind, "checksum_mismatch");
        assert!(message.contains(name), "{message}");
        assert!(run.stderr.contains("header_digests: false"), "{}", run.stderr);
        assert_eq!(world.origin.requests().len(), 2, "one retry");

        only(answer(), &["expect: {header_digests: false}"]).apply().success();
    }
}

#[test]
fn a_body_without_a_length_is_compared_with_a_second_one() {
    let bytes = content(1, 5000);
    let unframed = || Answer::status(200).body(bytes.clone()).until_close();
    // Two transfers, without retries, and both count.
    let world = only(unframed(), &[]);
    let run = world.run(["apply", "--json", "--retries", "0"]).success();
    let result = run.result("a.bin");
    assert_eq!((&result["attempts"], &result["bytes"]), (&2.into(), &10_000.into()));
    assert_eq!(result["size"], 5000);
    assert!(world.read("out/a.bin") == bytes);
    // A digest, or the manifest, makes one enough.
    let pin = format!("sha256: {}", sha256_of(&bytes));
    for setting in [pin.as_str(), "expect: {unframed: true}"] {
        let world = only(unframed(), &[setting]);
        world.run(["apply", "--json", "--retries", "0"]).success();
        assert_eq!(world.origin.requests().len(), 1, "{setting}");
    }
    // Bodies that differ are no file.
    let world = World::new().serve("/a.bin", "x").source("$BASE/a.bin", &[]);
    let mut turn = 0;
    world.origin.decide(move |_| {
        turn += 1;
        Some(Answer::status(200).body(content(1, 5000 - 100 * turn)).until_close())
    });
    let run = world.apply().code(1);
    assert!(run.failure("a.bin").1.contains("different bytes"), "{}", run.output());
    assert!(run.stderr.contains("unframed: true"), "{}", run.stderr);
    assert!(!world.exists("out/a.bin"));
}

/// `plan --refresh` asks by HEAD, and tells nothing wrong either.
#[test]
fn a_refreshed_plan_believes_a_plain_get_alone() {
    for status in [403, 404, 405, 500, 501] {
        let world = world(Question::Conditional, &["on_missing: skip"]);
        world.origin.decide(move |request| (!is_plain(request)).then(|| Answer::status(status)));
        let run = world.run(["plan", "--refresh", "--json"]).success();
        assert_eq!(run.summary()["absent"], 0, "{status}");
    }
}

/// Checksum lists and sidecars are asked for by the same rules.
#[test]
fn a_list_is_not_missing_by_an_answer_to_a_condition() {
    let world = World::new()
        .serve("/a.bin", "abc")
        .serve("/SUMS", format!("{}  a.bin\n", sha256_of("abc")))
        .source("$BASE/a.bin", &["checksums: {url: $BASE/SUMS, optional: true}"]);
    world.apply().success();
    answer(&world, Question::Conditional, &Answer::status(404));
    world.origin.forget();
    world.apply().success();
    assert_eq!(world.origin.requests_for("/SUMS").len(), 2);
    world.run(["verify"]).success();
}

/// The result of a run is no surprise to the next one.
#[test]
fn after_an_unclear_answer_the_next_run_is_quiet() {
    let world = world(Question::Rest, &[]);
    answer(&world, Question::Rest, &Answer::status(416));
    let first: Run = world.apply().success();
    assert_eq!(first.counts(), "entries 1, downloaded 1");
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
}
