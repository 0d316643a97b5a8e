//! `natsync init`

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::manifests::{DEFAULT_MANIFEST, OTHER_DEFAULT};
use crate::atomic_file::AtomicFile;
use crate::cli::args::InitArgs;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::init::{self, Frame, Made, make, read_arguments, read_list};
use crate::report::{Console, Count, Untrusted, write_made};

/// The argument that means standard input or standard output.
const STREAM: &str = "-";
/// Longest list that is read, in bytes. A bound, because the whole list is held in memory.
const LARGEST: u64 = 64 * 1024 * 1024;

pub(super) fn run(args: &InitArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let file = args.output.as_deref().unwrap_or(Path::new(DEFAULT_MANIFEST));
    let is_stream = file == Path::new(STREAM);
    // Checked before the list is read: the user may be typing it on standard input.
    if is_stream && console.is_json() {
        return Err(RunError::usage("--json and `-o -` would both write to standard output"));
    }
    if !is_stream && !args.force && file.symlink_metadata().is_ok() {
        return Err(RunError::Usage {
            message: format!("`{}` already exists", file.display()),
            hint: Some("`--force` replaces it; `-o FILE` writes another one".to_owned()),
        });
    }
    if args.output.is_none() && Path::new(OTHER_DEFAULT).symlink_metadata().is_ok() {
        return Err(RunError::Usage {
            message: format!(
                "`{OTHER_DEFAULT}` already exists: `{DEFAULT_MANIFEST}` would be a second default manifest"
            ),
            hint: Some("`-o FILE` writes another one".to_owned()),
        });
    }
    let made = make(
        read(args)?,
        &frame(args),
        if is_stream { Path::new(DEFAULT_MANIFEST) } else { file },
    )?;
    if is_stream {
        console.result(&made.text);
    } else {
        let failed = |source| RunError::Unwritable { what: "the manifest", source };
        let mut draft = AtomicFile::create(file).map_err(failed)?;
        draft.write_all(made.text.as_bytes()).and_then(|()| draft.publish()).map_err(failed)?;
    }
    print_result(&made, file, args, console);
    Ok(ExitStatus::Ok)
}

/// Reads the URLs of the arguments, of standard input and of `--from`.
fn read(args: &InitArgs) -> Result<init::Input, RunError> {
    let (stream, urls): (Vec<_>, Vec<_>) = args.urls.iter().cloned().partition(|url| url == STREAM);
    let mut input = read_arguments(&urls)?;
    let base = args.base_url.as_deref();
    let mut add = |content: &[u8], name: &str| -> Result<(), RunError> {
        let list = read_list(content, name, args.format, base)?;
        input.files.extend(list.files);
        input.notes.extend(list.notes);
        Ok(())
    };
    if !stream.is_empty() {
        add(&limited(io::stdin().lock(), "standard input")?, "")?;
    }
    if let Some(file) = &args.from {
        let name = file.display().to_string();
        let open = File::open(file)
            .map_err(|error| RunError::usage(format!("cannot read `{name}`: {error}")))?;
        let title = file.file_name().map(|title| title.to_string_lossy()).unwrap_or_default();
        add(&limited(open, &name)?, &title)?;
    }
    Ok(input)
}

fn limited(from: impl io::Read, name: &str) -> Result<Vec<u8>, RunError> {
    let mut content = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut content)
        .map_err(|error| RunError::usage(format!("cannot read `{name}`: {error}")))?;
    if LARGEST < content.len() as u64 {
        return Err(RunError::usage(format!("`{name}` has more than {LARGEST} bytes")));
    }
    Ok(content)
}

fn frame(args: &InitArgs) -> Frame {
    Frame { name: args.name.clone(), dest: args.dest.clone() }
}

fn print_result(made: &Made, file: &Path, args: &InitArgs, console: &Console) {
    if console.is_json() {
        return write_made(console, file, made);
    }
    let paint = console.err_paint();
    let (bold, note) = (paint.bold(), paint.note());
    for line in &made.notes {
        console.remark(&format!("  {}\n", Untrusted(line)));
    }
    if file == Path::new(STREAM) {
        return;
    }
    let shown = Untrusted::path(file);
    let entries = Count::entries(made.entries);
    let dest = Untrusted(&args.dest);
    console.remark(&format!("{bold}{shown}{bold:#} declares {entries}, which go to {dest}\n"));
    let named = if file == Path::new(DEFAULT_MANIFEST) {
        String::new()
    } else {
        format!(" {}", crate::manifest::select::shell_word(&file.to_string_lossy()))
    };
    let named = Untrusted(&named);
    console.remark(&format!(
        "{note}next:{note:#} `natsync plan{named}` shows what would be fetched, `natsync apply{named}` fetches it\n"
    ));
}
