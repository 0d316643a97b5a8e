//! `natsync report`

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::manifests::DEFAULT_MANIFEST;
use super::outputs;
use super::targets::{Target, for_each, load};
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

pub(super) fn run(args: &ReportArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let is_stdout = args.html == Path::new("-");
    let too_many = || RunError::usage("a report is about one manifest: name only one");
    if 1 < args.manifests.manifests.len() {
        return Err(too_many());
    }
    if is_stdout && console.is_json() {
        return Err(RunError::usage("the page and --json cannot both go to standard output"));
    }
    let targets = load(&args.manifests, console);
    // A directory may hold several.
    if targets.as_ref().is_ok_and(|targets| 1 < targets.len()) {
        return Err(too_many());
    }
    Ok(for_each(targets, None, console, |target| report(args, is_stdout, target, console)))
}

fn report(
    args: &ReportArgs,
    is_stdout: bool,
    target: Target,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    if !is_stdout {
        outputs::check("--html", &args.html, &manifest)?;
    }
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
    print_result(&args.html, &overview, page.len() as u64, console);
    Ok(ExitStatus::Ok)
}

/// Prints one line about the page that was written.
fn print_result(file: &Path, overview: &Overview, bytes: u64, console: &Console) {
    if console.is_json() {
        write_report(console, file, overview, bytes);
    } else if !console.is_quiet() {
        let (file, verdict) = (Untrusted::path(file), verdict(overview));
        console.result(&format!("{file}: {verdict} ({})\n", Bytes(bytes)));
    }
}

/// The command that fetches the files of the manifest, as the page shows it.
fn command(manifest: &Manifest) -> String {
    let file = manifest.file().to_string_lossy();
    if file == DEFAULT_MANIFEST {
        "natsync apply".to_owned()
    } else {
        format!("natsync apply {}", shell_word(&file))
    }
}

/// The links from the page to the files.
///
/// None if a folder name in them came from the environment: such a value may be a secret, and the
/// page may be published.
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

/// Replaces a file by its complete new content, or leaves it as it is.
fn write_whole(file: &Path, bytes: &[u8]) -> io::Result<()> {
    // A pipe or a device such as `/dev/stdout` cannot be replaced by a rename: write into it.
    if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        return File::options().write(true).open(file)?.write_all(bytes);
    }
    let mut draft = AtomicFile::create(file)?;
    draft.write_all(bytes)?;
    draft.publish()
}
