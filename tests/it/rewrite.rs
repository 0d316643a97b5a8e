//! `--rewrite`: declared URLs are requested at another location.

use crate::origin::Origin;
use crate::world::World;

/// A manifest with a host that does not exist, and the value of `--rewrite` that leads to the
/// world's origin.
fn far_away() -> (World, String) {
    let world = World::new()
        .serve_numbered(3)
        .source("http://far.invalid/data/{n}.txt", &["vars: {n: 1..3}"]);
    let rewrite = format!("http://far.invalid/data/={}/", world.origin.base());
    (world, rewrite)
}

#[test]
fn urls_are_asked_for_at_the_other_place() {
    let (world, rewrite) = far_away();
    let run = world.run(["apply", "--json", "--rewrite", &rewrite]).success();
    assert_eq!(run.counts(), "entries 3, downloaded 3");
    assert_eq!(world.names(), ["1.txt", "2.txt", "3.txt"]);
    assert_eq!(
        run.result("1.txt")["url"],
        "http://far.invalid/data/1.txt",
        "the declared URL is told"
    );
    let host = format!("127.0.0.1:{}", world.origin.port());
    assert_eq!(world.origin.requests()[0].header("host"), Some(host.as_str()));
}

#[test]
fn the_state_keeps_the_declared_url() {
    let (world, rewrite) = far_away();
    world.run(["apply", "--rewrite", &rewrite]).success();
    let run = world.plan().success();
    assert_eq!(run.counts(), "entries 3, revalidate 3");
    assert_eq!(run.lines("action")[0]["url"], "http://far.invalid/data/1.txt");
    assert_eq!(
        world.run(["apply", "--json", "--rewrite", &rewrite]).success().counts(),
        "entries 3, unchanged 3"
    );
    let state = String::from_utf8_lossy(&world.state_bytes()).into_owned();
    assert!(!state.contains(&world.origin.base()), "the other place is not remembered");
}

#[test]
fn the_environment_can_say_it_too() {
    let (world, rewrite) = far_away();
    let world =
        world.env("NATSYNC_REWRITE", &format!("http://x.invalid/=http://y.invalid/,{rewrite}"));
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
}

#[test]
fn the_longest_prefix_wins() {
    let (world, rewrite) = far_away();
    let other = Origin::new();
    other.serve("/2.txt", "from the other");
    let longer = format!("http://far.invalid/data/2={}/2", other.base());
    for order in [[&longer, &rewrite], [&rewrite, &longer]] {
        world.run(["apply", "--force", "--rewrite", order[0], "--rewrite", order[1]]).success();
        assert_eq!(world.read("out/2.txt"), b"from the other");
        assert_eq!(world.origin.count("/2.txt"), 0);
    }
}

#[test]
fn mirrors_are_rewritten_as_well() {
    let world = World::new().serve("/m/a.txt", "mirrored").source(
        "$BASE/a.txt",
        &["mirrors: [\"http://mirror.invalid/a.txt\"]", "http: {retries: 0}"],
    );
    world.origin.always("/a.txt", crate::origin::Answer::status(500));
    let rewrite = format!("http://mirror.invalid/={}/m/", world.origin.base());
    world.run(["apply", "--rewrite", &rewrite]).success();
    world.assert_files(&[("a.txt", "mirrored")]);
}

#[test]
fn other_urls_are_not_rewritten() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.run(["apply", "--rewrite", "http://far.invalid/=http://nowhere.invalid/"]).success();
    assert_eq!(world.names(), ["1.txt"]);
}

#[test]
fn a_list_shows_declared_urls() {
    let (world, rewrite) = far_away();
    let world = world.env("NATSYNC_REWRITE", &rewrite);
    let run = world.run(["list", "--format", "urls"]).success();
    assert!(run.stdout.starts_with("http://far.invalid/data/1.txt\n"), "{}", run.stdout);
}

#[test]
fn an_invalid_rewrite_is_a_usage_error() {
    let (world, _) = far_away();
    for wrong in ["", "=", "http://a/", "http://a/=", "=http://a/", "a=b"] {
        world.run(["apply", "--rewrite", wrong]).code(2);
    }
    assert!(!world.exists("out"));
}
