//! Writes the JSON objects as lines.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::{Formatter, Serializer};

use super::objects::Line;
use crate::report::console::Console;
use crate::report::escape::is_hostile;
use crate::report::workflow::Lookout;

/// Writes a line to standard output.
pub(super) fn write_line(console: &Console, line: &Line<'_>) {
    console.results(|writer| write_line_to(writer, line));
}

pub(super) fn write_line_to(writer: &mut dyn Write, line: &Line<'_>) -> io::Result<()> {
    line.serialize(&mut Serializer::with_formatter(&mut *writer, Harmless))?;
    writer.write_all(b"\n")
}

/// Compact JSON. In strings, escapes characters that could steer a terminal, or that GitHub Actions
/// would read as a workflow command.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut lookout = Lookout::within_line();
        let mut copied = 0;
        for (at, character) in fragment.char_indices() {
            if is_hostile(character) || lookout.forges(character) {
                writer.write_all(&fragment.as_bytes()[copied..at])?;
                // All of these characters are in the Basic Multilingual Plane: four digits suffice.
                write!(writer, "\\u{:04x}", u32::from(character))?;
                copied = at + character.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[copied..])
    }
}
