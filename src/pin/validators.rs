//! Validators: what makes it possible to ask whether a file is still the same.

use serde::{Deserialize, Serialize};

/// `ETag` and `Last-Modified` of a representation, byte for byte as the server sent them
/// (RFC 9110, section 8.8). They are worth something only at the URL that sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The `ETag` field, with its quotes and `W/`.
    pub etag: Option<String>,
    /// The `Last-Modified` field.
    pub last_modified: Option<String>,
}
