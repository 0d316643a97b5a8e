//! What the status of a response says about a later request.

/// Whether the same request may succeed later. `names_pause`: the response has a `Retry-After`.
///
/// Beside the transient statuses of RFC 9110, RFC 6585 and RFC 8470: 509 and 529 are the overload of
/// hosting services, 520 to 527 and 530 a proxy's report on the server behind it, 598 and 599 its
/// timeouts.
pub(super) fn is_transient(status: u16, names_pause: bool) -> bool {
    match status {
        408 | 421 | 425 | 429 | 500 | 502..=504 | 509 | 520..=527 | 529 | 530 | 598 | 599 => true,
        // The file is being made, or the client is throttled.
        202 | 403 => names_pause,
        _ => false,
    }
}

/// Whether the status asks for fewer requests.
pub(crate) fn is_objection(status: u16) -> bool {
    matches!(status, 429 | 503 | 509 | 529)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_transient_or_final() {
        let transient: Vec<_> = (100..1000).filter(|&status| is_transient(status, false)).collect();
        assert_eq!(
            transient,
            [
                408, 421, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524, 525, 526,
                527, 529, 530, 598, 599
            ]
        );
        let named: Vec<_> = (100..1000)
            .filter(|&status| is_transient(status, true) && !is_transient(status, false))
            .collect();
        assert_eq!(named, [202, 403]);
        assert!((100..1000).all(|status| !is_objection(status) || is_transient(status, false)));
    }
}
