//! The manifest: YAML text becomes a valid [`Manifest`], and an index becomes an
//! [`Entry`](entry::Entry).
//!
//! Every error in the text becomes a [`Problem`] with its line and column. A `Manifest` value that
//! exists has passed all checks that need no rendered paths; [`Manifest::check`] does the rest.
//! This module reads the manifest and the files that it names, and nothing else: no network, no
//! destination.
//!
//! From text to manifest:
//!
//! - `read`: turns text into YAML nodes and nodes into a `Manifest`; one file for each group of
//!   keys
//! - `tables`, `shape`: all keys with their descriptions, defaults and bounds, for `read` and
//!   `schema`
//! - `schema`: the JSON Schema, generated from `tables`
//! - `netrc_file`: the grammar of `.netrc` files and the search for a host's credentials
//! - `problem`: errors with their place, and how they are displayed
//!
//! The manifest as values:
//!
//! - `types`: [`Manifest`], [`Source`] and the types of their fields
//! - `expect`, `http`, `secret`: content checks, transport settings, strings that are never printed
//! - `vars`: the values of variables, computed from an index
//! - `template`: URL and path templates, combinations of variables, conditions on them
//! - `url`: checks a URL, and finds its host
//!
//! From manifest to entries:
//!
//! - [`entry`]: entries, made on demand from their index
//! - `identity`: whether a URL of an earlier run names the same file as one of this run
//! - `collisions`: renders all paths once, and refuses invalid or duplicate ones
//! - `path_hashes`, `hash_index`: the hashes of all declared paths, and fast search in them
//! - [`select`]: the entries that `--only`, `--retry` and `--shard` select
//! - `shard`: which part of a job an entry belongs to

mod collisions;
pub mod entry;
mod expect;
pub(crate) mod hash_index;
mod http;
pub(crate) mod identity;
pub(crate) mod netrc_file;
mod path_hashes;
mod problem;
pub(crate) mod read;
mod schema;
mod secret;
pub mod select;
mod shape;
mod shard;
mod tables;
pub(crate) mod template;
mod types;
mod url;
pub(crate) mod vars;

#[cfg(feature = "cli")]
pub(crate) use collisions::places_of;
pub(crate) use expect::EDGE;
pub use expect::{Expect, Kind, MediaType, MissingWhen, Sizes};
pub use http::{Http, Http2, PerHost, Proxy};
pub use identity::KeptUrl;
pub(crate) use identity::{Identity, IdentityKey, UrlDigest};
pub use path_hashes::PathHashes;
pub(crate) use path_hashes::first_half;
pub use problem::{Problem, Problems};
pub use read::LoadOptions;
#[cfg(feature = "cli")]
pub(crate) use read::is_manifest;
pub use schema::schema;
pub use secret::Secret;
pub(crate) use shard::ranges;
pub use shard::{MOST_SHARDS, Shard, ShardError};
pub use types::{Check, Input, Manifest, OnMissing, Orphans, Quota, Source};

/// Whether a file has the name of a YAML file. In a directory of manifests, such a file is taken for
/// a manifest unless natsync downloaded it.
pub(crate) fn is_yaml(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}
#[cfg(feature = "cli")]
pub(crate) use read::range_in_brackets;
pub(crate) use types::{File, ListPlace, Locations, Matching, Override, Published};
#[cfg(feature = "cli")]
pub(crate) use url::check_url;
pub(crate) use url::host_of;
