//! The lines of a list that have content.

use super::problem::ListProblem;

/// The lines with content, with their numbers from 1. It skips blank lines, comments, and the
/// header and signature of a signed message (RFC 9580, section 7). The signature is not verified.
pub(super) struct Lines<'c> {
    rest: Option<&'c [u8]>,
    number: usize,
    part: Part,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Plain,
    Head,
    Signed,
    Signature,
}

impl<'c> Lines<'c> {
    pub(super) fn new(content: &'c [u8]) -> Self {
        Self { rest: Some(content), number: 0, part: Part::Plain }
    }

    fn problem(&self, message: &str) -> ListProblem {
        ListProblem { line: Some(self.number), message: message.to_owned() }
    }
}

impl<'c> Iterator for Lines<'c> {
    type Item = Result<(usize, &'c [u8]), ListProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest {
            let (line, after) = match rest.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            self.rest = after;
            self.number += 1;
            let mut line = line.strip_suffix(b"\r").unwrap_or(line);
            match self.part {
                Part::Plain if line == b"-----BEGIN PGP SIGNED MESSAGE-----" => {
                    self.part = Part::Head;
                    continue;
                }
                Part::Head if line.is_empty() => {
                    self.part = Part::Signed;
                    continue;
                }
                Part::Head if line.starts_with(b"Hash: ") => continue,
                Part::Head => {
                    self.rest = None;
                    return Some(Err(
                        self.problem("the head of a signed message can have only `Hash:` lines")
                    ));
                }
                Part::Signed if line == b"-----BEGIN PGP SIGNATURE-----" => {
                    self.part = Part::Signature;
                    continue;
                }
                Part::Signature => {
                    if line == b"-----END PGP SIGNATURE-----" {
                        self.part = Part::Plain;
                    }
                    continue;
                }
                Part::Signed => line = line.strip_prefix(b"- ").unwrap_or(line),
                Part::Plain => {}
            }
            if !line.trim_ascii().is_empty() && !line.starts_with(b"#") {
                return Some(Ok((self.number, line)));
            }
        }
        if self.part == Part::Plain {
            return None;
        }
        self.part = Part::Plain;
        Some(Err(self.problem("the signed message is cut short")))
    }
}
