//! The head of an HTTP/1.1 response as servers really send it.
//!
//! Fields that break the grammar of RFC 9112, section 5, are left out, and folded ones are unfolded,
//! since neither changes where the body ends. A malformed line that may be `Content-Length`,
//! `Transfer-Encoding` or `Connection` is refused: another recipient could read it differently.

use std::fmt;

/// In bytes: a limit against hostile servers. Bodies pass through a buffer of this size, too.
pub(super) const LARGEST_HEAD: usize = 256 * 1024;
/// The parser refuses larger lengths without saying why.
const LARGEST_LENGTH: u64 = u64::MAX - 2;
/// The longest part of a line that a message quotes, in bytes.
const QUOTED: usize = 80;

/// A line that leaves the end of the body in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// From 1, which is the status line.
    line: usize,
    /// Its beginning, without control characters.
    text: String,
}

impl Malformed {
    fn new(line: usize, bytes: &[u8]) -> Self {
        let quoted = String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTED)]);
        let text = quoted.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { line, text }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text } = self;
        write!(f, "line {line} of the answer's head leaves the end of the file in doubt: `{text}`")
    }
}

impl std::error::Error for Malformed {}

/// What the bytes that follow a request begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The head has not come completely.
    Partial,
    /// Not the head of an HTTP/1 response.
    Other,
    /// A head of that many bytes. `interim`: another one follows (RFC 9110, section 15.2).
    Head { length: usize, interim: bool },
}

/// Looks for a head at the beginning of `bytes`. The first `known` bytes have no end of a head.
pub(super) fn beginning(bytes: &[u8], known: usize) -> Beginning {
    const VERSION: &[u8] = b"HTTP/1.";
    // Empty lines before a status line are allowed (RFC 9112, section 2.2).
    let Some(start) = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')) else {
        return Beginning::Partial;
    };
    let rest = &bytes[start..];
    if !rest.starts_with(VERSION) {
        let is_cut = VERSION.starts_with(rest);
        return if is_cut { Beginning::Partial } else { Beginning::Other };
    }
    // The end of a head is an empty line: a line feed, perhaps a carriage return, a line feed.
    let mut at = start.max(known.saturating_sub(2));
    while let Some(found) = memchr::memchr(b'\n', &bytes[at..]) {
        at += found + 1;
        let empty = match bytes[at..] {
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => continue,
        };
        let interim = rest.get(9) == Some(&b'1') && !rest[9..].starts_with(b"101");
        return Beginning::Head { length: at + empty, interim };
    }
    Beginning::Partial
}

/// The head as a strict parser reads it; none if that is as it came.
///
/// # Errors
/// When a line leaves the end of the body in doubt.
pub(super) fn mended(head: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut kept = Vec::new();
    let (mut differs, mut length) = (false, None);
    let mut before: &[u8] = b"";
    // The last field, if continuation lines may follow.
    let mut last = Last::None;
    let lines =
        head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (number, line) in lines.skip_while(|line| line.is_empty()).enumerate() {
        let malformed = || Malformed::new(number + 1, line);
        if number == 0 {
            let sound = line.iter().take_while(|&&byte| is_text(byte)).count();
            differs |= sound < line.len();
            kept.push(std::borrow::Cow::Borrowed(&line[..sound]));
            continue;
        }
        if line.is_empty() {
            break;
        }
        if let [b' ' | b'\t', ..] = line {
            differs = true;
            let more = line.trim_ascii();
            if last == Last::Framing {
                return Err(Malformed::new(number + 1, &[before, more].join(&b' ')));
            }
            // The field before it frames nothing, and may be a secret, such as `Set-Cookie`.
            if may_frame(more) {
                return Err(Malformed::new(number + 1, more));
            }
            if last == Last::Kept
                && more.iter().all(|&byte| is_text(byte))
                && let Some(field) = kept.last_mut()
            {
                let field = field.to_mut();
                field.push(b' ');
                field.extend_from_slice(more);
            }
            continue;
        }
        before = line;
        let Some((name, value)) = field(line) else {
            if may_frame(line) {
                return Err(malformed());
            }
            differs = true;
            last = Last::Dropped;
            continue;
        };
        last = Last::Kept;
        if name.eq_ignore_ascii_case(b"content-length") {
            last = Last::Framing;
            let number = std::str::from_utf8(value)
                .ok()
                .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
            let number = number.and_then(|text| text.parse::<u64>().ok());
            match number.filter(|number| *number <= LARGEST_LENGTH) {
                Some(number) if length.is_none_or(|other| other == number) => length = Some(number),
                _ => return Err(malformed()),
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            last = Last::Framing;
            if value.eq_ignore_ascii_case(b"identity") {
                differs = true;
                continue;
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed());
            }
        } else if name.eq_ignore_ascii_case(b"connection") {
            last = Last::Framing;
        }
        kept.push(std::borrow::Cow::Borrowed(line));
    }
    Ok(differs.then(|| {
        let mut head = Vec::with_capacity(head.len());
        for line in kept {
            head.extend_from_slice(&line);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }))
}

/// The field to which a continuation line would belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    None,
    Kept,
    Framing,
    Dropped,
}

/// Name and value of a field that has the form of RFC 9112, section 5.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_sound =
        !name.is_empty() && name.iter().all(|&b| is_token(b)) && value.iter().all(|&b| is_text(b));
    is_sound.then(|| (name, value.trim_ascii()))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the value of a field may consist of (RFC 9110, section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (b' ' <= byte && byte != 0x7f)
}

/// Whether another recipient could read a malformed line as a field that frames the body.
fn may_frame(line: &[u8]) -> bool {
    line.split(|&byte| byte == b'\r').any(|line| {
        let colon = memchr::memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let letters: Vec<u8> = name
            .iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .map(u8::to_ascii_lowercase)
            .collect();
        match colon {
            Some(_) => {
                [&b"contentlength"[..], b"transferencoding", b"connection"].contains(&&letters[..])
            }
            None => {
                letters.starts_with(b"contentlength") || letters.starts_with(b"transferencoding")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(head: &str) -> Result<Option<String>, Malformed> {
        mended(head.as_bytes()).map(|head| head.map(|head| String::from_utf8(head).unwrap()))
    }

    #[test]
    fn an_error_quotes_no_field_before_a_folded_line_that_frames_nothing() {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: secret\r\n Content-Length: 5\r\n\r\n";
        let malformed = text(head).unwrap_err().to_string();
        assert!(!malformed.contains("secret"), "{malformed}");
        assert!(malformed.contains("`Content-Length: 5`"), "{malformed}");
    }

    #[test]
    fn a_sound_head_stays_as_it_came() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200\r\nA: b\r\nContent-Length: 5\r\nC:d\r\n\r\n",
            "HTTP/1.0 200 OK\nA: b\n\n",
            "\r\nHTTP/1.1 404 Nö\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\nX: ü\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length:5 \r\nEmpty:\r\n\r\n",
        ] {
            assert_eq!(text(head), Ok(None), "{head}");
        }
    }

    #[test]
    fn what_frames_nothing_is_left_out_or_unfolded() {
        for (line, left) in [
            ("X : a", ""),
            ("PHP Warning:  x", ""),
            ("no colon", ""),
            (": v", ""),
            ("Ä: v", ""),
            ("X: a\u{1}", ""),
            ("X: a\rb", ""),
            (" X: a", ""),
            ("X: a\r\n b\r\n\tc", "X: a b c\r\n"),
            ("X : a\r\n b", ""),
            ("X: a\r\n \u{1}", "X: a\r\n"),
            ("X-Content-Length : 5", ""),
            ("Connection refused by the database", ""),
            ("Transfer-Encoding: identity", ""),
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{line}\r\nA: b\r\n\r\n");
            let expected = format!("HTTP/1.1 200 OK\r\n{left}A: b\r\n\r\n");
            assert_eq!(text(&head), Ok(Some(expected)), "{line}");
        }
        let reason = "HTTP/1.1 200 O\u{1}K\r\nA: b\r\n\r\n";
        assert_eq!(text(reason), Ok(Some("HTTP/1.1 200 O\r\nA: b\r\n\r\n".to_owned())));
    }

    #[test]
    fn what_may_frame_the_body_is_refused() {
        for line in [
            "Content-Length : 5",
            "content-length\t: 5",
            "Content Length: 5",
            "Content_Length : 5",
            "Content-Length 5",
            "Content-Length: 5, 5",
            "Content-Length: -5",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length: 18446744073709551615",
            "Content-Length: 18446744073709551614",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 5\r\n 5",
            "Connection: close\r\n , x",
            "Connection : close",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: identity\r\n , chunked",
            "Transfer-Encoding chunked",
            "X: a\rContent-Length: 5",
            "X: a\r\n Content-Length: 5",
            " Transfer-Encoding: chunked",
            "\u{b}Content-Length: 5",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{line}\r\nA: b\r\n\r\n");
            let malformed = text(&head).unwrap_err();
            // A folded line is quoted with the field before it only if that frames the body.
            let unfolded = line.replace("X: a\r\n ", "").replace("\r\n ", " ");
            let last = unfolded.trim_start_matches(' ').rsplit("\r\n").next().unwrap();
            let shown = last.replace(|c: char| c.is_control(), " ");
            assert!(malformed.to_string().contains(&format!("`{shown}`")), "{malformed}");
        }
    }

    proptest::proptest! {
        /// A mended head needs no mending, and its end is where the parser finds it.
        #[test]
        fn mending_is_idempotent(pieces in proptest::collection::vec(0_usize..18, 0..12)) {
            const PIECES: [&str; 18] = [
                "\r\n", "\n", "\r", " ", "\t", ":", ": ", "a", "X", "\u{1}", "5", "Content-Length", "identity",
                "Transfer-Encoding", "chunked", "Connection", "close", "\r\n ",
            ];
            let lines: String = pieces.iter().map(|&piece| PIECES[piece]).collect();
            let head = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
            let Beginning::Head { length, .. } = beginning(head.as_bytes(), 0) else {
                panic!("{head:?}")
            };
            if let Ok(Some(better)) = mended(&head.as_bytes()[..length]) {
                let found = Beginning::Head { length: better.len(), interim: false };
                proptest::prop_assert_eq!(beginning(&better, 0), found);
                proptest::prop_assert_eq!(mended(&better), Ok(None), "{:?}", better);
            }
        }
    }

    #[test]
    fn a_head_is_found_however_it_comes() {
        let whole = b"\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
        let length = whole.len() - b"body\r\n\r\n".len();
        for cut in 0..=whole.len() {
            let expected = if cut < length {
                Beginning::Partial
            } else {
                Beginning::Head { length, interim: false }
            };
            for known in 0..cut.min(length) {
                assert_eq!(beginning(&whole[..cut], known), expected, "{cut} {known}");
            }
        }
        for (bytes, expected) in [
            (&b"HTTP/1.1 103 Early\n\n"[..], Beginning::Head { length: 20, interim: true }),
            (b"HTTP/1.1 101 Other\n\n", Beginning::Head { length: 20, interim: false }),
            (b"HTTP/1", Beginning::Partial),
            (b"HTTP/2", Beginning::Other),
            (b"SSH-2.0", Beginning::Other),
        ] {
            assert_eq!(beginning(bytes, 0), expected);
        }
    }
}
