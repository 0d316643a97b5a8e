//! The manifest: what a user declares, read, checked and believed.
//!
//! Text becomes a tree of nodes that know their place (`node`), the tree becomes a [`Manifest`]
//! (`read`, `sources`, `settings`, `values`), and whatever is wrong on the way becomes a [`Problem`]
//! with its place. A `Manifest` that exists is valid.

mod collisions;
pub mod entry;
mod expect;
pub(crate) mod hash_index;
mod http;
pub(crate) mod netrc_file;
mod path_hashes;
mod problem;
pub(crate) mod read;
mod schema;
mod secret;
pub mod select;
mod shape;
mod tables;
pub(crate) mod template;
mod types;
mod url;
pub(crate) mod vars;

pub use expect::{Expect, Kind, MediaType, MissingWhen};
pub use http::{Http, Http2, PerHost, Proxy};
pub use path_hashes::PathHashes;
pub use problem::{Problem, Problems};
pub use read::LoadOptions;
pub(crate) use read::is_manifest;
pub use schema::schema;
pub use secret::Secret;
pub use types::{Check, Input, Manifest, OnMissing, Orphans, Quota, Source};
pub(crate) use types::{File, ListPlace, Locations, Override, Published};
pub(crate) use url::host_of;
