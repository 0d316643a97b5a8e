//! The results of `verify` for people: a line for each modified or missing file, and a summary.

use super::console::Console;
use super::escape::Untrusted;
use super::names::Names;
use super::tee::Closing;
use super::text::wrap;
use super::units::{Bytes, Count, Elapsed, Rate};
use crate::event::{Event, Finding, Reporter, Verified};
use crate::manifest::Manifest;
use crate::ops::Findings;

/// Prints the findings about the files of one manifest.
pub(crate) struct Verdicts<'a> {
    console: &'a Console,
    names: Names<'a>,
}

impl<'a> Verdicts<'a> {
    /// A reporter that prints to `console`.
    #[must_use]
    pub(crate) fn new(console: &'a Console, manifest: &'a Manifest) -> Self {
        Self { console, names: Names::new(manifest) }
    }

    fn is_printed(&self, verified: &Verified) -> bool {
        match verified.finding {
            Finding::Modified | Finding::Gone => true,
            Finding::Unknown => verified.failure.is_some() || self.console.is_verbose(),
            Finding::Ok | Finding::Absent => self.console.is_verbose(),
        }
    }

    fn line(&self, path: &str, verified: &Verified) -> String {
        let paint = self.console.out_paint();
        let (symbol, style) = match verified.finding {
            Finding::Ok => ('=', paint.dim()),
            Finding::Modified => ('~', paint.error()),
            Finding::Gone => ('!', paint.error()),
            Finding::Unknown => ('?', paint.warning()),
            Finding::Absent => ('.', paint.dim()),
        };
        let why = match &verified.failure {
            Some(failure) => format!("  {}", Untrusted(&failure.message)),
            None => String::new(),
        };
        let finding = verified.finding.as_str();
        format!("  {style}{symbol} {finding:<8}{style:#}  {}{why}\n", Untrusted(path))
    }
}

impl Reporter for Verdicts<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Verified { entry, verified } = event
            && self.is_printed(verified)
        {
            self.console.result(&self.line(&self.names.path(*entry), verified));
        }
    }
}

impl Closing<Findings> for Verdicts<'_> {
    fn close(&mut self, findings: &Findings) {
        if self.console.is_quiet() {
            return;
        }
        let bold = self.console.out_paint().bold();
        let name = Untrusted(self.names.manifest().name()).escaped();
        let line = wrap(&format!("{name}: {}", describe(findings)), self.console.out_width());
        let account = line.strip_prefix(&*name).unwrap_or(&line);
        self.console.result(&format!("{bold}{name}{bold:#}{account}\n"));
    }
}

/// `300 ok, 1 modified, 2 gone in 0.9 s (1.2 GB at 1.3 GB/s)`
fn describe(findings: &Findings) -> String {
    let counts = [
        (findings.ok, "ok"),
        (findings.modified, "modified"),
        (findings.gone, "gone"),
        (findings.unknown, "unknown"),
        (findings.absent, "absent"),
    ];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| 0 < *count)
        .map(|(count, finding)| format!("{count} {finding}"))
        .collect();
    let counts = if counts.is_empty() { Count::files(0).to_string() } else { counts.join(", ") };
    let read = match findings.bytes {
        0 => String::new(),
        bytes => format!(" ({} at {})", Bytes(bytes), Rate::of(bytes, findings.elapsed)),
    };
    format!("{counts} in {}{read}", Elapsed(findings.elapsed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::digest::Digest;
    use crate::failure::{ErrorKind, Failure};
    use crate::manifest::entry::EntryIndex;
    use crate::report::testing::{Captured, ONE_SOURCE, manifest};
    use crate::report::{Settings, Verbosity};

    fn told(verbosity: Verbosity) -> String {
        let manifest = manifest(ONE_SOURCE);
        let captured = Captured::new(Settings { verbosity, ..Settings::default() }, Some(80));
        let mut verdicts = Verdicts::new(&captured.console, &manifest);
        let sha256 = Some(Digest::of(b""));
        let unreadable = Failure::new(ErrorKind::Io, "cannot read the file: permission denied");
        for (index, (finding, sha256, failure)) in (0..).zip([
            (Finding::Ok, sha256, None),
            (Finding::Modified, sha256, None),
            (Finding::Gone, None, None),
            (Finding::Unknown, None, None),
            (Finding::Unknown, None, Some(unreadable)),
            (Finding::Absent, None, None),
        ]) {
            let verified = Verified { finding, sha256, failure };
            verdicts.event(&Event::Verified { entry: EntryIndex(index), verified });
        }
        verdicts.close(&Findings {
            ok: 1,
            modified: 1,
            gone: 1,
            unknown: 2,
            absent: 1,
            unreadable: 1,
            bytes: 2_000_000,
            elapsed: Duration::from_millis(100),
        });
        captured.out()
    }

    #[test]
    fn modified_and_missing_files_are_listed() {
        assert_snapshot!(told(Verbosity::Normal), @r"
          ~ modified  0817-2.jpg
          ! gone      0817-3.jpg
          ? unknown   0817-5.jpg  cannot read the file: permission denied
        natgeo: 1 ok, 1 modified, 1 gone, 2 unknown,
            1 absent in 0.1 s (2.0 MB at 20.0 MB/s)
        ");
    }

    #[test]
    fn verbose_lists_every_file() {
        assert_snapshot!(told(Verbosity::Verbose), @r"
          = ok        0817-1.jpg
          ~ modified  0817-2.jpg
          ! gone      0817-3.jpg
          ? unknown   0817-4.jpg
          ? unknown   0817-5.jpg  cannot read the file: permission denied
          . absent    0817-6.jpg
        natgeo: 1 ok, 1 modified, 1 gone, 2 unknown,
            1 absent in 0.1 s (2.0 MB at 20.0 MB/s)
        ");
        assert_eq!(told(Verbosity::Quiet).lines().count(), 3, "findings are results");
    }
}
