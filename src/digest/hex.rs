//! Hexadecimal digits of bytes.

use std::fmt;

/// Writes bytes as lowercase digits.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Fills bytes from digits of either case. `None` if the text is anything else, or has another
/// number of digits; then some of the bytes may be filled.
pub(crate) fn read_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_of_the_right_number_are_read() {
        for (text, expected) in [
            ("00fF", Some([0, 255])),
            ("+1-1", None),
            ("0x11", None),
            ("000", None),
            ("00000", None),
            ("\u{e9}\u{e9}", None),
        ] {
            let mut bytes = [0; 2];
            assert_eq!(read_hex(text, &mut bytes).map(|()| bytes), expected, "{text}");
        }
    }
}
