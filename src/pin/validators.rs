//! Validators: the names that an origin gives to the bytes of a file (RFC 9110, section 8.8).

use serde::{Deserialize, Serialize};

/// `ETag` and `Last-Modified` of a representation, byte for byte as the server sent them. They mean
/// something only at the URL that sent them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The `ETag` field, with its quotes and `W/`.
    pub etag: Option<String>,
    /// The `Last-Modified` field.
    pub last_modified: Option<String>,
}

impl Validators {
    pub(crate) fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// The entity tag, if it is a strong one. Two files may share a weak tag (RFC 9110, section
    /// 8.8.1).
    pub(crate) fn strong_etag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| !tag.starts_with("W/"))
    }
}
