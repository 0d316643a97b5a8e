//! Invalid manifests: each is refused with exit status 2 before anything is changed, with the
//! position of the error and the right message.

use crate::world::{World, natsync};

/// Name, manifest, LINE:COLUMN, and a part of the message. `SRC` stands for the usual beginning.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("empty file", "", "1:1", "the manifest is empty"),
    ("only a comment", "# nothing\n", "2:1", "the manifest is empty"),
    ("a list", "- a\n", "1:1", "the manifest must be a mapping"),
    ("a word", "hello\n", "1:1", "the manifest must be a mapping"),
    ("unclosed bracket", "version: 1\nsources: [\n", "2:10", "not YAML"),
    ("unclosed quote", "version: 1\nname: \"a\n", "2:7", "not YAML"),
    ("a tab for indentation", "version: 1\nhttp:\n\tretries: 1\n", "3:1", "a tab cannot indent"),
    ("a tab after spaces", "version: 1\nhttp:\n  \tretries: 1\n  \tredirects: 1\n", "3:3", "a tab cannot indent"),
    ("a tab on the line after a value", "version: 1\ndest: out\nsources:\n  - url: http://h/a\n\tname: x\n", "5:1", "a tab cannot indent"),
    ("a tab before a dash", "version: 1\ndest: out\nsources:\n\t- url: http://h/a\n", "4:1", "a tab cannot indent"),
    ("two documents", "version: 1\n---\nversion: 1\n", "3:1", "more than one document"),
    ("unknown anchor", "version: 1\nname: *a\n", "2:7", "not YAML"),
    ("key twice", "SRC    url: http://h/b\n", "6:5", "`url` is there twice"),
    ("top-level key twice", "version: 1\ndest: a\ndest: b\nsources: []\n", "3:1", "`dest` is there twice"),
    ("a key that is a list", "version: 1\n[a]: b\n", "2:1", "a key must be a single value"),
    ("no version", "dest: out\nsources: [{url: http://h/a}]\n", "1:1", "`version` is missing"),
    ("another version", "version: 2\ndest: out\nsources: [{url: http://h/a}]\n", "1:10", "`version: 2` is not known"),
    ("no dest", "version: 1\nsources: [{url: http://h/a}]\n", "1:1", "`dest` is missing"),
    ("dest of another user", "version: 1\ndest: ~root/m\nsources: [{url: http://h/a}]\n", "2:7", "`~root` is not supported"),
    ("dest that is a tilde", "version: 1\ndest: ~\nsources: [{url: http://h/a}]\n", "2:7", "`dest` is not a directory name"),
    ("empty dest", "version: 1\ndest: \"\"\nsources: [{url: http://h/a}]\n", "2:7", "`dest` is not a directory name"),
    ("dest is a list", "version: 1\ndest: [a]\nsources: [{url: http://h/a}]\n", "2:7", "`dest` must be a single value"),
    ("no sources", "version: 1\ndest: out\n", "1:1", "`sources` is missing"),
    ("empty sources", "version: 1\ndest: out\nsources: []\n", "3:10", "`sources` is empty"),
    ("sources is a mapping", "version: 1\ndest: out\nsources: {url: http://h/a}\n", "3:10", "`sources` must be a list"),
    ("source is a word", "version: 1\ndest: out\nsources: [http://h/a]\n", "3:11", "must be a mapping"),
    ("two sources of a name", "version: 1\ndest: out\nsources:\n  - {name: a, url: http://h/a}\n  - {name: a, url: http://h/b}\n", "5:5", "two sources are named `a`"),
    ("unknown top-level field", "SRCdestination: x\n", "6:1", "unknown field `destination`"),
    ("unknown field", "SRC    on_mising: skip\n", "6:5", "did you mean `on_missing`"),
    ("unknown field in http", "SRC    http: {retry: 1}\n", "6:12", "did you mean `retries`"),
    ("unknown field in expect", "SRC    expect: {minsize: 1}\n", "6:14", "did you mean `min_size`"),
    ("unknown field in limits", "SRClimits: {entry: 1}\n", "6:10", "did you mean `entries`"),
    ("override with another scheme", "URLN{n}\n    vars: {n: 1..3}\n    overrides: [{when: {n: 1}, url: \"ftp://h/{n}\"}]\n", "4:10", "`ftp:` is not supported"),
    ("no url", "version: 1\ndest: out\nsources:\n  - name: a\n", "4:5", "source `a` has no `url`"),
    ("url with a slash too few", "version: 1\ndest: out\nsources:\n  - url: http:/h/a\n", "4:10", "it names no host"),
    ("url with a slash too many", "version: 1\ndest: out\nsources:\n  - url: http:///h/{n}\n    vars: {n: 1..2}\n", "4:10", "it names no host"),
    ("url with no slashes", "version: 1\ndest: out\nsources:\n  - url: http:h/{n}\n    vars: {n: 1..2}\n", "4:10", "it names no host"),
    ("url of another scheme", "version: 1\ndest: out\nsources:\n  - url: ftp://h/a\n", "4:10", "`ftp:` is not supported"),
    ("url without scheme", "version: 1\ndest: out\nsources:\n  - url: example.org/a\n", "4:10", "not a URL"),
    ("url without host", "version: 1\ndest: out\nsources:\n  - url: http:///\n", "4:10", "not a URL"),
    ("url without file name", "version: 1\ndest: out\nsources:\n  - url: http://h/a/\n", "4:10", "set `path`"),
    ("url with an encoded slash at its end", "version: 1\ndest: out\nsources:\n  - url: http://h/a%2Fb\n", "4:10", "has a slash"),
    ("bad mirror", "SRC    mirrors: [\"ftp://m/{filename}\"]\n", "6:15", "a mirror is not a URL"),
    ("bad second mirror", "SRC    mirrors:\n      - http://m/{filename}\n      - ftp://m/{filename}\n    path: b\n", "8:9", "a mirror is not a URL"),
    ("bad alternate", "SRC    alternates: [http://h/b, \"http:///b\"]\n", "6:30", "it names no host"),
    ("bad checksum list", "SRC    checksums: {sidecar: \"ftp://m/{filename}\"}\n    path: b\n", "6:26", "the checksum list is not a URL"),
    ("ca_file that is not there", "SRC    http: {ca_file: gone.pem}\n", "6:21", "cannot read `gone.pem`"),
    ("ca_file that is a folder", "SRChttp: {ca_file: .}\n", "6:17", "not a regular file"),
    ("ca_file without a certificate", "SRChttp: {ca_file: m.yaml}\n", "6:17", "has no certificate"),
    ("curl's range in the url", "version: 1\ndest: out\nsources:\n  - url: http://h/img[1-26].txt\n", "4:22", "`[1-26]` is not a range here"),
    ("curl's range with a step", "version: 1\ndest: out\nsources:\n  - url: http://h/img[001-100:3].txt\n", "4:22", "`[001-100:3]` is not a range here"),
    ("curl's range of letters in a mirror", "SRC    mirrors: [\"http://m/[a-c]\"]\n", "6:25", "`[a-c]` is not a range here"),
    ("curl's list in the url", "version: 1\ndest: out\nsources:\n  - url: http://h/{a,b}.txt\n", "4:19", "`{a,b}` is not a list here"),
    ("bash's range in the url", "version: 1\ndest: out\nsources:\n  - url: http://h/{1..26}.txt\n", "4:19", "`{1..26}` is not a range here"),
    ("curl's list in a path", "SRC    path: \"{a,b}\"\n", "6:12", "`{a,b}` is not a list here"),
    ("a range with a dash", "URLN{n}\n    vars: {n: 1-26}\n", "5:15", "write `1..26`"),
    ("a range with a dash in a list", "URLN{n}\n    vars: {n: [01-03, 7]}\n", "5:16", "write `01..03`"),
    ("a range of letters with a dash", "URLN{n}\n    vars: {n: a-z}\n", "5:15", "write `a..z`"),
    ("a range with a dash in exclude", "URLN{n}\n    vars: {n: 1..9}\n    exclude: [{n: 2-5}]\n", "6:19", "write `2..5`"),
    ("path without quotes", "SRC    path: {n}.jpg\n", "6:11", "put the value in quotes"),
    ("name without quotes in a flow mapping", "version: 1\ndest: out\nsources:\n  - url: {base}/a\n", "4:10", "put the value in quotes"),
    ("path of one name without quotes", "SRC    path: {n}\n", "6:11", "put the value in quotes"),
    ("a year until today", "URLN{n}\n    vars: {n: 2018..today}\n", "5:15", "write `2018-01-01..today..1y`"),
    ("a month until a date", "URLN{n}\n    vars: {n: 2018-03..2020-01-01}\n", "5:15", "write `2018-03-01..2020-01-01..1mo`"),
    ("a range of years and months", "URLN{n}\n    vars: {n: 2018-03..2020-01}\n", "5:15", "write `2018-03-01..2020-01-01..1mo`"),
    ("lone date that does not exist", "URLN{n:%Y}\n    vars: {n: 2024-02-30}\n", "4:19", "the date `2024-02-30` does not exist"),
    ("csv of semicolons", "URLN{id}\n    rows: {csv: semi.csv}\n", "5:17", "columns are separated by commas"),
    ("csv of tabs", "URLN{id}\n    rows: {csv: tabs.csv}\n", "5:17", "columns are separated by commas"),
    ("csv with a column twice", "URLN{a}\n    rows: {csv: twice.csv}\n", "5:17", "two columns are named `a`"),
    ("rows at a url", "URLN{a}\n    rows: {url: \"http://h/x.csv\"}\n", "5:12", "`rows` can have `csv`"),
    ("values at a url", "URLN{a}\n    vars: {a: {url: \"http://h/x.txt\"}}\n", "5:16", "`from`, `to` and `step`, or `file`, or `value`"),
    ("values in a compressed file", "URLN{a}\n    vars: {a: {file: x.gz}}\n", "5:22", "it is compressed"),
    ("rows in a compressed file", "URLN{a}\n    rows: {csv: x.gz}\n", "5:17", "it is compressed"),
    ("undeclared variable", "version: 1\ndest: out\nsources:\n  - url: http://h/{weak}\n    vars: {week: 1..2}\n", "4:19", "did you mean `week`"),
    ("undeclared in path", "SRC    path: \"{x}\"\n", "6:12", "variable `x` is not declared"),
    ("unused variable", "SRC    vars: {n: 1..2}\n", "6:12", "variable `n` is not used"),
    ("unclosed brace", "version: 1\ndest: out\nsources:\n  - url: http://h/{n\n", "4:19", "`{` is never closed"),
    ("stray brace", "version: 1\ndest: out\nsources:\n  - url: http://h/n}\n", "4:20", "`}` closes nothing"),
    ("brace in brace", "version: 1\ndest: out\nsources:\n  - url: http://h/{a{b}}\n", "4:19", "`{` within `{`"),
    ("empty braces", "version: 1\ndest: out\nsources:\n  - url: http://h/{}\n", "4:19", "no name between the braces"),
    ("unknown format", "URLN{n:3}\n    vars: {n: 1..2}\n", "4:19", "unknown format `3`"),
    ("unknown filter", "URLN{n|trim}\n    vars: {n: 1..2}\n", "4:19", "unknown filter `trim`"),
    ("padding of a word", "URLN{n:03}\n    vars: {n: [1, x]}\n", "4:19", "`x` is not a whole number"),
    ("date format of a word", "URLN{n:%Y}\n    vars: {n: [x]}\n", "4:19", "`x` is not a date"),
    ("date format that is none", "URLN{n:%Y%!}\n    vars: {n: 2024-01-01}\n", "4:19", "not a date format"),
    ("built-in in the url", "URLN{filename}\n", "4:19", "comes from the URL"),
    ("slash in a path", "URLN{n}\n    vars: {n: [a/b]}\n    path: \"{n}\"\n", "6:12", "has a slash"),
    ("range without end", "URLN{n}\n    vars: {n: 1..}\n", "5:15", "an end is missing"),
    ("range of two kinds", "URLN{n}\n    vars: {n: a..9}\n", "5:15", "it is not a range"),
    ("range with step 0", "URLN{n}\n    vars: {n: 1..9..0}\n", "5:15", "the step is 0"),
    ("range with a step the wrong way", "URLN{n}\n    vars: {n: 1..9..-1}\n", "5:15", "leads away"),
    ("range padded twice", "URLN{n}\n    vars: {n: 01..0100}\n", "5:15", "padded to different widths"),
    ("range of four parts", "URLN{n}\n    vars: {n: 1..9..1..1}\n", "5:15", "more than a start"),
    ("range too long", "URLN{n}\n    vars: {n: 0..1000000000000000000}\n", "5:15", "1000000000000000001 entries"),
    ("range beyond numbers", "URLN{n}\n    vars: {n: 0..99999999999999999999}\n", "5:15", "too many values"),
    ("product too large", "URLN{a}{b}{c}{d}\n    vars: {a: 1..10000, b: 1..10000, c: 1..10000, d: 1..10000}\n", "5:15", "10000000000000000 entries"),
    ("product that overflows", "URLN{a}{b}\n    vars: {a: 1..9000000000000000000, b: 1..9000000000000000000}\n", "5:15", "more entries than can be counted"),
    ("the longest of two sources", "version: 1\ndest: out\nlimits: {entries: 100}\nsources:\n  - {url: \"http://h/{n}\", vars: {n: 1..50}}\n  - {url: \"http://h/x{n}\", vars: {n: 1..60}}\n", "6:38", "110 entries"),
    ("date step without unit", "URLN{n}\n    vars: {n: 2024-01-01..2024-02-01..7}\n", "5:15", "the step of dates"),
    ("hours between dates", "URLN{n}\n    vars: {n: 2024-01-01..2024-02-01..1h}\n", "5:15", "needs a time"),
    ("date that is none", "URLN{n}\n    vars: {n: 2024-02-30..2024-03-01}\n", "5:15", "the date `2024-02-30` does not exist"),
    ("mapping without end", "URLN{n}\n    vars: {n: {from: 1}}\n", "5:15", "needs `from` and `to`"),
    ("mapping with a slip", "URLN{n}\n    vars: {n: {form: 1, to: 3}}\n", "5:16", "did you mean `from`"),
    ("empty list of values", "URLN{n}\n    vars: {n: []}\n", "5:15", "variable `n` has no value"),
    ("empty value", "URLN{n}\n    vars:\n      n:\n", "6:8", "has an empty value"),
    ("list in a list", "URLN{n}\n    vars: {n: [[1]]}\n", "5:16", "a list within a list"),
    ("variable with a bad name", "SRC    vars: {1n: 2}\n", "6:12", "not a valid variable name"),
    ("file that is not there", "URLN{n}\n    vars: {n: {file: gone.txt}}\n", "5:22", "cannot read `gone.txt`"),
    ("csv that is not there", "URLN{n}\n    rows: {csv: gone.csv}\n", "5:17", "cannot read `gone.csv`"),
    ("rows with a wanting cell", "URLN{a}{b}\n    rows: [{a: 1, b: 2}, {a: 3}]\n", "5:26", "this row has no `b`"),
    ("zip of unequal lengths", "URLN{a}{b}\n    vars: {a: 1..3, b: 1..2}\n    combine: zip\n", "5:21", "`b` has 2 values and `a` has 3"),
    ("unknown combine", "URLN{a}\n    vars: {a: 1..3}\n    combine: pairs\n", "6:14", "`combine` cannot be `pairs`"),
    ("exclude of an unknown variable", "URLN{n}\n    vars: {n: 1..3}\n    exclude: [{m: 1}]\n", "6:16", "variable `m` is not declared"),
    ("override without when", "URLN{n}\n    vars: {n: 1..3}\n    overrides: [{skip: true, reason: x}]\n", "6:17", "needs `when`"),
    ("override that skips without a reason", "URLN{n}\n    vars: {n: 1..3}\n    overrides: [{when: {n: 1}, skip: true}]\n", "6:17", "needs a `reason`"),
    ("override that changes nothing", "URLN{n}\n    vars: {n: 1..3}\n    overrides: [{when: {n: 1}}]\n", "6:17", "changes nothing"),
    ("one path for two entries", "URLN{n}/a\n    vars: {n: 1..2}\n", "4:10", "two entries have the path `a`"),
    ("a file that is a folder", "version: 1\ndest: out\nsources:\n  - files:\n    - {url: http://h/1, path: a}\n    - {url: http://h/2, path: a/b}\n", "6:7", "a file and a folder"),
    ("twins by case", "version: 1\ndest: out\nsources:\n  - files:\n    - {url: http://h/Logo.png}\n    - {url: http://h/logo.png}\n", "6:7", "differ only by case"),
    ("path that climbs", "SRC    path: ../a\n", "6:11", "could leave the destination"),
    ("absolute path", "SRC    path: /etc/passwd\n", "6:11", "it is absolute"),
    ("path with NUL", "SRC    path: \"a\\0b\"\n", "6:11", "control character"),
    ("path in natsync's folder", "SRC    path: .NATSYNC/state.db\n", "6:11", "natsync's own folder"),
    ("path that Windows reserves", "SRC    path: con.txt\n", "6:11", "Windows reserves"),
    ("path that is too long", "SRC    path: \"LONG\"\n", "6:11", "255 bytes"),
    ("size that is none", "version: 1\ndest: out\nsources:\n  - files: [{url: http://h/a, size: big}]\n", "4:37", "`size` cannot be `big`"),
    ("files with variables", "version: 1\ndest: out\nsources:\n  - files: [{url: http://h/a}]\n    vars: {n: 1}\n", "5:5", "does not go with `files`"),
    ("check that is none", "SRC    check: sometimes\n", "6:12", "`check` cannot be `sometimes`"),
    ("duration without unit", "SRC    missing_ttl: 5\n", "6:18", "`missing_ttl` cannot be `5`"),
    ("on_missing that is none", "SRC    on_missing: ignore\n", "6:17", "`on_missing` cannot be `ignore`"),
    ("max_missing above all", "SRC    on_missing: skip\n    max_missing: 120%\n", "7:18", "`max_missing` cannot be `120%`"),
    ("max_missing without skip", "SRC    max_missing: 3\n", "6:5", "has no meaning"),
    ("status that is none", "SRC    missing_when: {status: 200}\n", "6:28", "`status` cannot be `200`"),
    ("media type that is none", "SRC    expect: {content_type: jpeg}\n", "6:28", "`content_type` cannot be `jpeg`"),
    ("kind that is none", "SRC    expect: {kind: picture}\n", "6:20", "`kind` cannot be `picture`"),
    ("sizes that exclude each other", "SRC    expect: {min_size: 2kB, max_size: 1kB}\n", "6:29", "is less than `min_size`"),
    ("connections 0", "SRC    http: {connections: 0}\n", "6:25", "`connections` cannot be `0`"),
    ("negative retries", "SRC    http: {retries: -1}\n", "6:21", "`retries` cannot be `-1`"),
    ("timeout 0", "SRC    http: {connect_timeout: 0s}\n", "6:29", "cannot be 0"),
    ("proxy of another kind", "SRC    http: {proxy: \"socks5://h:1\"}\n", "6:19", "not the URL of an HTTP proxy"),
    ("header with a line break", "SRC    headers: {X-A: \"a\\r\\nB: c\"}\n", "6:20", "characters that a header cannot have"),
    ("header that is natsync's", "SRC    headers: {Range: bytes=0-1}\n", "6:15", "natsync's own"),
    ("header with a bad name", "SRC    headers: {\"a b\": c}\n", "6:15", "not a valid header name"),
    ("missing environment variable", "version: 1\ndest: out\nsources:\n  - url: http://h/a?k=${NATSYNC_NOT_SET}\n", "4:23", "`NATSYNC_NOT_SET` is not set"),
    ("environment variable without an end", "version: 1\ndest: out\nsources:\n  - url: http://h/${A\n", "4:19", "`${` is never closed"),
    ("a prune that there is not", "SRCprune: always\n", "6:8", "`prune` cannot be `always`"),
    ("netrc that is not there", "SRC    netrc: no-such-netrc\n", "6:12", "cannot read the netrc file"),
    ("netrc that is a folder", "SRC    netrc: .\n", "6:12", "not a regular file"),
    ("netrc with an unknown key", "SRC    netrc: {file: false, host: a}\n", "6:26", "unknown field `host`"),
    ("a login host that is a URL", "SRC    netrc: {file: false, hosts: [\"https://a/\"]}\n", "6:34", "`hosts`"),
    ("netrc that is a list", "SRC    netrc: [a]\n", "6:12", "must be a single value"),
    ("digest that is none", "SRC    sha256: abc\n", "6:13", "`sha256` cannot be `abc`"),
    ("digest of another algorithm", "SRC    sha256: 900150983cd24fb0d6963f7d28e17f72\n", "6:13", "64 hexadecimal digits"),
    ("digest for many files", "version: 1\ndest: out\nsources:\n  - url: http://h/{n}\n    vars: {n: 1..2}\n    md5: 900150983cd24fb0d6963f7d28e17f72\n", "6:5", "`md5` is for a source of one file"),
    ("digest beside files", "version: 1\ndest: out\nsources:\n  - files: [{url: http://h/a}]\n    md5: 900150983cd24fb0d6963f7d28e17f72\n", "5:5", "`md5` is for a source of one file"),
    ("digest of one entry without a reason", "version: 1\ndest: out\nsources:\n  - url: http://h/{n}\n    vars: {n: 1..2}\n    overrides: [{when: {n: 1}, md5: 900150983cd24fb0d6963f7d28e17f72}]\n", "6:17", "needs a `reason`"),
    ("alias bomb", "BOMB", "", "expands beyond all bounds"),
    ("deep nesting", "DEEP", "", "not YAML"),
];

/// Files beside the manifest.
const BESIDE: [(&str, &[u8]); 4] = [
    ("semi.csv", b"id;v\n1;2\n"),
    ("tabs.csv", b"id\tv\n1\t2\n"),
    ("twice.csv", b"a,b,a\n1,2,3\n"),
    ("x.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03K\xe2\x02\x00z\x7a\x6f\xed\x02\x00\x00\x00"),
];

fn text_of(row: &str) -> String {
    let source = "version: 1\ndest: out\nsources:\n  - name: s\n    url: http://h/a\n";
    match row {
        "BOMB" => {
            let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
            for (before, name) in ('a'..='l').zip('b'..='m') {
                let aliases = vec![format!("*{before}"); 9].join(",");
                text.extend([format!("{name}: &{name} [{aliases}]\n")]);
            }
            text
        }
        "DEEP" => format!("a: {}{}\n", "[".repeat(10_000), "]".repeat(10_000)),
        row => row
            .replace("SRC", source)
            .replace("URLN", "version: 1\ndest: out\nsources:\n  - url: http://h/")
            .replace("LONG", &"x".repeat(256)),
    }
}

pub(crate) fn manifests() -> impl Iterator<Item = (&'static str, String)> {
    TABLE.iter().map(|&(name, row, ..)| (name, text_of(row)))
}

#[test]
fn every_error_is_reported_at_its_position() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in BESIDE {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let mut wrong = Vec::new();
    for (name, row, place, word) in TABLE {
        std::fs::write(folder.path().join("m.yaml"), text_of(row)).unwrap();
        let output = natsync(&["plan", "m.yaml"], folder.path());
        let at = format!("m.yaml:{place}");
        let placed = output
            .stderr
            .lines()
            .any(|line| line.trim_start().trim_start_matches("--> ").trim_end() == at)
            || (place.is_empty() && output.stderr.contains(&at));
        if output.status != 2
            || !placed
            || !output.stderr.contains(word)
            || output.stderr.contains("panicked")
        {
            wrong.push(format!(
                "## {name}: exit {}, wanted {at} and {word:?}\n{}",
                output.status, output.stderr
            ));
        }
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1 + BESIDE.len(), "nothing is touched");
    assert!(60 <= TABLE.len());
    assert!(wrong.is_empty(), "{} of {}:\n\n{}", wrong.len(), TABLE.len(), wrong.join("\n"));
}

#[test]
fn a_hostile_manifest_is_refused_in_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    for row in ["BOMB", "DEEP"] {
        std::fs::write(folder.path().join("m.yaml"), text_of(row)).unwrap();
        // An exponential expansion takes longer than a run may take.
        assert_eq!(natsync(&["plan", "m.yaml"], folder.path()).status, 2, "{row}");
    }
}

/// The complete messages for some of them: `snapshots/it__malformed__the_messages.snap`.
#[test]
fn the_messages() {
    let shown = [
        "two documents",
        "key twice",
        "another version",
        "unknown field",
        "url of another scheme",
        "url without file name",
        "undeclared variable",
        "unused variable",
        "date format of a word",
        "range of two kinds",
        "range too long",
        "zip of unequal lengths",
        "one path for two entries",
        "twins by case",
        "path that climbs",
        "missing environment variable",
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut messages = String::new();
    for wanted in shown {
        let (_, row, ..) = TABLE.iter().find(|(name, ..)| *name == wanted).unwrap();
        std::fs::write(folder.path().join("m.yaml"), text_of(row)).unwrap();
        let output = natsync(&["plan", "m.yaml"], folder.path());
        messages.extend(["# ", wanted, "\n", &output.stderr, "\n"]);
    }
    insta::assert_snapshot!(messages);
}

#[test]
fn several_problems_are_told_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1
dest: out
sources:
  - name: a
    url: http://h/{week:%m%d}-{m}.jpg
    vars:
      week: 2009-08-17..2009-11-09..7
      n: 1..
    on_mising: skip
    check: daily
  - name: a
    url: http://h/b
    http: {conections: 3}
";
    std::fs::write(folder.path().join("m.yaml"), text).unwrap();
    insta::assert_snapshot!(natsync(&["plan", "m.yaml"], folder.path()).stderr);
}

#[test]
fn no_secret_is_shown_in_an_excerpt() {
    let folder = tempfile::tempdir().unwrap();
    for text in [
        "version: 1\ndest: out\nsources:\n  - url: http://me:s3cret@h/{n}\n",
        "version: 1\ndest: out\nsources:\n  - {url: http://h/a, headers: {Authorization: s3cret}, chek: x}\n",
        "version: 1\ndest: out\nsources:\n  - {url: http://h/a, headers: {X-Own: \"s3cret, s3cret\"}, chek: x}\n",
        "version: 1\ndest: out\nsources:\n  - {url: http://h/a, headers: {A: b, X-Own: \"s3cret\\r\\n\"}}\n",
    ] {
        std::fs::write(folder.path().join("m.yaml"), text).unwrap();
        let output = natsync(&["plan", "m.yaml"], folder.path());
        assert_eq!(output.status, 2);
        assert!(
            output.stderr.contains("m.yaml:4:") && !output.stderr.contains("s3cret"),
            "{}",
            output.stderr
        );
    }
}

/// A bad value is reported where it stands, also in a file that the manifest names.
#[test]
fn a_bad_value_of_a_file_is_reported_in_that_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ids.txt"), "# ids\nab\n\n a/b\n").unwrap();
    std::fs::write(folder.path().join("ids.csv"), "id,day\nab,2024-01-01\nac,2024-13-01\n")
        .unwrap();
    let head = "version: 1\ndest: out\nsources:\n  - url: http://h/x\n    path: ";
    for (rest, at, message) in [
        ("\"{n}\"\n    vars: {n: {file: ids.txt}}\n", "ids.txt:4:2", "`a/b` has a slash"),
        (
            "\"{n:03}\"\n    vars: {n: [1, {file: ids.txt}]}\n",
            "ids.txt:2:1",
            "`ab` is not a whole number",
        ),
        (
            "\"{day:%Y}{id}\"\n    rows: {csv: ids.csv}\n",
            "ids.csv:3:1",
            "the date `2024-13-01` does not exist",
        ),
    ] {
        std::fs::write(folder.path().join("m.yaml"), format!("{head}{rest}")).unwrap();
        let output = natsync(&["list", "m.yaml"], folder.path());
        assert_eq!(output.status, 2, "{}", output.stderr);
        assert!(output.stderr.contains(&format!("--> {at}\n")), "{at}: {}", output.stderr);
        assert!(output.stderr.contains(message), "{message}: {}", output.stderr);
    }
}

/// The same holds for every command that reads a manifest.
#[test]
fn every_command_refuses_what_plan_refuses() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in BESIDE {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let mut wrong = Vec::new();
    for (name, row, ..) in TABLE.iter().filter(|(_, _, place, _)| !place.is_empty()) {
        std::fs::write(folder.path().join("m.yaml"), text_of(row)).unwrap();
        let plan = natsync(&["plan", "m.yaml"], folder.path());
        for args in [
            &["list", "m.yaml"][..],
            &["list", "--format", "urls", "m.yaml"],
            &["list", "--format", "json", "m.yaml"],
        ] {
            let list = natsync(args, folder.path());
            if (list.status, &list.stderr, list.stdout.as_str()) != (2, &plan.stderr, "") {
                wrong.push(format!("## {name}: {args:?} exit {}\n{}", list.status, list.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_condition_that_matches_nothing_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let head = "version: 1\ndest: out\nsources:\n  - url: http://h/{n}-{m}\n    vars: {n: 1..9, m: [a, b]}\n";
    for (rest, warning) in [
        ("    exclude: [{n: 3}, {n: 12}]\n", "m.yaml:6:23: `exclude` matches no entry"),
        (
            "    overrides: [{when: {n: 2, m: c}, skip: true, reason: x}]\n",
            "m.yaml:6:24: `when` matches no entry",
        ),
        ("    exclude: [{n: 3, m: b}]\n", ""),
    ] {
        std::fs::write(folder.path().join("m.yaml"), format!("{head}{rest}")).unwrap();
        for args in [&["list", "m.yaml"][..], &["plan", "m.yaml"]] {
            let output = natsync(args, folder.path());
            assert_eq!(output.status, 0, "{}", output.stderr);
            let warned = output.stderr.lines().filter(|line| line.starts_with("warning: "));
            let warned: Vec<_> = warned.collect();
            if warning.is_empty() {
                assert_eq!(warned, [""; 0]);
            } else {
                assert_eq!(warned, [format!("warning: {warning}")]);
            }
        }
    }
}

#[test]
fn an_exclusion_may_meet_nothing_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\ndest: out\nsources:\n  - url: http://h/{n}\n    vars: {n: 1..9}\n    exclude: [{n: 7}]\n";
    std::fs::write(folder.path().join("m.yaml"), text).unwrap();
    let output = natsync(&["list", "m.yaml", "--set", "n=1..2", "--format", "urls"], folder.path());
    assert_eq!((output.status, output.stdout.as_str()), (0, "http://h/1\nhttp://h/2\n"));
    assert_eq!(output.stderr, "", "`--set` chose the values, so no warning is due");
}

#[test]
fn scalars_are_taken_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let digest = "1111e22222222222222222222222222222222222222222222222222222222222";
    let values = [
        ".inf",
        "-.inf",
        ".nan",
        ".NaN",
        "1e999",
        "-1e999",
        "1e-999",
        digest,
        "0x1F",
        "0o17",
        "0b1",
        "1_000",
        "1.10",
        "0810",
        "no",
        "null",
        "~",
        "True",
        "+1",
        "1.",
        "12e03",
        "9999999999999999999999999999999999999999999",
        "2001-01-01",
        "190:20:30",
    ];
    let listed: Vec<_> = values.iter().map(|value| format!("      - {value}\n")).collect();
    let text = format!(
        "version: 1\ndest: out\nsources:\n  - url: http://h/{{+n}}\n    path: \"{{n}}\"\n    vars:\n      n:\n{}  - {{url: http://h/a, sha256: {digest}}}\n",
        listed.concat()
    );
    let text = text.replace("path: \"{n}\"", "path: \"{index}\"");
    std::fs::write(folder.path().join("m.yaml"), text).unwrap();
    let output = natsync(&["list", "m.yaml", "--format", "urls"], folder.path());
    let expected: Vec<_> = values.iter().map(|value| format!("http://h/{value}\n")).collect();
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout, expected.concat() + "http://h/a\n");
}

/// Variables that a template formats as dates hold dates, wherever their values are written.
#[test]
fn a_lone_date_is_a_date_wherever_a_date_format_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("days.txt"), "today-1d\n2026-01-02\n").unwrap();
    std::fs::write(folder.path().join("days.csv"), "d\ntoday-1d\n2026-01-02\n").unwrap();
    let both = "2026-01-30/30\n2026-01-02/02\n";
    for (values, expected) in [
        ("vars: {d: today-1d}", "2026-01-30/30\n"),
        ("vars: {d: [today-1d, 2026-01-02]}", both),
        ("vars: {d: {file: days.txt}}", both),
        ("rows: {csv: days.csv}", both),
        ("rows: [{d: today-1d}, {d: 2026-01-02}]", both),
        ("vars: {d: [2026-01-02, 2026-01-30]}\n    exclude: [{d: today-1d}]", "2026-01-02/02\n"),
    ] {
        let text = format!(
            "version: 1\ndest: out\nsources:\n  - url: http://h/{{d}}/{{d:%d}}\n    {values}\n"
        );
        std::fs::write(folder.path().join("m.yaml"), text).unwrap();
        let args = ["list", "m.yaml", "--format", "urls", "--today", "2026-01-31"];
        let output = natsync(&args, folder.path());
        assert_eq!(output.stdout.replace("http://h/", ""), expected, "{values}: {}", output.stderr);
    }
    // Without a date format, the text is kept.
    let text = "version: 1\ndest: out\nsources:\n  - {url: \"http://h/{d}\", vars: {d: today}}\n";
    std::fs::write(folder.path().join("m.yaml"), text).unwrap();
    let output = natsync(&["list", "m.yaml", "--format", "urls"], folder.path());
    assert_eq!(output.stdout, "http://h/today\n");
}

/// Sizes that take minutes where the time is a product of two counts.
#[test]
fn large_manifests_take_linear_time() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: String, args: &[&str]| {
        std::fs::write(folder.path().join("m.yaml"), text).unwrap();
        natsync(args, folder.path())
    };
    let head = "version: 1\ndest: out\nsources:\n  - url: http://h/{n}\n    vars: {n: 1..20000}\n";
    let digest = "0".repeat(64);
    let overrides = (1..=20_000)
        .map(|n| format!("      - {{when: {{n: {n}}}, sha256: {digest}, reason: x}}\n"))
        .collect::<Vec<_>>()
        .concat();
    let output =
        run(format!("{head}    overrides:\n{overrides}"), &["list", "m.yaml", "--format", "urls"]);
    assert_eq!((output.status, output.stdout.lines().count()), (0, 20_000), "{}", output.stderr);
    let excludes =
        (2..=20_000).map(|n| format!("      - n: {n}..20000\n")).collect::<Vec<_>>().concat();
    let output =
        run(format!("{head}    exclude:\n{excludes}"), &["list", "m.yaml", "--format", "urls"]);
    assert_eq!((output.status, output.stdout.as_str()), (0, "http://h/1\n"), "{}", output.stderr);

    let keys = (0..30_000).map(|n| format!("k{n}: 1\n")).collect::<Vec<_>>().concat();
    let output = run(format!("version: 1\n{keys}"), &["list", "m.yaml"]);
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("and 29982 more problems"), "{}", output.stderr);
    // The same on a single line.
    let keys = (0..30_000).map(|n| format!(",k{n}: 1")).collect::<Vec<_>>().concat();
    let output = run(format!("{{version: 1{keys}}}"), &["list", "m.yaml"]);
    assert_eq!(output.status, 2);
    assert!(output.stderr.contains("and 29982 more problems"), "{}", output.stderr);
    let twins = "dest: a\n".repeat(30_000);
    let output = run(format!("version: 1\n{twins}"), &["list", "m.yaml"]);
    assert!(output.stderr.contains("and 29979 more problems"), "{}", output.stderr);
}

#[test]
fn a_csv_file_with_unclear_columns_is_refused() {
    for (csv, expected) in [
        ("id;v\n1;2\n", "the CSV file has a single column, `id;v`"),
        ("id\tv\n1\t2\n", "the CSV file has a single column"),
        ("id,v,id\n1,2,3\n", "two columns are named `id`"),
    ] {
        let world = World::new();
        world.write("rows.csv", csv);
        let world = world.source("http://h.example/{id}", &["rows: {csv: rows.csv}"]);
        let run = world.run(["plan"]).code(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert!(run.stderr.contains("natsync.yaml:5:"), "{}", run.stderr);
    }
    // Columns whose names cannot be variables are not used, however many there are.
    let world = World::new();
    world.write("rows.csv", "id,,\n1,2,3\n");
    let world = world.source("http://h.example/{id}", &["rows: {csv: rows.csv}"]);
    world.run(["plan"]).success();
}
