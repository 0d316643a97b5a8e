//! All keys that a manifest can have, with their descriptions, defaults and bounds.
//!
//! This is the only list of keys: the reader rejects keys that are not here, and the JSON Schema is
//! generated from it. After a change, run `UPDATE=1 cargo test --test it schema`, which rewrites
//! `docs/manifest.schema.json`.

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

/// The largest allowed value of `limits: {entries: ..}`. More entries would need more memory than
/// machines have, so a larger number is a mistake.
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
/// `match` of `checksums`
pub(super) const MATCH: &[&str] = &["relative", "path", "name"];
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
        "where the files of the destination come from",
        Shape::List(&Shape::Mapping(&SOURCE_MAPPING)),
    ),
    Field::new("http", "transport settings for all sources", Shape::Mapping(&HTTP_SETTINGS)),
    Field::new(
        "prune",
        "whether files that are no longer declared are deleted: off or managed",
        Shape::Word(PRUNE),
    )
    .or("off"),
    Field::new(
        "max_delete",
        "how many files a run may delete: a number or a percentage",
        Shape::Quota,
    )
    .such_as("20%"),
    Field::new("limits", "bounds on the manifest itself", Shape::Mapping(&LIMITS_MAPPING)),
    Field::new(
        "portable",
        "whether paths must be valid and distinct on every operating system",
        Shape::Flag,
    )
    .or("true"),
];

/// A source.
pub(super) const SOURCE: Table = &[
    Field::new("name", "its name, which `--only` accepts", Shape::Text),
    Field::new("url", "the URL template", Shape::Url).such_as("https://example.org/img{n:02}.jpg"),
    Field::new(
        "files",
        "instead of `url`: a list of files",
        Shape::List(&Shape::Mapping(&FILE_MAPPING)),
    ),
    Field::new(
        "mirrors",
        "URL templates of the same file on other servers",
        Shape::OneOrMore(&Shape::Url),
    ),
    Field::new(
        "alternates",
        "URL templates of other names that the file may have on its server",
        Shape::OneOrMore(&Shape::Url),
    ),
    Field::new("vars", "variables and their values", Shape::Variables),
    Field::new("rows", "variables whose values are paired row by row", Shape::Rows),
    Field::new("combine", "how variables combine: product or zip", Shape::Word(COMBINE))
        .or("product"),
    Field::new("exclude", "combinations to leave out", Shape::OneOrMore(&Shape::Choice)),
    Field::new("path", "the path template, below the destination", Shape::Template)
        .or("{filename}"),
    Field::new(
        "on_missing",
        "what to do when a file is missing upstream: fail, skip or prune",
        Shape::Word(ON_MISSING),
    )
    .or("fail"),
    Field::new(
        "max_missing",
        "how many entries may be missing: a number or a percentage",
        Shape::Quota,
    )
    .such_as("20%"),
    Field::new(
        "missing_when",
        "which responses mean that a file is missing",
        Shape::Mapping(&MISSING_WHEN_MAPPING),
    ),
    Field::new(
        "missing_ttl",
        "how long a missing file is not requested again",
        Shape::Duration(&[]),
    )
    .or("0s")
    .such_as("1d"),
    Field::new(
        "check",
        "when a file is checked upstream: always, never, or after an age",
        Shape::Duration(CHECK),
    )
    .or("always")
    .such_as("1d"),
    Field::new("expect", "what the content must satisfy", Shape::Mapping(&EXPECT_MAPPING)),
    Field::new(
        "overrides",
        "exceptions for single entries",
        Shape::List(&Shape::Mapping(&OVERRIDE_MAPPING)),
    ),
    Field::new("tags", "names that `--only tag:NAME` accepts", Shape::OneOrMore(&Shape::Text)),
    Field::new(
        "checksums",
        "where the publisher's checksum list is: a file, a URL, or one URL for each file",
        Shape::Mapping(&CHECKSUMS_MAPPING),
    ),
    Field::new("sha256", "the SHA-256 of the only file", Shape::Digest(64)),
    Field::new("sha512", "the SHA-512 of the only file", Shape::Digest(128)),
    Field::new("sha1", "the SHA-1 of the only file", Shape::Digest(40)),
    Field::new("md5", "the MD5 of the only file", Shape::Digest(32)),
    Field::new("blake3", "the BLAKE3 of the only file", Shape::Digest(64)),
    Field::new("headers", "header fields for the source's own origin", Shape::Headers),
    Field::new(
        "netrc",
        "whether to take credentials from ~/.netrc, or the path of another netrc file, or a mapping with login hosts",
        Shape::FlagOrPathOr(&NETRC_MAPPING),
    )
    .or("false"),
    Field::new("http", "transport settings", Shape::Mapping(&HTTP_SETTINGS)),
];

/// One file of `files`.
pub(super) const FILE: Table = &[
    Field::new("url", "its URL", Shape::Url),
    Field::new("path", "its path below the destination", Shape::Template).or("{filename}"),
    Field::new("size", "its length in bytes", Shape::Size),
    Field::new("sha256", "its SHA-256", Shape::Digest(64)),
    Field::new("sha512", "its SHA-512", Shape::Digest(128)),
    Field::new("sha1", "its SHA-1", Shape::Digest(40)),
    Field::new("md5", "its MD5", Shape::Digest(32)),
    Field::new("blake3", "its BLAKE3", Shape::Digest(64)),
];

/// `http`.
pub(super) const HTTP: Table = &[
    Field::new("connections", "the most connections at a time", Shape::Number(CONNECTIONS))
        .or("64"),
    Field::new(
        "connections_per_host",
        "the most connections to one origin: a number or auto",
        Shape::NumberOr(CONNECTIONS, "auto"),
    )
    .or("auto"),
    Field::new("requests_per_second", "the most requests per second to one origin", Shape::Rate)
        .such_as("5"),
    Field::new("rate_limit", "the most bytes per second", Shape::Size).such_as("2MiB"),
    Field::new("retries", "how many times a failed request is repeated", Shape::Number(RETRIES))
        .or("4"),
    Field::new(
        "max_retry_after",
        "the longest Retry-After of a server that is obeyed",
        Shape::Duration(&[]),
    )
    .or("2min"),
    Field::new("connect_timeout", "the time limit for making a connection", Shape::Duration(&[]))
        .or("10s"),
    Field::new("stall_timeout", "the longest time without a received byte", Shape::Duration(&[]))
        .or("30s"),
    Field::new(
        "min_rate",
        "the lowest accepted rate in bytes per second, averaged over a minute",
        Shape::Size,
    )
    .or("64B"),
    Field::new("redirects", "how many redirects are followed", Shape::Number(REDIRECTS)).or("10"),
    Field::new("user_agent", "the User-Agent header", Shape::Text),
    Field::new("proxy", "the URL of a proxy, or none", Shape::Text)
        .such_as("http://proxy.example.org:3128"),
    Field::new(
        "ca_file",
        "a file with the CA certificates to trust instead of the system's",
        Shape::Text,
    ),
    Field::new(
        "segments",
        "how many ranges of one large file are downloaded at a time",
        Shape::Number(SEGMENTS),
    )
    .or("1"),
    Field::new("segment_min_size", "files smaller than this are not segmented", Shape::Size)
        .or("64MiB"),
    Field::new("http2", "whether HTTP/2 is used: auto, never or always", Shape::Word(HTTP2))
        .or("auto"),
];

/// `expect`.
pub(super) const EXPECT: Table = &[
    Field::new("content_type", "the media type, such as image/jpeg or image/*", Shape::MediaType)
        .such_as("image/*"),
    Field::new("min_size", "the smallest allowed size", Shape::Size).or("1"),
    Field::new("max_size", "the largest allowed size", Shape::Size),
    Field::new(
        "kind",
        "the file format, recognized by the first bytes, such as jpeg or zip",
        Shape::Kind,
    ),
    Field::new(
        "unframed",
        "whether a response that ends only with the connection is accepted",
        Shape::Flag,
    )
    .or("false"),
    Field::new(
        "header_digests",
        "whether digests in header fields must be those of the bytes, where no pin decides",
        Shape::Flag,
    )
    .or("true"),
];

/// `netrc`.
pub(super) const NETRC: Table = &[
    Field::new("file", "the path of the netrc file, or true for ~/.netrc", Shape::FlagOrPath)
        .or("true"),
    Field::new(
        "hosts",
        "login hosts that may get their credentials of the file after a redirect",
        Shape::OneOrMore(&Shape::Text),
    )
    .such_as("[login.example.org]"),
];

/// `missing_when`.
pub(super) const MISSING_WHEN: Table = &[
    Field::new(
        "status",
        "the HTTP statuses of a missing file",
        Shape::OneOrMore(&Shape::Number(STATUS)),
    )
    .or("[404, 410]"),
    Field::new(
        "content_type",
        "the media type of an error page that the server sends with status 200",
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
    Field::new("when", "the values of the entries that it applies to", Shape::Choice)
        .such_as("{n: 7}"),
    Field::new("url", "another URL template", Shape::Url),
    Field::new("path", "another path template", Shape::Template),
    Field::new("skip", "whether the entries are left out", Shape::Flag).or("false"),
    Field::new("sha256", "its SHA-256", Shape::Digest(64)),
    Field::new("sha512", "its SHA-512", Shape::Digest(128)),
    Field::new("sha1", "its SHA-1", Shape::Digest(40)),
    Field::new("md5", "its MD5", Shape::Digest(32)),
    Field::new("blake3", "its BLAKE3", Shape::Digest(64)),
    Field::new("reason", "the reason: required with a digest and with skip", Shape::Text),
];

/// `checksums`.
pub(super) const CHECKSUMS: Table = &[
    Field::new("file", "a checksum list, relative to the manifest", Shape::Text)
        .such_as("SHA256SUMS"),
    Field::new("url", "the URL template of a checksum list", Shape::Url),
    Field::new(
        "sidecar",
        "the URL template of the checksum file of a single file, such as {+url}.sha256",
        Shape::Url,
    ),
    Field::new(
        "algorithm",
        "the algorithm of its digests, if neither their length nor the list tells it",
        Shape::Algorithm,
    ),
    Field::new(
        "pattern",
        "a regular expression with a group `digest` and optionally a group `name`",
        Shape::Text,
    ),
    Field::new(
        "match",
        "how its names are compared with entries: relative (by the path relative to the list), path (by the path below the destination) or name (by the last component)",
        Shape::Word(MATCH),
    )
    .or("relative"),
    Field::new("optional", "whether entries may be absent from the list", Shape::Flag).or("false"),
];

/// A range as a mapping.
pub(super) const RANGE: Table = &[
    Field::new("from", "the first value", Shape::Text),
    Field::new("to", "the last value", Shape::Text),
    Field::new("step", "the distance between two values", Shape::Text).or("1"),
];

/// A literal value.
pub(super) const LITERAL: Table = &[Field::new(
    "value",
    "a text that is used literally, even if it looks like a range",
    Shape::Text,
)];

/// Values in a file.
pub(super) const LIST_FILE: Table =
    &[Field::new("file", "a file with one value on each line", Shape::Text)];

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
/// Keys of a source that require or exclude each other.
const SOURCE_RULES: &[(&str, &str)] = &[(
    "dependentSchemas",
    r#"{
        "files": {"properties": {"alternates": false, "vars": false, "rows": false, "combine": false,
                                 "exclude": false, "overrides": false}},
        "max_missing": {"required": ["on_missing"], "properties": {"on_missing": {"enum": ["skip", "prune"]}}}
    }"#,
)];
/// Keys of an override that require each other.
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
    about: "What the content of a file must satisfy.",
    table: EXPECT,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const NETRC_MAPPING: Mapping = Mapping {
    name: "netrc",
    about: "Credentials from a netrc file, also for login hosts.",
    table: NETRC,
    required: &[],
    one_of: &[],
    rules: &[],
};
pub(super) const MISSING_WHEN_MAPPING: Mapping = Mapping {
    name: "missing_when",
    about: "Which responses mean that a file is missing.",
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
    about: "An exception for single entries.",
    table: OVERRIDE,
    required: &["when"],
    one_of: &[],
    rules: OVERRIDE_RULES,
};
pub(super) const CHECKSUMS_MAPPING: Mapping = Mapping {
    name: "checksums",
    about: "Where the publisher's checksum list is.",
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
    about: "A text that is used literally, even if it looks like a range.",
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
