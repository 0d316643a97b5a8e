//! `natsync init`: two commands mirror a set of URLs, for each supported list format.

use std::process::Stdio;
use std::time::Duration;

use crate::world::{Run, World, numbered, sha256_of};

/// Runs with a list on standard input.
fn piped(world: &World, args: &[&str], list: impl AsRef<[u8]>) -> Run {
    world.write("list.txt", list);
    let mut command = world.command();
    let file = std::fs::File::open(world.path("list.txt")).unwrap();
    let output = command.args(args).stdin(Stdio::from(file)).output().unwrap();
    world.delete("list.txt");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        elapsed: Duration::ZERO,
    }
}

#[test]
fn two_commands_mirror_a_numbered_set() {
    let world = World::new().serve_numbered(12);
    let run = world.run(["init", &world.origin.url("/[1-12].txt")]).success();
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr.contains("natsync.yaml declares 12 entries, which go to mirror"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("`natsync apply` fetches it"), "{}", run.stderr);
    world.run(["apply"]).success();
    for n in 1..=12 {
        assert_eq!(world.read(&format!("mirror/{n}.txt")), numbered(n).as_bytes());
    }
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 12, unchanged 12");
}

#[test]
fn a_list_of_urls_becomes_a_template() {
    let world = World::new().serve_numbered(26);
    let list: String = (1..=26).map(|n| world.origin.url(&format!("/{n}.txt")) + "\n").collect();
    let run = piped(&world, &["init", "-"], format!("# a comment\n\n{list}{list}"));
    assert!(run.stderr.contains("26 repeated URLs were left out"), "{}", run.stderr);
    assert!(run.stderr.contains("/{n}.txt with n: 1..26"), "{}", run.stderr);
    assert!(String::from_utf8(world.read("natsync.yaml")).unwrap().contains("n: 1..26"));
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 26, downloaded 26");
}

#[test]
fn a_manifest_is_not_replaced() {
    let world = World::new();
    world.write("natsync.yaml", "mine");
    let url = "http://h.example/[1-3]";
    let run = world.run(["init", url]).code(2);
    assert_eq!(
        run.stderr,
        "error: `natsync.yaml` already exists\nhint: `--force` replaces it; `-o FILE` writes another one\n"
    );
    assert_eq!(world.read("natsync.yaml"), b"mine");
    world.run(["init", url, "-o", "other.yaml", "--dest", "../there", "--name", "set"]).success();
    let other = String::from_utf8(world.read("other.yaml")).unwrap();
    assert!(other.contains("name: set\ndest: ../there\n"), "{other}");
    world.run(["init", url, "--force"]).success();
    assert!(String::from_utf8(world.read("natsync.yaml")).unwrap().contains("n: 1..3"));
    world.run(["init", url, "-o", "no/such/folder.yaml"]).code(5);
}

#[test]
fn standard_output_gets_only_the_manifest() {
    let world = World::new();
    let run = world.run(["init", "http://h.example/{a,b}", "-o", "-"]).success();
    assert!(
        run.stdout.contains("\nsources:\n  - url: http://h.example/{name}\n"),
        "{}",
        run.stdout
    );
    assert!(!world.exists("natsync.yaml"));
}

#[test]
fn json_output_is_one_object() {
    let world = World::new();
    let run = world.run(["init", "http://h.example/[1-5]", "--json"]).success();
    let lines = run.json();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["type"], &lines[0]["file"]), (&"init".into(), &"natsync.yaml".into()));
    assert_eq!((&lines[0]["entries"], &lines[0]["sources"]), (&5.into(), &1.into()));
}

#[test]
fn digests_of_a_list_are_pins() {
    let world = World::new().serve_numbered(3);
    let list = |line: &dyn Fn(usize, String) -> String| {
        (1..=3).map(|n| line(n, sha256_of(numbered(n)))).collect::<Vec<_>>().join("\n")
    };
    let sums = list(&|n, digest| format!("{digest}  {n}.txt"));
    world.write("SHA256SUMS", &sums);
    let base = world.origin.base();
    world.run(["init", "--from", "SHA256SUMS", "--base-url", &base]).success();
    world.run(["apply"]).success();
    world.origin.forget();
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);
    let run = world.run(["init", "--from", "SHA256SUMS", "--force"]).code(2);
    assert!(run.stderr.contains("`--base-url URL`"), "{}", run.stderr);

    let registry = list(&|n, digest| format!("{n}.txt sha256:{digest}"));
    world.write("registry.txt", registry);
    world
        .run(["init", "--from", "registry.txt", "--base-url", &base, "--force", "--dest", "pooch"])
        .success();
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 3, downloaded 3");
}

/// `init` turns each export of the wallpaper manifest back into a few lines with the same entries.
#[test]
fn init_reads_the_exports_of_list() {
    let world = World::new();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/natgeo.yaml");
    let listed = |world: &World, manifest: &str| -> Vec<String> {
        let run = world.run(["list", manifest, "--format", "urls"]).success();
        let mut urls: Vec<_> = run.stdout.lines().map(str::to_owned).collect();
        urls.sort_unstable();
        urls
    };
    let declared = listed(&world, manifest);
    assert_eq!(declared.len(), 338);
    for format in ["urls", "aria2", "metalink"] {
        let export = world.run(["list", manifest, "--format", format]).success().stdout;
        piped(&world, &["init", "-", "-o", "back.yaml", "--force"], &export);
        let back = String::from_utf8(world.read("back.yaml")).unwrap();
        assert!(back.lines().count() <= 9, "{format}:\n{back}");
        assert!(back.contains("n2: 1..26"), "{format}:\n{back}");
        assert_eq!(back.contains("{+url}"), format != "urls", "{format}:\n{back}");
        assert_eq!(listed(&world, "back.yaml"), declared, "{format}");
    }
}

#[test]
fn invalid_lists_are_errors_without_secrets() {
    let world = World::new();
    for (list, why) in [
        ("http://h.example/a\nnonsense\n", "line 2: `nonsense` is not an http or https URL"),
        ("http://user:c4n4ry@h.example/a\n", "line 1: a URL contains a password"),
        ("", "no URL was given"),
    ] {
        let run = piped(&world, &["init", "-"], list).code(2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(!run.stderr.contains("c4n4ry"), "{}", run.stderr);
    }
    world.run(["init"]).code(2);
    world.run(["init", "--from", "no-such-file"]).code(2);
    world.run(["init", "http://h.example/[3-1]"]).code(2);
    assert!(!world.exists("natsync.yaml"));
}

/// What a list states is in the manifest, or `init` refuses the list and names the line.
#[test]
fn what_a_manifest_cannot_hold_is_refused_with_its_line() {
    let world = World::new();
    let digest = "a".repeat(64);
    let base = ["--base-url", "http://h.example/d/"];
    let metalink = |inner: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n<file name=\"a\">\n{inner}\n<url>http://h.example/a</url>\n</file></metalink>\n"
        )
    };
    for (args, list, why) in [
        // Text after a URL, and tables.
        (&[][..], "http://h.example/a\nhttp://h.example/b some text\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a#frag text\n".to_owned(), "line 1: "),
        (&[], "http://h.example/a\t12\nhttp://h.example/b\t13\n".to_owned(), "`rows`"),
        (&[], "http://h.example/a;12\nhttp://h.example/b;13\n".to_owned(), "`rows`"),
        (&[], format!("http://h.example/a,{digest}\n"), "`rows`"),
        (&[], "url,size\nhttp://h.example/a,12\n".to_owned(), "`rows`"),
        (&[], "name;url\na;http://h.example/a\n".to_owned(), "`rows`"),
        (&[], "name\turl\na\thttp://h.example/a\n".to_owned(), "`rows`"),
        (&[], "\"http://h.example/a\",\"12\"\n".to_owned(), "`rows`"),
        // Other things than lists.
        (
            &[],
            "http://h.example/a\nmagnet:?xt=urn:btih:c4n4ry\n".to_owned(),
            "line 2: a magnet link",
        ),
        (&[], "url = \"http://h.example/a\"\noutput = \"b\"\n".to_owned(), "curl"),
        (&[], "# mine\n\n-o b\nurl=http://h.example/a\n".to_owned(), "curl"),
        (&[], "--url http://h.example/a\n".to_owned(), "curl"),
        (&[], "<!DOCTYPE html>\n<html><body>c4n4ry</body></html>".to_owned(), "web page"),
        (&[], "<html xmlns=\"http://www.w3.org/1999/xhtml\"><p>".to_owned(), "web page"),
        (
            &[],
            "<ListBucketResult xmlns=\"http://s3\"></ListBucketResult>".to_owned(),
            "`ListBucketResult`",
        ),
        // Secrets in queries.
        (&[], "http://h.example/a\nhttp://h.example/b?token=c4n4ry\n".to_owned(), "line 2: "),
        (&[], "http://h.example/b?a=1&X-Amz-Signature=c4n4ry\n".to_owned(), "`X-Amz-Signature`"),
        (&[], "http://h.example/b?%74oken=c4n4ry\n".to_owned(), "`token`"),
        (&[], "ftp://h.example/b?token=c4n4ry\n".to_owned(), "line 1: "),
        (&[], "http://h.example/b?apiKey=c4n4ry#x\n".to_owned(), "`apiKey`"),
        (
            &[],
            "http://h.example/a\thttp://m.example/a?sig=c4n4ry\n  out=a\n".to_owned(),
            "line 1: ",
        ),
        // aria2.
        (&[], "http://h.example/a\n  checksum=sha-256=abc\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a\n  checksum=nonsense\n".to_owned(), "line 2: "),
        (&[], format!("http://h.example/a\n  checksum=sha-224={digest}\n"), "line 2: "),
        (&[], "http://h.example/a\n  out=../a\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a\n  out=/etc/a\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a\n  out=a\n  dir=/srv/a\n".to_owned(), "line 3: "),
        (&[], "http://h.example/a\n  dir=../..\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a\thttp://h.example/a b\n out=x\n".to_owned(), "line 1: "),
        // Two files at one path, and one file with two digests.
        (&[], "http://h.example/a\n  out=x\nhttp://h.example/b\n  out=x\n".to_owned(), "line 3: "),
        (&base, format!("a sha256:{digest}\na sha256:{}\n", "b".repeat(64)), "line 2: "),
        // Metalink.
        (&[], metalink("<size>many</size>"), "line 4: "),
        (&[], metalink("<hash type=\"sha-256\">abc</hash>"), "line 4: "),
        (&[], metalink("<hash type=\"sha-384\">abc</hash>"), "line 4: "),
        (&[], metalink("<url>http://u:c4n4ry@h.example/a</url>"), "line 4: "),
        (&[], metalink("<file name=\"b\"/>"), "line 4: "),
        (&[], metalink("").replace("name=\"a\"", "name=\"../a\""), "line 3: "),
        // Checksum lists and names.
        (&base, format!("{digest}  a\n{digest}  ../b\n"), "line 2: "),
        (&base, format!("{digest}  /etc/b\n"), "line 1: "),
        (&base, format!("SHA384 (a) = {digest}\nSHA256 (b) = {digest}\n"), "line 1: "),
        (&base, "a.bin\n../b.bin\n".to_owned(), "line 2: "),
        (&base, "a.bin\tb.bin\n".to_owned(), "line 1: "),
        (&["--base-url", "http://h.example/?a=b"], "a.bin\n".to_owned(), "--base-url"),
        (&["--base-url", "nonsense"], "a.bin\n".to_owned(), "--base-url"),
        (&["--dest", ""], "http://h.example/a\n".to_owned(), "--dest"),
        (&["--dest", "${HOME}/x"], "http://h.example/a\n".to_owned(), "--dest"),
        (&["--name", "a\u{1b}[31mb"], "http://h.example/a\n".to_owned(), "--name"),
        (&[], "http://h.example/a\nhttp://h.example:99999/b\n".to_owned(), "line 2: "),
        (&[], "http://h.example/a\nhttp://[bad/b\n".to_owned(), "line 2: "),
    ] {
        let run = piped(&world, &[&["init", "-"], args].concat(), &list).code(2);
        assert!(run.stderr.contains(why), "{why}\n{list}\n{}", run.stderr);
        for not in ["c4n4ry", "\u{1b}", "natsync.yaml:", "-->"] {
            assert!(!run.stderr.contains(not), "{not}\n{list}\n{}", run.stderr);
        }
        assert!(!world.exists("natsync.yaml"), "{list}");
    }
}

#[test]
fn binary_input_is_one_short_line() {
    let world = World::new();
    let gzip = [&b"\x1f\x8b\x08\0\0"[..], &[0xff; 3000]].concat();
    let utf16: Vec<u8> =
        "\u{feff}http://h.example/a\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin1 = b"http://h.example/a\nhttp://h.example/\xfcber\n".to_vec();
    for (input, word) in [
        (gzip, "binary"),
        (utf16, "UTF-16"),
        (latin1, "line 2: "),
        (b"http://h.example/\x1b[31ma\n".to_vec(), "line 1: "),
        (vec![b'x'; 100_000], "line 1: "),
    ] {
        let run = piped(&world, &["init", "-"], &input).code(2);
        assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        assert!(run.stderr.len() < 400, "{}", run.stderr);
        assert!(!run.stderr.contains(['\u{fffd}', '\u{1b}']), "{}", run.stderr);
    }
}

/// The manifest made of a list, as `list --json` shows its entries.
fn entries(world: &World, args: &[&str], list: &str) -> Vec<(String, String, Vec<String>)> {
    piped(world, &[&["init", "-", "--force"], args].concat(), list).success();
    let run = world.run(["list", "--json"]).success();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mirrors =
        |entry: &serde_json::Value| entry["mirrors"].as_array().unwrap().iter().map(text).collect();
    run.json()
        .iter()
        .map(|entry| (text(&entry["path"]), text(&entry["url"]), mirrors(entry)))
        .collect()
}

#[test]
fn mirrors_and_folders_are_kept() {
    let world = World::new();
    let text = "http://h.example/d/a.bin\thttp://m.example/x/a.bin\thttp://n.example/other?file=a\n  dir=down\n\
                http://h.example/d/b.bin\thttp://m.example/x/b.bin\n  dir=down\n  out=c/d.bin\n\
                http://h.example/d/e.bin\n  dir=./down/\n";
    let strings = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let mut told = entries(&world, &[], text);
    told.sort();
    assert_eq!(
        told,
        [
            (
                "down/a.bin".to_owned(),
                "http://h.example/d/a.bin".to_owned(),
                strings(&["http://m.example/x/a.bin", "http://n.example/other?file=a"])
            ),
            (
                "down/c/d.bin".to_owned(),
                "http://h.example/d/b.bin".to_owned(),
                strings(&["http://m.example/x/b.bin"])
            ),
            ("down/e.bin".to_owned(), "http://h.example/d/e.bin".to_owned(), Vec::new()),
        ]
    );
}

#[test]
fn plain_names_are_below_the_base_url() {
    let world = World::new();
    let list = "# mine\na.bin\n./v2/b c.bin   # the second\n50%.bin\nhttp://x.example/z\n";
    let told = entries(&world, &["--base-url", "http://h.example/d"], list);
    let mut told: Vec<_> = told.into_iter().map(|(path, url, _)| (path, url)).collect();
    told.sort();
    let pair = |path: &str, url: &str| (path.to_owned(), url.to_owned());
    assert_eq!(
        told,
        [
            pair("50%.bin", "http://h.example/d/50%25.bin"),
            pair("a.bin", "http://h.example/d/a.bin"),
            pair("v2/b c.bin", "http://h.example/d/v2/b%20c.bin"),
            pair("z", "http://x.example/z"),
        ]
    );
    let run = piped(&world, &["init", "-", "--force"], "a.bin\n").code(2);
    assert!(run.stderr.contains("`--base-url URL`"), "{}", run.stderr);
}

#[test]
fn a_comment_stands_behind_white_space() {
    let world = World::new();
    let list = "http://h.example/a # first\nhttp://h.example/b\t# second\n  # third\n";
    let told = entries(&world, &[], list);
    let urls: Vec<_> = told.iter().map(|(_, url, _)| url.as_str()).collect();
    assert_eq!(urls, ["http://h.example/a", "http://h.example/b"]);
}

#[test]
fn a_metalink_has_the_resources_of_its_own_files_alone() {
    let world = World::new();
    let third = "<?xml version=\"1.0\"?>
<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:x=\"urn:x\">
<publisher><name>P</name><url>http://p.example/</url></publisher>
<files><file name=\"a.iso\">
<publisher><url>http://p.example/a</url></publisher>
<x:url>http://x.example/a</x:url><x:size>7</x:size>
<x:verification><hash type=\"md5\">900150983cd24fb0d6963f7d28e17f72</hash></x:verification>
<resources>
<url type=\"bittorrent\" preference=\"100\">http://t.example/a.torrent</url>
<url type=\"ftp\" preference=\"99\">ftp://f.example/a.iso</url>
<url type=\"http\" preference=\"50\">http://h.example/a.iso</url>
<url type=\"https\" preference=\"40\">https://m.example/a.iso</url>
</resources></file></files></metalink>";
    let fourth = "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\" xmlns:x=\"urn:x\">
<file name=\"a.iso\"><x:url>http://x.example/a</x:url><x:hash type=\"md5\">900150983cd24fb0d6963f7d28e17f72</x:hash>
<metaurl mediatype=\"torrent\">http://t.example/a.torrent</metaurl>
<url>http://h.example/a.iso</url><url priority=\"2\">ftp://f.example/a.iso</url>
<url priority=\"999999\">https://m.example/a.iso</url></file>
<x:file name=\"b\"><url>http://x.example/b</url></x:file></metalink>";
    for text in [third, fourth] {
        let told = entries(&world, &[], text);
        let expected = (
            "a.iso".to_owned(),
            "http://h.example/a.iso".to_owned(),
            vec!["https://m.example/a.iso".to_owned()],
        );
        assert_eq!(told, [expected], "{text}");
        let manifest = String::from_utf8(world.read("natsync.yaml")).unwrap();
        assert!(!manifest.contains("md5") && !manifest.contains("size"), "{manifest}");
    }
}
