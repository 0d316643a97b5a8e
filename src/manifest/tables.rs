//! Every key that a manifest may have, with what it is for: the one place that says which there are. The reader takes
//! its keys from here, and so does the schema.

use super::shape::{Bounds, Field, Mapping, Shape, Table};

/// `connections`, `connections_per_host`
pub(super) const CONNECTIONS: Bounds = (1, 1024);
/// `retries`
pub(super) const RETRIES: Bounds = (0, 100);
/// `redirects`
pub(super) const REDIRECTS: Bounds = (0, 50);
/// `segments`
pub(super) const SEGMENTS: Bounds = (1, 64);
/// `missing_when: {status: ..}`
pub(super) const STATUS: Bounds = (400, 599);

/// An expansion that takes more memory than a machine has is a slip, whatever `limits` says.
pub(super) const MOST_ENTRIES: u64 = 4_000_000_000;

/// `prune`
pub(super) const PRUNE: &[&str] = &["off", "managed"];
/// `on_missing`
pub(super) const ON_MISSING: &[&str] = &["fail", "skip", "prune"];
/// `combine`
pub(super) const COMBINE: &[&str] = &["product", "zip"];
/// `check`, beside an age.
pub(super) const CHECK: &[&str] = &["always", "never"];
/// `http2`
pub(super) const HTTP2: &[&str] = &["auto", "never", "always"];
/// `algorithm`
pub(super) const ALGORITHMS: &[&str] = &["sha256", "sha512", "sha1", "md5", "blake3"];

/// The top level.
pub(super) const MANIFEST: Table = &[
    Field::new("version", "the version of the manifest language: 1", Shape::Word(&["1"])),
    Field::new("name", "the manifest's name; the file's stem by default", Shape::Text)
        .such_as("natgeo"),
    Field::new("dest", "the destination directory, relative to the manifest", Shape::Text)
        .such_as("../mirror/natgeo"),
    Field::new(
        "sources",
        "what the destination holds",
        Shape::List(&Shape::Mapping(&SOURCE_MAPPING)),
    ),
    Field::new("http", "transport settings for all sources", Shape::Mapping(&HTTP_SETTINGS)),
    Field::new(
        "prune",
        "what becomes of files that are no longer declared: off or managed",
        Shape::Word(PRUNE),
    )
    .or("off"),
    Field::new("max_delete", "how many files a run may prune: a number or a share", Shape::Quota)
        .such_as("20%"),
    Field::new("limits", "bounds on the manifest itself", Shape::Mapping(&LIMITS_MAPPING)),
    Field::new("portable", "whether names must work on every system", Shape::Flag).or("true"),
];

/// A source.
pub(super) const SOURCE: Table = &[
    Field::new("name", "its name, by which `--only` chooses it", Shape::Text),
    Field::new("url", "the URL template", Shape::Url).such_as("https://example.org/img{n:02}.jpg"),
    Field::new(
        "files",
        "instead of `url`: a list of files",
        Shape::List(&Shape::Mapping(&FILE_MAPPING)),
    ),
    Field::new(
        "mirrors",
        "URL templates of the same file elsewhere",
        Shape::OneOrMore(&Shape::Url),
    ),
    Field::new(
        "alternates",
        "URL templates of the same thing under other names",
        Shape::OneOrMore(&Shape::Url),
    ),
    Field::new("vars", "variables and their values", Shape::Variables),
    Field::new("rows", "variables that go together, a row at a time", Shape::Rows),
    Field::new("combine", "how variables combine: product or zip", Shape::Word(COMBINE))
        .or("product"),
    Field::new("exclude", "combinations to leave out", Shape::OneOrMore(&Shape::Choice)),
    Field::new("path", "the path template, below the destination", Shape::Template)
        .or("{filename}"),
    Field::new(
        "on_missing",
        "what a missing file means: fail, skip or prune",
        Shape::Word(ON_MISSING),
    )
    .or("fail"),
    Field::new("max_missing", "how many entries may be missing: a number or a share", Shape::Quota)
        .such_as("20%"),
    Field::new("missing_when", "what counts as missing", Shape::Mapping(&MISSING_WHEN_MAPPING)),
    Field::new(
        "missing_ttl",
        "how long a missing file is not asked for again",
        Shape::Duration(&[]),
    )
    .or("0s")
    .such_as("1d"),
    Field::new(
        "check",
        "how long a file counts as fresh: always, never, or an age",
        Shape::Duration(CHECK),
    )
    .or("always")
    .such_as("1d"),
    Field::new("expect", "what the content must be like", Shape::Mapping(&EXPECT_MAPPING)),
    Field::new(
        "overrides",
        "single entries that differ",
        Shape::List(&Shape::Mapping(&OVERRIDE_MAPPING)),
    ),
    Field::new("tags", "words that `--only tag:NAME` chooses by", Shape::OneOrMore(&Shape::Text)),
    Field::new(
        "checksums",
        "where the publisher lists digests: a file, a URL, or sidecars",
        Shape::Mapping(&CHECKSUMS_MAPPING),
    ),
    Field::new("sha256", "the SHA-256 of its only file", Shape::Digest(64)),
    Field::new("sha512", "the SHA-512 of its only file", Shape::Digest(128)),
    Field::new("sha1", "the SHA-1 of its only file", Shape::Digest(40)),
    Field::new("md5", "the MD5 of its only file", Shape::Digest(32)),
    Field::new("blake3", "the BLAKE3 of its only file", Shape::Digest(64)),
    Field::new("headers", "header fields for the source's own origin", Shape::Headers),
    Field::new(
        "netrc",
        "whether users and passwords come from ~/.netrc, or from which file",
        Shape::FlagOrPath,
    )
    .or("false"),
    Field::new("http", "transport settings", Shape::Mapping(&HTTP_SETTINGS)),
];

/// One file of `files`.
pub(super) const FILE: Table = &[
    Field::new("url", "its URL", Shape::Url),
    Field::new("path", "where it goes", Shape::Template).or("{filename}"),
    Field::new("size", "its length in bytes", Shape::Size),
    Field::new("sha256", "its SHA-256", Shape::Digest(64)),
    Field::new("sha512", "its SHA-512", Shape::Digest(128)),
    Field::new("sha1", "its SHA-1", Shape::Digest(40)),
    Field::new("md5", "its MD5", Shape::Digest(32)),
    Field::new("blake3", "its BLAKE3", Shape::Digest(64)),
];

/// `http`.
pub(super) const HTTP: Table = &[
    Field::new("connections", "connections in all", Shape::Number(CONNECTIONS)).or("64"),
    Field::new(
        "connections_per_host",
        "connections to one origin: a number or auto",
        Shape::NumberOr(CONNECTIONS, "auto"),
    )
    .or("auto"),
    Field::new("requests_per_second", "requests a second to one origin", Shape::Rate).such_as("5"),
    Field::new("rate_limit", "bytes a second", Shape::Size).such_as("2MiB"),
    Field::new("retries", "further attempts after a failed one", Shape::Number(RETRIES)).or("4"),
    Field::new(
        "max_retry_after",
        "the longest pause that a server may ask for",
        Shape::Duration(&[]),
    )
    .or("2min"),
    Field::new(
        "connect_timeout",
        "how long a connection may take to be made",
        Shape::Duration(&[]),
    )
    .or("10s"),
    Field::new("stall_timeout", "how long no byte may come", Shape::Duration(&[])).or("30s"),
    Field::new("min_rate", "the slowest rate, averaged over a minute", Shape::Size).or("64B"),
    Field::new("redirects", "how many redirects are followed", Shape::Number(REDIRECTS)).or("10"),
    Field::new("user_agent", "the User-Agent header", Shape::Text),
    Field::new("proxy", "the URL of a proxy, or none", Shape::Text)
        .such_as("http://proxy.example.org:3128"),
    Field::new("ca_file", "certificates to trust, instead of the system's", Shape::Text),
    Field::new("segments", "ranges of one large file at a time", Shape::Number(SEGMENTS)).or("1"),
    Field::new("segment_min_size", "files smaller than this are not segmented", Shape::Size)
        .or("64MiB"),
    Field::new("http2", "whether HTTP/2 is spoken: auto, never or always", Shape::Word(HTTP2))
        .or("auto"),
];

/// `expect`.
pub(super) const EXPECT: Table = &[
    Field::new("content_type", "the media type, such as image/jpeg or image/*", Shape::MediaType)
        .such_as("image/*"),
    Field::new("min_size", "bytes at least", Shape::Size).or("1"),
    Field::new("max_size", "bytes at most", Shape::Size),
    Field::new("kind", "what the first bytes must be, such as jpeg or zip", Shape::Kind),
    Field::new("unframed", "whether an answer without a length is taken", Shape::Flag).or("false"),
];

/// `missing_when`.
pub(super) const MISSING_WHEN: Table = &[
    Field::new("status", "HTTP statuses", Shape::OneOrMore(&Shape::Number(STATUS)))
        .or("[404, 410]"),
    Field::new(
        "content_type",
        "the media type of an error page that comes with success",
        Shape::MediaType,
    )
    .such_as("text/html"),
];

/// `limits`.
pub(super) const LIMITS: Table = &[Field::new(
    "entries",
    "how many entries the manifest may expand to",
    Shape::Number((1, MOST_ENTRIES)),
)
.or("10000000")];

/// One of `overrides`.
pub(super) const OVERRIDE: Table = &[
    Field::new("when", "the values of the entries that it is about", Shape::Choice)
        .such_as("{n: 7}"),
    Field::new("url", "another URL template", Shape::Url),
    Field::new("path", "another path template", Shape::Template),
    Field::new("skip", "whether they are left out", Shape::Flag).or("false"),
    Field::new("sha256", "its SHA-256", Shape::Digest(64)),
    Field::new("sha512", "its SHA-512", Shape::Digest(128)),
    Field::new("sha1", "its SHA-1", Shape::Digest(40)),
    Field::new("md5", "its MD5", Shape::Digest(32)),
    Field::new("blake3", "its BLAKE3", Shape::Digest(64)),
    Field::new(
        "reason",
        "why it differs: required for a digest and for what is skipped",
        Shape::Text,
    ),
];

/// `checksums`.
pub(super) const CHECKSUMS: Table = &[
    Field::new("file", "a checksum list, relative to the manifest", Shape::Text)
        .such_as("SHA256SUMS"),
    Field::new("url", "the URL template of a checksum list", Shape::Url),
    Field::new(
        "sidecar",
        "the URL template of the list of a single file, such as {+url}.sha256",
        Shape::Url,
    ),
    Field::new(
        "algorithm",
        "the algorithm of its digests, where neither their length nor the list says it",
        Shape::Algorithm,
    ),
    Field::new(
        "pattern",
        "a regular expression with a group `digest`, and maybe `name`",
        Shape::Text,
    ),
    Field::new("optional", "whether an entry may be missing in the list", Shape::Flag).or("false"),
];

/// A range as a mapping.
pub(super) const RANGE: Table = &[
    Field::new("from", "the first value", Shape::Text),
    Field::new("to", "the last value", Shape::Text),
    Field::new("step", "the distance", Shape::Text).or("1"),
];

/// A literal.
pub(super) const LITERAL: Table =
    &[Field::new("value", "a text that is no range, whatever it looks like", Shape::Text)];

/// A list in a file.
pub(super) const LIST_FILE: Table =
    &[Field::new("file", "a file with one value a line", Shape::Text)];

/// Rows in a file.
pub(super) const ROWS_FILE: Table =
    &[Field::new("csv", "a CSV file with a header line", Shape::Text)];

pub(super) const MANIFEST_MAPPING: Mapping = Mapping {
    name: "manifest",
    about: "Remote files, and the directory that is kept equal to them.",
    table: MANIFEST,
    required: &["version", "dest", "sources"],
    one_of: &[],
    rules: &[],
};
/// What goes with what in a source.
const SOURCE_RULES: &[(&str, &str)] = &[(
    "dependentSchemas",
    r#"{
        "files": {"properties": {"alternates": false, "vars": false, "rows": false, "combine": false,
                                 "exclude": false, "overrides": false}},
        "max_missing": {"required": ["on_missing"], "properties": {"on_missing": {"enum": ["skip", "prune"]}}}
    }"#,
)];
/// What goes with what in an override.
const OVERRIDE_RULES: &[(&str, &str)] = &[
    (
        "dependentRequired",
        r#"{"sha256": ["reason"], "sha512": ["reason"], "sha1": ["reason"], "md5": ["reason"], "blake3": ["reason"]}"#,
    ),
    ("if", r#"{"properties": {"skip": {"enum": [true, "true"]}}, "required": ["skip"]}"#),
    ("then", r#"{"required": ["reason"]}"#),
];

pub(super) const SOURCE_MAPPING: Mapping = Mapping {
    name: "source",
    about: "One URL template with its variables and policies, or a list of files.",
    table: SOURCE,
    required: &[],
    one_of: &["url", "files"],
    rules: SOURCE_RULES,
};
pub(super) const FILE_MAPPING: Mapping = Mapping {
    name: "file",
    about: "One file of a list.",
    table: FILE,
    required: &["url"],
    one_of: &[],
    rules: &[],
};
pub(super) const HTTP_SETTINGS: Mapping = Mapping {
    name: "http",
    about: "Transport settings.",
    table: HTTP,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const EXPECT_MAPPING: Mapping = Mapping {
    name: "expect",
    about: "What the content of a file must be like.",
    table: EXPECT,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const MISSING_WHEN_MAPPING: Mapping = Mapping {
    name: "missing_when",
    about: "What counts as missing.",
    table: MISSING_WHEN,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const LIMITS_MAPPING: Mapping = Mapping {
    name: "limits",
    about: "Bounds on the manifest itself.",
    table: LIMITS,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const OVERRIDE_MAPPING: Mapping = Mapping {
    name: "override",
    about: "Single entries that differ.",
    table: OVERRIDE,
    required: &["when"],
    one_of: &[],
    rules: OVERRIDE_RULES,
};
pub(super) const CHECKSUMS_MAPPING: Mapping = Mapping {
    name: "checksums",
    about: "Where the publisher lists digests.",
    table: CHECKSUMS,
    required: &[],
    one_of: &["file", "url", "sidecar"],
    rules: &[],
};
pub(super) const RANGE_MAPPING: Mapping = Mapping {
    name: "range",
    about: "A range of values.",
    table: RANGE,
    required: &["from", "to"],
    one_of: &[],
    rules: &[],
};
pub(super) const LITERAL_MAPPING: Mapping = Mapping {
    name: "literal",
    about: "A text that is no range, whatever it looks like.",
    table: LITERAL,
    required: &["value"],
    one_of: &[],
    rules: &[],
};
pub(super) const LIST_FILE_MAPPING: Mapping = Mapping {
    name: "list_file",
    about: "Values from a file.",
    table: LIST_FILE,
    required: &["file"],
    one_of: &[],
    rules: &[],
};
pub(super) const ROWS_FILE_MAPPING: Mapping = Mapping {
    name: "rows_file",
    about: "Rows from a file.",
    table: ROWS_FILE,
    required: &["csv"],
    one_of: &[],
    rules: &[],
};
