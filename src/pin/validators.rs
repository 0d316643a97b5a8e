//! Validators: the header fields that make a conditional request possible.

use serde::{Deserialize, Serialize};

/// `ETag` and `Last-Modified` of a representation, byte for byte as the server sent them
/// (RFC 9110, section 8.8). They are valid only for the URL whose response had them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The `ETag` field, with its quotes and `W/`.
    pub etag: Option<String>,
    /// The `Last-Modified` field.
    pub last_modified: Option<String>,
}
