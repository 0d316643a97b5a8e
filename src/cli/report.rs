//! `natsync report`

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::{Target, for_each, load, told};
use crate::atomic_file::AtomicFile;
use crate::cli::args::ReportArgs;
use crate::manifest::Manifest;
use crate::manifest::select::shell_word;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::overview::Overview;
use crate::ops::{self, Options};
use crate::report::page::{Links, render, verdict};
use crate::report::{Bytes, Console, Talk, Untrusted, write_report};
use crate::stop::Stop;

pub(super) fn run(args: &ReportArgs, console: &Console) -> Result<ExitStatus, ExitStatus> {
    let is_stdout = args.html == Path::new("-");
    let refusal = match (1 < args.manifests.manifests.len(), is_stdout && console.is_json()) {
        (true, _) => Some("a report is of one manifest: name one"),
        (_, true) => Some("the page and --json cannot both go to standard output"),
        _ => None,
    };
    if let Some(refusal) = refusal {
        return Err(told(console, &RunError::usage(refusal)));
    }
    let targets = load(&args.manifests, console)?;
    Ok(for_each(targets, None, console, |target| report(args, is_stdout, target, console)))
}

fn report(
    args: &ReportArgs,
    is_stdout: bool,
    target: Target,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options { selection, ..Options::default() };
    let mut talk = Talk::new(console, &manifest);
    let overview = ops::overview(&manifest, &options, &Stop::default(), &mut talk)?;
    talk.finish();
    let failed =
        |source| RunError::Storage { doing: "write the report", path: args.html.clone(), source };
    let folder = if is_stdout { Path::new(".") } else { folder_of(&args.html) };
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let links = links(&folder, &manifest);
    let page = render(&overview, links.as_ref(), &command(&manifest))
        .map_err(|error| failed(io::Error::other(error)))?;
    if is_stdout {
        console.results(|writer| writer.write_all(page.as_bytes()));
        return Ok(ExitStatus::Ok);
    }
    write_whole(&args.html, page.as_bytes()).map_err(failed)?;
    tell(&args.html, &overview, page.len() as u64, console);
    Ok(ExitStatus::Ok)
}

/// One line that says what was written.
fn tell(file: &Path, overview: &Overview, bytes: u64, console: &Console) {
    if console.is_json() {
        write_report(console, file, overview, bytes);
    } else if !console.is_quiet() {
        let (file, verdict) = (Untrusted::path(file), verdict(overview));
        console.result(&format!("{file}: {verdict} ({})\n", Bytes(bytes)));
    }
}

/// What one runs to fetch the files.
fn command(manifest: &Manifest) -> String {
    let file = manifest.file().to_string_lossy();
    if file == super::DEFAULT_MANIFEST {
        "natsync apply".to_owned()
    } else {
        format!("natsync apply {}", shell_word(&file))
    }
}

/// The way from the page to the files. A name that came from the environment may not stand in it.
fn links(folder: &Path, manifest: &Manifest) -> Option<Links> {
    let dest = fs::canonicalize(manifest.dest()).ok()?;
    let links = Links::between(folder, &dest);
    let is_hidden = manifest.shown_dest().contains("${");
    (!is_hidden || !links.names_folders()).then_some(links)
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Puts a file in place whole, or leaves what is there.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // What is no file, as a pipe or `/dev/stdout`, is written to as it is.
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return File::options().write(true).open(file)?.write_all(bytes);
    }
    let mut draft = AtomicFile::create(file)?;
    draft.write_all(bytes)?;
    draft.publish()
}
