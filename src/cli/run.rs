//! The entry point of the binary: from arguments to an exit code. Parses the arguments, runs the
//! command, and turns a panic into an error message and exit status 70.

use std::any::Any;
use std::ffi::OsString;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::cli;
use crate::cli::args::Cli;
use crate::ops::error::{ExitStatus, RunError};
use crate::report::{Console, Format, Settings, print_bug, print_error, print_usage};
use crate::threads::lock;

/// Runs natsync and returns the exit code for the process.
///
/// The first argument is the program's name. Results go to stdout; progress, warnings and errors go
/// to stderr.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let status = match Cli::try_parse_from(&args) {
        Ok(cli) => carry_out(&cli),
        Err(error) => refuse(&error, &args),
    };
    ExitCode::from(status as u8)
}

fn carry_out(cli: &Cli) -> ExitStatus {
    let console = Console::new(cli.global.settings(), &variable);
    let status = match catch(|| cli::run(&cli.command, &console)) {
        Ok(status) => status,
        Err(place) => {
            console.abandon_display();
            print_bug(&console, &place);
            ExitStatus::Bug
        }
    };
    match console.finish() {
        Ok(()) => status,
        Err(error) => lost_output(&console, &error, status),
    }
}

/// The exit status after standard output failed, for example because a disk is full.
fn lost_output(console: &Console, error: &RunError, status: ExitStatus) -> ExitStatus {
    print_error(console, error);
    let _ = console.finish();
    cli::worst(status, error.exit_status())
}

/// Prints help, the version, or an error of the command line.
fn refuse(error: &clap::Error, args: &[OsString]) -> ExitStatus {
    let wanted = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let is_json = args.iter().any(|arg| arg == "--json");
    let format = if is_json { Format::Json } else { Format::Human };
    let console = Console::new(Settings { format, ..Settings::default() }, &variable);
    if !wanted && console.is_in_workflow() {
        // clap quotes arguments as they are: `say` keeps them from being read as workflow commands.
        console.say(&error.render().to_string());
    } else {
        let printed = error.print().and_then(|()| std::io::stdout().flush());
        if wanted {
            return match printed {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    lost_output(&console, &RunError::Output(error), ExitStatus::Ok)
                }
                _ => ExitStatus::Ok,
            };
        }
    }
    if is_json {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default();
        print_usage(&console, message.strip_prefix("error: ").unwrap_or(message));
    }
    ExitStatus::Usage
}

/// Runs `work`. If it panics, returns the place of the panic in the source.
///
/// Replaces the panic hook, which would print the message: a message may quote a secret, such as an
/// error with a URL in it.
fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let first = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&first);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let mut first = lock(&noted);
        first.get_or_insert_with(|| describe(panic));
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(before);
    result.map_err(|_: Box<dyn Any + Send>| {
        let first = lock(&first).take();
        first.unwrap_or_else(|| "at an unknown place".to_owned())
    })
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(
        || "at an unknown place".to_owned(),
        |at| format!("at {}:{}", at.file(), at.line()),
    );
    // A `&'static str` is a literal of the source and holds no secret; a formatted message might.
    match panic.payload().downcast_ref::<&'static str>() {
        Some(text) => format!("{text}, {place}"),
        None => place,
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_shows_no_secret() {
        assert_eq!(catch(|| 7), Ok(7));
        let place = catch(|| panic!("the plan is lost")).unwrap_err();
        assert!(place.starts_with("the plan is lost, at src"), "{place}");
        let secret = String::from("canary");
        let place = catch(|| panic!("no answer from {secret}")).unwrap_err();
        assert!(place.starts_with("at src") && !place.contains("canary"), "{place}");
        let failing = |error: &String| -> Result<(), String> { Err(error.clone()) };
        let place = catch(|| failing(&secret).unwrap()).unwrap_err();
        assert!(!place.contains("canary"), "{place}");
    }

    #[test]
    fn help_succeeds_and_a_wrong_command_line_fails() {
        let status = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            Cli::try_parse_from(&args).map_err(|error| error.exit_code()).err()
        };
        assert_eq!(status(&["natsync", "--help"]), Some(0));
        assert_eq!(status(&["natsync", "--version"]), Some(0));
        assert_eq!(status(&["natsync"]), Some(2));
        assert_eq!(status(&["natsync", "aply"]), Some(2));
        assert_eq!(status(&["natsync", "list"]), None);
    }
}
