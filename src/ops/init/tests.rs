//! The manifests made from lists and globs; the property that they declare exactly the given URLs.

use std::collections::BTreeSet;
use std::path::Path;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::manifest::entry::Form;

fn frame() -> Frame {
    Frame { name: None, dest: "mirror".to_owned() }
}

fn made(input: Input) -> Made {
    make(input, &frame(), Path::new("natsync.yaml")).unwrap()
}

fn of_urls(urls: &[String]) -> String {
    let files = urls.iter().map(Given::of).collect();
    let made = made(Input { files, ..Input::default() });
    let text = made.text.lines().skip(3).collect::<Vec<_>>().join("\n");
    format!("{text}\n# {}", made.notes.join("\n# "))
}

fn of_glob(glob: &str) -> String {
    of_input(read_arguments(&[glob.to_owned()]).unwrap())
}

fn of_input(input: Input) -> String {
    made(input).text.lines().skip(3).collect::<Vec<_>>().join("\n")
}

#[test]
fn numbers_are_a_range() {
    let urls: Vec<_> = (1..=26).map(|n| format!("https://example.org/img{n:02}.jpg")).collect();
    assert_snapshot!(of_urls(&urls), @r"
    sources:
      - url: https://example.org/img{n}.jpg
        vars:
          n: 01..26
    # 26 URLs: https://example.org/img{n}.jpg with n: 01..26
    ");
}

#[test]
fn two_numbers_are_two_variables() {
    let weeks = ["0817", "0824", "0831", "0907"];
    let urls: Vec<_> = weeks
        .iter()
        .flat_map(|week| (1..=5).map(move |n| format!("http://h/{week}wallpaper-{n}_1600.jpg")))
        .collect();
    assert_snapshot!(of_urls(&urls), @r#"
    sources:
      - url: http://h/{n}wallpaper-{n2}_1600.jpg
        vars:
          n: ["0817", "0824", "0831", "0907"]
          n2: 1..5
    # 20 URLs: http://h/{n}wallpaper-{n2}_1600.jpg with n: ["0817", "0824", "0831", "0907"], n2: 1..5
    "#);
}

#[test]
fn dates_are_a_range_of_dates() {
    let urls: Vec<_> = ["2024-02-28", "2024-02-29", "2024-03-01"]
        .iter()
        .flat_map(|day| {
            (0..3).map(move |hour| format!("https://data.example/{day}-{hour}.json.gz"))
        })
        .collect();
    assert_snapshot!(of_urls(&urls), @r"
    sources:
      - url: https://data.example/{date:%Y-%m-%d}-{n}.json.gz
        vars:
          date: 2024-02-28..2024-03-01
          n: 0..2
    # 9 URLs: https://data.example/{date:%Y-%m-%d}-{n}.json.gz with date: 2024-02-28..2024-03-01, n: 0..2
    ");
    let months: Vec<_> =
        (1..=12).map(|month| format!("https://t.example/2023/{month:02}/data.csv")).collect();
    assert_snapshot!(of_urls(&months), @r#"
    sources:
      - url: https://t.example/{month:%Y/%m}/data.csv
        vars:
          month: 2023-01-01..2023-12-01..1mo
        path: "{dir}/{filename}"
    # 12 URLs: https://t.example/{month:%Y/%m}/data.csv with month: 2023-01-01..2023-12-01..1mo
    # paths are `{dir}/{filename}`, because simpler paths would collide
    "#);
}

#[test]
fn gaps_are_left_out() {
    let urls: Vec<_> =
        [1, 2, 3, 7, 9, 10, 11, 12].iter().map(|n| format!("http://h/{n}")).collect();
    assert_snapshot!(of_urls(&urls), @r"
    sources:
      - url: http://h/{n}
        vars:
          n: [1..3, 7, 9..12]
    # 8 URLs: http://h/{n} with n: [1..3, 7, 9..12]
    ");
}

#[test]
fn groups_are_sources() {
    let mut urls: Vec<_> = (1..=3).map(|n| format!("http://h/a/{n}.jpg")).collect();
    urls.extend((1..=3).map(|n| format!("http://h/a/{n}.png")));
    urls.extend((1..=4).map(|n| format!("http://h/b/{n}.png")));
    urls.extend(["http://h/LICENSE".to_owned(), "http://h/x/README.md".to_owned()]);
    assert_snapshot!(of_urls(&urls), @r#"
    sources:
      - name: source-1
        url: http://h/a/{n}.{ext}
        vars:
          n: 1..3
          ext: [jpg, png]
        path: "{dir}/{filename}"
      - name: source-2
        url: http://h/b/{n}.png
        vars:
          n: 1..4
        path: "{dir}/{filename}"
      - name: source-3
        path: "{dir}/{filename}"
        files:
          - url: http://h/LICENSE
            path: "{filename}"
          - url: http://h/x/README.md
    # 6 URLs: http://h/a/{n}.{ext} with n: 1..3, ext: [jpg, png]
    # 4 URLs: http://h/b/{n}.png with n: 1..4
    # 2 URLs without a pattern, one by one
    # paths are `{dir}/{filename}`, because simpler paths would collide
    "#);
}

#[test]
fn names_without_a_number_are_a_list() {
    let urls: Vec<_> = ["train", "test", "valid"]
        .iter()
        .map(|name| format!("http://h/d/{name}.parquet"))
        .collect();
    assert_snapshot!(of_urls(&urls), @r"
    sources:
      - url: http://h/d/{name}.parquet
        vars:
          name: [train, test, valid]
    # 3 URLs: http://h/d/{name}.parquet with name: [train, test, valid]
    ");
}

#[test]
fn colliding_names_get_folders() {
    let urls = ["http://a.example/x/1.jpg", "http://b.example/x/1.jpg", "http://b.example/y/1.jpg"]
        .map(str::to_owned);
    assert_snapshot!(of_urls(&urls), @r#"
    sources:
      - name: source-1
        url: http://b.example/{name}/1.jpg
        vars:
          name: ["x", "y"]
        path: "{host}/{dir}/{filename}"
      - name: source-2
        url: http://a.example/x/1.jpg
        path: "{host}/{dir}/{filename}"
    # 2 URLs: http://b.example/{name}/1.jpg with name: ["x", "y"]
    # 1 URL: http://a.example/x/1.jpg
    # paths are `{host}/{dir}/{filename}`, because simpler paths would collide
    "#);
    let urls = ["http://a.example/get?id=1", "http://a.example/get?id=2", "http://a.example/"]
        .map(str::to_owned);
    assert_snapshot!(of_urls(&urls), @r#"
    sources:
      - name: source-1
        url: http://a.example/get?id={n}
        vars:
          n: [1, 2]
        path: "{host}/{index}-{filename}"
      - name: source-2
        url: http://a.example/
        path: "{host}/{index}-{filename}"
    # 2 URLs: http://a.example/get?id={n} with n: [1, 2]
    # 1 URL: http://a.example/
    # paths are `{host}/{dir}/{index}-{filename}`, because simpler paths would collide
    "#);
}

#[test]
fn urls_without_a_file_name_get_one() {
    let urls = ["http://h.example/a/0a-0/", "http://h.example/../0a-0.jpg"].map(Given::of);
    assert_eq!(made(Input { files: urls.to_vec(), ..Input::default() }).entries, 2);
}

#[test]
fn braces_are_literal() {
    let urls = ["http://h/{a}", "http://h/}b{"].map(str::to_owned);
    assert_snapshot!(of_urls(&urls), @r"
    sources:
      - files:
          - url: http://h/{{a}}
          - url: http://h/}}b{{
    # 2 URLs without a pattern, one by one
    ");
}

#[test]
fn globs_are_templates() {
    assert_snapshot!(of_glob("https://example.org/img[01-26].{jpg,png}"), @r"
    sources:
      - url: https://example.org/img{n}.{ext}
        vars:
          n: 01..26
          ext: [jpg, png]
    ");
    assert_snapshot!(of_glob("https://example.org/{a/b,c d}/[0-100:10]"), @r#"
    sources:
      - url: https://example.org/{+name}/{n}
        vars:
          name: ["a/b", "c d"]
          n: 0..100..10
        path: "{dir}/{filename}"
    "#);
    assert_snapshot!(of_glob("https://example.org/[a-z]/[A-C].txt"), @r#"
    sources:
      - url: https://example.org/{letter}/{letter2}.txt
        vars:
          letter: a..z
          letter2: A..C
        path: "{dir}/{filename}"
    "#);
}

#[test]
fn a_url_of_a_glob_is_declared_once() {
    let arguments = ["http://h/[1-3].jpg", "http://h/2.jpg"].map(str::to_owned);
    let made = made(read_arguments(&arguments).unwrap());
    assert_eq!((made.entries, made.sources), (3, 1), "{}", made.text);
    assert_eq!(made.notes[0], "1 URL is one of a glob, too");
}

#[test]
fn lists_of_other_programs_are_read() {
    let digest = "a".repeat(64);
    let sums = format!("{digest}  a.bin\n{digest} *sub/b.bin\n");
    let input = read_list(sums.as_bytes(), "", None, Some("https://h.example/files/")).unwrap();
    assert_snapshot!(of_input(input), @r"
    sources:
      - files:
          - url: https://h.example/files/a.bin
            sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          - url: https://h.example/files/sub/b.bin
            path: sub/b.bin
            sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    ");
    let pooch = format!(
        "# registry\na.csv md5:{}\n\"b c.csv\" {digest} https://other.example/b%20c.csv\n",
        "b".repeat(32)
    );
    let input = read_list(pooch.as_bytes(), "", None, Some("https://h.example/")).unwrap();
    assert_snapshot!(of_input(input), @r#"
    sources:
      - files:
          - url: https://h.example/a.csv
            md5: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
          - url: https://other.example/b%20c.csv
            sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    "#);
    let aria2 = format!(
        "http://h/a.bin\thttp://m/x/a.bin\n  dir=down\n  out=one.bin\n  checksum=sha-256={digest}\n  header=Authorization: secret\nhttp://h/b.bin\thttp://m/x/b.bin\n  dir=down\n"
    );
    let input = read_list(aria2.as_bytes(), "", None, None).unwrap();
    assert_eq!(input.notes, ["options that were left out: header"]);
    assert_snapshot!(of_input(input), @r#"
    sources:
      - mirrors: ["http://m/x/{filename}"]
        files:
          - url: http://h/a.bin
            path: down/one.bin
            sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          - url: http://h/b.bin
            path: down/b.bin
    "#);
    let metalink = format!(
        "<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"a&amp;b.bin\"><size>5</size><hash type=\"sha-256\">{digest}</hash>\
         <pieces length=\"1\" type=\"sha-1\"><hash>{}</hash></pieces><url priority=\"2\">http://m/a</url><url priority=\"1\">http://h/a?x=1&amp;y=2</url><url>ftp://h/a</url></file></metalink>",
        "c".repeat(40)
    );
    let input = read_list(metalink.as_bytes(), "", None, None).unwrap();
    assert_eq!(input.notes, ["1 URL of other protocols left out (line 2)"]);
    assert_snapshot!(of_input(input), @r#"
    sources:
      - mirrors: ["http://m/a"]
        files:
          - url: http://h/a?x=1&y=2
            path: a&b.bin
            size: 5
            sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    "#);
}

#[test]
fn invalid_lists_are_errors() {
    for (list, why) in [
        ("ftp://h/a\n", "line 1: `ftp://h/a` is not an http or https URL"),
        ("http://h/a\n\nnonsense\n", "line 3: `nonsense` is not an http or https URL"),
        ("http://u:secret@h/a\n", "line 1: a URL contains a password"),
        ("http://token@h/a\n", "line 1: a URL contains a user or a token"),
        ("http://h/${A}\n", "would insert an environment variable"),
        ("", "no URL was given"),
        ("# only a comment\n", "no URL was given"),
        ("<html></html>", "this is a web page"),
        ("<metalink></metalink>", "names no file"),
        ("  out=a\nhttp://h/a\n", "line 1: `out=a` is not an http or https URL"),
    ] {
        let input = read_list(list.as_bytes(), "", None, None);
        let error = input
            .and_then(|input| make(input, &frame(), Path::new("m.yaml")))
            .unwrap_err()
            .to_string();
        assert!(error.contains(why), "{list:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let sums = format!("{}  a\n", "a".repeat(64));
    assert!(
        read_list(sums.as_bytes(), "", None, None)
            .unwrap_err()
            .to_string()
            .contains("names, not URLs")
    );
}

#[test]
fn large_globs_have_a_limit() {
    let input = read_arguments(&["http://h/[1-2000000].bin".to_owned()]).unwrap();
    assert_eq!(made(input).entries, 2_000_000);
    for glob in [
        "http://h/[1-1000000000].bin",
        "http://h/[1-18446744073709551615]/[1-18446744073709551615]",
    ] {
        let input = read_arguments(&[glob.to_owned()]).unwrap();
        let error = make(input, &frame(), Path::new("m.yaml")).unwrap_err().to_string();
        assert!(error.contains("more than 10000000"), "{error}");
    }
}

#[test]
fn many_urls_become_few_lines() {
    let urls: Vec<_> = (0..100_000)
        .map(|n| Given::of(format!("http://h/{}/{}.bin", n / 1000, n % 1000)))
        .collect();
    let made = made(Input { files: urls, ..Input::default() });
    assert_eq!((made.entries, made.sources), (100_000, 1));
    assert!(made.text.len() < 500, "{}", made.text);
    let odd: Vec<_> = (0..20_000u64)
        .map(|n| Given::of(format!("http://h/{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
        .collect();
    assert_eq!(self::made(Input { files: odd, ..Input::default() }).entries, 20_000);
}

/// Generates common and unusual URLs.
fn url() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("a"),
        Just("img"),
        Just("IMG"),
        Just("x y"),
        Just("%20"),
        Just("{n}"),
        Just("é"),
        Just(".."),
        Just("")
    ];
    let number = prop_oneof![
        (0u32..4).prop_map(|n| n.to_string()),
        (0u32..4).prop_map(|n| format!("{n:02}")),
        (1u8..4, 1u8..4).prop_map(|(month, day)| format!("2024-{month:02}-{day:02}")),
        (1u8..4, 1u8..4).prop_map(|(month, day)| format!("2024{month:02}{day:02}")),
        Just("20240231".to_owned()),
        Just("99999999999999999999".to_owned()),
    ];
    let host =
        prop_oneof![Just("h.example"), Just("h2.example"), Just("127.0.0.1:81"), Just("[::1]")];
    let ending = prop_oneof![
        Just(".jpg"),
        Just(".png"),
        Just(""),
        Just("?a=1"),
        Just("?b=2&c=3"),
        Just("/")
    ];
    (host, word.clone(), number.clone(), word, number, ending)
        .prop_map(|(host, a, b, c, d, ending)| format!("http://{host}/{a}/{b}{c}-{d}{ending}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    /// `make` compares its result with the input itself, so it must succeed for every input.
    #[test]
    fn manifests_declare_exactly_the_given_urls(urls in prop::collection::vec(url(), 1..40)) {
        let files = urls.iter().map(Given::of).collect();
        let distinct: BTreeSet<_> = urls.iter().map(|url| normal(url)).collect();
        let made = make(Input { files, ..Input::default() }, &frame(), Path::new("m.yaml")).unwrap();
        prop_assert_eq!(made.entries, distinct.len() as u64);
        let options = LoadOptions::default();
        let manifest = Manifest::parse(Path::new("m.yaml"), &made.text, &options).unwrap();
        let declared: BTreeSet<_> = manifest.entries().iter().map(|entry| normal(&entry.url(Form::Sent))).collect();
        prop_assert_eq!(declared, distinct);
    }

    #[test]
    fn reading_any_list_does_not_panic(text in "[a-z0-9 :/=\t\n<>\"'.#-]{0,200}") {
        for format in [Format::Urls, Format::Aria2, Format::Metalink, Format::Sums, Format::Pooch] {
            let _ = read_list(text.as_bytes(), "", Some(format), Some("http://h/"));
        }
        let _ = read_arguments(&[format!("http://h/{text}")]);
    }
}

#[test]
fn what_a_metalink_loses_is_told() {
    let read = |text: &str| read_list(text.as_bytes(), "", None, None);
    let begin = "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n";
    let file = "<file name=\"a\"><url>http://h/a</url>\n<metaurl mediatype=\"torrent\">http://h/t</metaurl></file></metalink>";
    assert_eq!(read(&format!("{begin}{file}")).unwrap().notes, ["`metaurl` was left out (line 3)"]);

    let named = format!(
        "<!DOCTYPE metalink [<!ENTITY b \"c\">]>\n{begin}<file name=\"&b;\"><url>http://h/a</url></file></metalink>"
    );
    let error = read(&named).unwrap_err().to_string();
    assert!(error.starts_with("line 3: the name of this `file` has an entity"), "{error}");

    let foreign = format!(
        "{begin}<file name=\"a\">\n<hash type=\"sha-384\">00</hash><url>http://h/a</url></file></metalink>"
    );
    let error = read(&foreign).unwrap_err().to_string();
    assert!(error.starts_with("line 3: natsync does not compute"), "{error}");
}

#[test]
fn a_glob_in_a_list_is_refused_with_its_line() {
    let error = read_list(b"http://h/b\nhttp://h/a[1-3].jpg\n", "", None, None).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("line 2: `http://h/a[1-3].jpg` has the glob `[1-3]`"), "{error}");
}

#[test]
fn a_password_of_a_line_that_is_no_url_is_not_quoted() {
    for line in ["https:/u:PW@h/a", "https:u:PW@h/a", "curl -u u:PW http://h/a"] {
        let error = read_list(line.as_bytes(), "", None, None).unwrap_err().to_string();
        assert!(!error.contains("PW"), "{error}");
    }
}

#[test]
fn the_cause_of_a_manifest_that_is_not_portable_is_told() {
    let list = "d41d8cd98f00b204e9800998ecf8427e  a:b\n";
    let input = read_list(list.as_bytes(), "", None, Some("http://h/")).unwrap();
    let notes = made(input).notes.join("\n");
    assert!(notes.contains("`portable: false`, because"), "{notes}");
    assert!(!notes.contains("only in case"), "{notes}");
}
