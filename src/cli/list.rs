//! `natsync list`

use super::exit::warn;
use super::shards::shard;
use super::targets::{Target, for_each, load};
use crate::cli::args::{ListArgs, ListFormat};
use crate::digest::Algorithm;
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, Form};
use crate::manifest::select::Selection;
use crate::ops;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::export::{Aria2, Export, Exported, Metalink, Sha256Sums};
use crate::pin::Pinned;
use crate::report::{Console, Count, Untrusted, fit, width_of, write_entry};

pub(super) fn run(args: &ListArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let format = match (args.format, console.is_json()) {
        (None | Some(ListFormat::Json), true) => ListFormat::Json,
        (None, false) => ListFormat::Table,
        (Some(format), false) => format,
        (Some(_), true) => {
            return Err(RunError::usage("--json cannot be combined with another --format"));
        }
    };
    let targets = load(&args.manifests, shard(&args.shard, None)?, console);
    let is_one = targets.as_ref().map_or(true, |targets| targets.len() <= 1);
    if format == ListFormat::Metalink && !is_one {
        return Err(RunError::usage("a Metalink file is about one manifest: name only one"));
    }
    Ok(for_each(targets, None, console, |target| list(format, &target, console)))
}

fn list(format: ListFormat, target: &Target, console: &Console) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    manifest.check()?;
    match format {
        ListFormat::Table => table(manifest, selection, console),
        ListFormat::Urls => urls(manifest, selection, console),
        ListFormat::Json => with_pins(target, console, "", |entry, pinned| {
            let sha256 = pinned.pin().and_then(|pin| pin.checksum(Algorithm::Sha256));
            write_entry(console, entry, sha256.map(|sha256| sha256.hex()));
        })?,
        ListFormat::Sha256sums => export(&Sha256Sums, target, console)?,
        ListFormat::Aria2 => export(&Aria2, target, console)?,
        ListFormat::Metalink => export(&Metalink, target, console)?,
    }
    match selection.unmatched(manifest) {
        Some(error) if console.is_open() => Err(error.into()),
        _ => Ok(ExitStatus::Ok),
    }
}

/// Calls `print` with each chosen entry, until the reader of the output has closed it.
fn each(
    manifest: &Manifest,
    selection: &Selection,
    console: &Console,
    mut print: impl FnMut(&Entry<'_>),
) {
    let mut path = String::new();
    for entry in manifest.entries().iter() {
        let chosen = selection.sees_source(entry.source()).unwrap_or_else(|| {
            path.clear();
            entry.write_path(&mut path);
            selection.matches(entry.source(), &path)
        });
        if chosen {
            print(&entry);
        }
        if !console.is_open() {
            return;
        }
    }
}

/// Calls `print` with each chosen entry and its pin. Writes `begin` before the first entry, but
/// only after the lock was read: an error leaves the output empty.
fn with_pins(
    target: &Target,
    console: &Console,
    begin: &str,
    mut print: impl FnMut(&Entry<'_>, &Pinned),
) -> Result<(), RunError> {
    let Target { manifest, selection } = target;
    let mut failed = None;
    ops::with_pins(manifest, |pin_of| {
        console.results(|writer| writer.write_all(begin.as_bytes()));
        each(manifest, selection, console, |entry| {
            if failed.is_some() {
                return;
            }
            match pin_of(entry) {
                Ok(pinned) => print(entry, &pinned),
                Err(error) => failed = Some(error),
            }
        });
    })?;
    failed.map_or(Ok(()), Err)
}

/// Writes the chosen entries in the format of another program. Warns of entries that the format
/// cannot hold.
fn export(form: &dyn Export, target: &Target, console: &Console) -> Result<(), RunError> {
    let mut lacking = 0;
    let mut hidden = false;
    let write = |text: &str| console.results(|writer| writer.write_all(text.as_bytes()));
    with_pins(target, console, &form.begin(), |entry, pinned| {
        // The lock says that upstream does not have the file.
        if *pinned == Pinned::Missing {
            return;
        }
        let file = Exported::new(entry, pinned.pin());
        hidden |= file.urls.first().is_some_and(|url| *url != entry.url(Form::Sent));
        match form.entry(&file) {
            Some(text) => write(&text),
            None => lacking += 1,
        }
    })?;
    write(&form.end());
    if 0 < lacking {
        let entries = Count::entries(lacking);
        warn(
            console,
            &format!(
                "{entries} left out: the format needs a digest that is not known, or cannot hold the URL; `natsync lock` adds digests"
            ),
        );
    }
    if hidden {
        warn(
            console,
            "values from the environment and passwords are not exported: some URLs do not work without them",
        );
    }
    Ok(())
}

fn urls(manifest: &Manifest, selection: &Selection, console: &Console) {
    let mut line = String::new();
    each(manifest, selection, console, |entry| {
        line.clear();
        entry.write_url(Form::Shown, &mut line);
        let escaped = Untrusted(&line).escaped();
        console.results(|writer| {
            writer.write_all(escaped.as_bytes())?;
            writer.write_all(b"\n")
        });
    });
}

/// The first entries decide the widths of the columns, so that a list of millions of entries starts
/// at once. A longer cell later on shifts the rest of its row.
const MEASURED: usize = 1000;
/// Blanks between columns.
const GAP: usize = 2;

fn table(manifest: &Manifest, selection: &Selection, console: &Console) {
    let mut rows = Rows { widths: [4, 6, 3], terminal: console.out_width(), console };
    let mut waiting: Option<Vec<[String; 3]>> = Some(Vec::new());
    each(manifest, selection, console, |entry| {
        let row = row(entry);
        match &mut waiting {
            None => rows.print(&row),
            Some(first) => {
                rows.measure(&row);
                first.push(row);
                if first.len() == MEASURED {
                    rows.print_all(&waiting.take().unwrap_or_default());
                }
            }
        }
    });
    if let Some(first) = waiting {
        rows.print_all(&first);
    }
}

fn row(entry: &Entry<'_>) -> [String; 3] {
    let mut path = String::new();
    entry.write_path(&mut path);
    [path, entry.source().name.clone(), entry.url(Form::Shown)]
        .map(|text| Untrusted(&text).to_string())
}

struct Rows<'a> {
    widths: [usize; 3],
    terminal: Option<usize>,
    console: &'a Console,
}

impl Rows<'_> {
    fn measure(&mut self, row: &[String; 3]) {
        for (width, text) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(width_of(text));
        }
    }

    fn print_all(&mut self, rows: &[[String; 3]]) {
        if rows.is_empty() {
            return;
        }
        self.share();
        self.print(&["PATH", "SOURCE", "URL"].map(str::to_owned));
        for row in rows {
            self.print(row);
        }
    }

    /// Fits the columns to a terminal's width. The source takes at most a fifth of it, and the path
    /// at most half of the rest; the URL takes what remains.
    fn share(&mut self) {
        let Some(terminal) = self.terminal else {
            return;
        };
        let room = terminal.saturating_sub(2 * GAP);
        let [path, source, url] = &mut self.widths;
        *source = (*source).min(room / 5);
        *path = (*path).min((room - *source) / 2);
        *url = room - *source - *path;
    }

    fn print(&self, row: &[String; 3]) {
        let [path, source, url] = row;
        let [path_width, source_width, url_width] = self.widths;
        let cut = |text, width| {
            if self.terminal.is_some() { fit(text, width) } else { text.into() }
        };
        let padded = |text, width: usize| {
            let text = cut(text, width);
            let padding = width.saturating_sub(width_of(&text)) + GAP;
            format!("{text}{:padding$}", "")
        };
        let url = cut(url, url_width);
        self.console.result(&format!(
            "{}{}{url}\n",
            padded(path, path_width),
            padded(source, source_width)
        ));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::testing::{Captured, WALLPAPERS, manifest};
    use crate::report::{Format, Settings};

    fn listed(format: ListFormat, only: &[&str], width: Option<usize>) -> String {
        let manifest = manifest(WALLPAPERS);
        let only: Vec<_> = only.iter().map(|&pattern| pattern.to_owned()).collect();
        let selection = Selection::new(&only, &manifest).unwrap();
        let captured =
            Captured::new(Settings { format: Format::Human, ..Settings::default() }, width);
        list(format, &Target { manifest, selection }, &captured.console).unwrap();
        captured.out()
    }

    #[test]
    fn a_table_has_columns() {
        let only = ["*-33[78].jpg", "poster-1.png"];
        assert_snapshot!(listed(ListFormat::Table, &only, None), @r"
        PATH          SOURCE      URL
        0817-337.jpg  wallpapers  http://ngm.example/img/0817-337.jpg
        0817-338.jpg  wallpapers  http://ngm.example/img/0817-338.jpg
        poster-1.png  posters     http://posters.example/poster-1.png
        ");
        let narrow = listed(ListFormat::Table, &only, Some(50));
        assert!(narrow.lines().all(|line| width_of(line) <= 50));
        assert_snapshot!(narrow, @r"
        PATH          SOURCE     URL
        0817-337.jpg  wall…pers  http://ngm.e…0817-337.jpg
        0817-338.jpg  wall…pers  http://ngm.e…0817-338.jpg
        poster-1.png  posters    http://poste…poster-1.png
        ");
    }

    #[test]
    fn urls_stand_alone() {
        assert_snapshot!(listed(ListFormat::Urls, &["*-[12].jpg"], None), @r"
        http://ngm.example/img/0817-1.jpg
        http://ngm.example/img/0817-2.jpg
        ");
        assert_eq!(listed(ListFormat::Urls, &[], None).lines().count(), 347);
    }

    #[test]
    fn json_has_an_object_a_line() {
        assert_snapshot!(listed(ListFormat::Json, &["poster-1.png"], None), @r#"
        {"type":"entry","source":"posters","path":"poster-1.png","url":"http://posters.example/poster-1.png","mirrors":[],"sha256":null}
        "#);
    }

    #[test]
    fn a_pattern_that_chooses_nothing_is_an_error() {
        let manifest = manifest(WALLPAPERS);
        let selection = Selection::new(&["x*".to_owned()], &manifest).unwrap();
        let captured = Captured::new(Settings::default(), None);
        let error =
            list(ListFormat::Urls, &Target { manifest, selection }, &captured.console).unwrap_err();
        assert_eq!(error.to_string(), "--only `x*` matches no entry of `natgeo`");
    }
}
