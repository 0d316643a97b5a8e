//! The path of the destination as its state keeps it: as a digest under a random key, since the
//! path may contain a value from the environment.

use crate::digest::Digest;

const KEY_DIGITS: usize = 32;

/// The form of a path that the state keeps.
pub(super) fn sealed(path: &str) -> String {
    seal(&format!("{:032x}", fastrand::u128(..)), path)
}

/// Whether a sealed path is this one. Older states have the path itself.
pub(super) fn is_sealed(sealed: &str, path: &str) -> bool {
    sealed == path || sealed.get(..KEY_DIGITS).is_some_and(|key| seal(key, path) == sealed)
}

fn seal(key: &str, path: &str) -> String {
    format!("{key}:{}", Digest::of(format!("{key}:{path}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_path_is_known_again_and_does_not_show() {
        let one = sealed("/srv/s3cret");
        assert!(is_sealed(&one, "/srv/s3cret"));
        assert!(!is_sealed(&one, "/srv/other"));
        assert!(!one.contains("s3cret"));
        assert_ne!(one, sealed("/srv/s3cret"), "each has a key of its own");
        assert!(is_sealed("/srv/plain", "/srv/plain"));
        assert!(!is_sealed("", "/srv"));
    }
}
