//! Tells an error page from a file by its first bytes.

/// Whether these first bytes are those of an HTML page.
pub(crate) fn is_html(beginning: &[u8]) -> bool {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning).trim_ascii_start();
    [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|mark| text.len() >= mark.len() && text[..mark.len()].eq_ignore_ascii_case(mark))
}

#[cfg(test)]
mod tests {
    use super::is_html;

    #[test]
    fn pages_are_known() {
        assert!(is_html(b"<!DOCTYPE html><title>"));
        assert!(is_html(b"\xef\xbb\xbf \n<HTML lang=en>"));
        assert!(!is_html(b"<svg xmlns"));
        assert!(!is_html(b"\xff\xd8\xff\xe0"));
    }
}
