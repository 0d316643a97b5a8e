//! Walks a directory once and looks at each file: `walks natsync|walkdir THREADS DIRECTORY`. Prints
//! the number of files and their bytes. walkdir has one thread.

#![allow(clippy::disallowed_methods, reason = "a program of its own, with arguments")]

use std::error::Error;
use std::path::Path;

/// natsync's binary has the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [walk, threads, directory] = &arguments[..] else {
        return Err("usage: walks natsync|walkdir THREADS DIRECTORY".into());
    };
    let (files, bytes) = match &walk[..] {
        "natsync" => natsync::internals::walk(Path::new(directory), threads.parse()?)?,
        _ => walkdir(Path::new(directory))?,
    };
    println!("{files} {bytes}");
    Ok(())
}

fn walkdir(directory: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    let (mut files, mut bytes) = (0, 0);
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((files, bytes))
}
