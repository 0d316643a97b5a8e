//! The manifest: what a user declares, read, checked and believed.
//!
//! Text becomes a tree of nodes that know their place (`node`), the tree becomes a [`Manifest`]
//! (`read`, `sources`, `settings`, `values`), and whatever is wrong on the way becomes a [`Problem`]
//! with its place. A `Manifest` that exists is valid.

mod checksums;
mod collisions;
pub mod entry;
mod environment;
mod expect;
mod fields;
pub(crate) mod hash_index;
mod http;
mod netrc;
pub(crate) mod netrc_file;
mod node;
mod path_hashes;
mod policies;
mod problem;
mod read;
mod rows;
pub(crate) mod scalars;
mod schema;
mod secret;
pub mod select;
mod shape;
mod sources;
mod tables;
pub(crate) mod template;
mod templates;
mod transport;
mod types;
mod values;
pub(crate) mod vars;

pub use expect::{Expect, Kind, MediaType, MissingWhen};
pub use http::{Http, Http2, PerHost, Proxy};
pub use path_hashes::PathHashes;
pub use problem::{Problem, Problems};
pub use read::LoadOptions;
pub use schema::schema;
pub use secret::Secret;
pub use types::{Check, Input, Manifest, OnMissing, Orphans, Quota, Source};
pub(crate) use types::{File, ListPlace, Locations, Override, Published, host_of};
