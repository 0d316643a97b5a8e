//! The JSON objects, whose fields and order are a promise, and how they are written.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::report::console::Console;
use crate::report::escape::is_hostile;
use crate::report::workflow::Lookout;

/// An action of `plan`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ActionLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) action: &'static str,
    pub(super) reason: &'static str,
    /// None of what is not declared.
    pub(super) source: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) size: Option<u64>,
}

/// The end of `plan`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PlanSummaryLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) fetch: u64,
    pub(super) replace: u64,
    pub(super) revalidate: u64,
    pub(super) keep: u64,
    pub(super) absent: u64,
    pub(super) prune: u64,
}

/// What a plan does of one source, or at one host, where there are several; before its summary.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct TotalLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) manifest: &'a str,
    /// The source; null where it is about a host.
    pub(super) source: Option<&'a str>,
    /// The host, with its port where that is not the usual one; null where it is about a source. Beyond a thousand
    /// hosts, the last has no name and stands for the rest.
    pub(super) host: Option<&'a str>,
    pub(super) fetch: u64,
    pub(super) replace: u64,
    pub(super) revalidate: u64,
    pub(super) keep: u64,
    pub(super) absent: u64,
    /// Bytes to transfer, as far as sizes are known.
    pub(super) bytes: u64,
    /// Of how many entries to transfer the size is not known.
    pub(super) unknown_sizes: u64,
}

/// The outcome of an entry.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ResultLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) outcome: &'static str,
    /// None of what is not declared.
    pub(super) source: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) bytes: u64,
    pub(super) sha256: Option<String>,
    pub(super) attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// Why it failed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailureObject<'a> {
    pub(super) kind: &'static str,
    pub(super) status: Option<u16>,
    pub(super) message: &'a str,
}

/// The end of `apply`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SummaryLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) downloaded: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) kept: u64,
    pub(super) absent: u64,
    pub(super) pruned: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pinned: Option<u64>,
    pub(super) bytes: u64,
    pub(super) elapsed_ms: u64,
}

/// How a lock and its manifest differ (`lock --check`).
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct DriftLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) pinned: u64,
    pub(super) unpinned: u64,
    pub(super) differing: u64,
    pub(super) undeclared: u64,
}

/// What `verify` found of a file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerifiedLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) result: &'static str,
    pub(super) path: &'a str,
    pub(super) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// The end of `verify`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerifySummaryLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) ok: u64,
    pub(super) modified: u64,
    pub(super) gone: u64,
    pub(super) unknown: u64,
    pub(super) absent: u64,
    pub(super) bytes: u64,
    pub(super) elapsed_ms: u64,
}

/// The end of `report`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ReportSummaryLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) present: u64,
    pub(super) absent: u64,
    pub(super) failed: u64,
    pub(super) changed: u64,
    pub(super) deleted: u64,
    pub(super) untried: u64,
    pub(super) file: &'a str,
    pub(super) bytes: u64,
}

/// An entry of `list`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct EntryLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) source: &'a str,
    pub(super) path: &'a str,
    pub(super) url: &'a str,
    pub(super) mirrors: &'a [String],
    pub(super) sha256: Option<String>,
}

/// A manifest that `init` made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct InitLine<'a> {
    pub(super) r#type: &'static str,
    /// Where it was written.
    pub(super) file: &'a str,
    pub(super) sources: u64,
    pub(super) entries: u64,
    /// What was found and what was left out, for people.
    pub(super) notes: &'a [String],
}

/// An error, with its place in a manifest where it has one.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
}

/// An entry that did not come to a good end (`--failed`).
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailedLine<'a> {
    pub(super) r#type: &'static str,
    pub(super) manifest: &'a str,
    pub(super) source: &'a str,
    pub(super) path: &'a str,
    pub(super) url: &'a str,
    pub(super) outcome: &'static str,
    /// None of what was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// Writes an object as a line of results.
pub(super) fn write_line(console: &Console, line: &impl Serialize) {
    console.results(|writer| write_line_to(writer, line));
}

/// Writes an object as a line.
pub(super) fn write_line_to(writer: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    line.serialize(&mut Serializer::with_formatter(&mut *writer, Harmless))?;
    writer.write_all(b"\n")
}

/// Compact JSON in whose strings no character steers a terminal, or is taken for a command where a log is read for them.
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
                // All of them lie in the basic plane, so that four digits are enough.
                write!(writer, "\\u{:04x}", u32::from(character))?;
                copied = at + character.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[copied..])
    }
}
