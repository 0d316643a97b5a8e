//! `natsync completions` and `natsync man`. Both are generated from the definition in `args`.

use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::atomic_file::AtomicFile;
use crate::cli::args::{Cli, CompletionsArgs, ManArgs, ShellName};
use crate::ops::error::{ExitStatus, RunError};
use crate::report::Console;

const NAME: &str = "natsync";

pub(super) fn completions(
    args: CompletionsArgs,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let shell = match args.shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Elvish => Shell::Elvish,
        ShellName::Fish => Shell::Fish,
        ShellName::Powershell => Shell::PowerShell,
        ShellName::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    console.results(|writer| writer.write_all(&script));
    Ok(ExitStatus::Ok)
}

pub(super) fn man(args: &ManArgs, console: &Console) -> Result<ExitStatus, RunError> {
    match (&args.out, &args.command) {
        (Some(folder), _) => write_all(folder, console)?,
        (None, command) => print_one(command.as_deref(), console)?,
    }
    Ok(ExitStatus::Ok)
}

fn print_one(command: Option<&str>, console: &Console) -> Result<(), RunError> {
    let wanted = command.map_or_else(|| NAME.to_owned(), |command| format!("{NAME}-{command}"));
    let page = pages().into_iter().find(|page| name_of(page) == wanted);
    let Some(page) = page else {
        let names: Vec<_> = pages().iter().skip(1).map(|page| page.get_name().to_owned()).collect();
        let names = names.join(", ");
        return Err(RunError::Usage {
            message: format!("there is no command `{}`", command.unwrap_or_default()),
            hint: Some(format!("the commands are {names}")),
        });
    };
    let text = render(page).map_err(RunError::Output)?;
    console.results(|writer| writer.write_all(&text));
    Ok(())
}

fn write_all(folder: &Path, console: &Console) -> Result<(), RunError> {
    let failed = |source| RunError::Unwritable { what: "the manual", source };
    let pages = pages();
    let count = pages.len();
    std::fs::create_dir_all(folder).map_err(failed)?;
    for page in pages {
        let mut draft =
            AtomicFile::create(&folder.join(format!("{}.1", name_of(&page)))).map_err(failed)?;
        let text = render(page).map_err(failed)?;
        draft.write_all(&text).and_then(|()| draft.publish()).map_err(failed)?;
    }
    console.remark(&format!("{count} manual pages are in {}\n", folder.display()));
    Ok(())
}

/// The commands to describe: natsync itself, then each of its commands.
fn pages() -> Vec<clap::Command> {
    let mut program = Cli::command();
    // `build` copies the global flags into the commands and sets their full names.
    program.build();
    let commands: Vec<_> = program.get_subcommands().cloned().collect();
    std::iter::once(program).chain(commands).collect()
}

/// `natsync`, `natsync-apply`
fn name_of(page: &clap::Command) -> String {
    page.get_display_name().unwrap_or(page.get_name()).to_owned()
}

fn render(page: clap::Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(page.disable_help_subcommand(true)).render(&mut text)?;
    Ok(text)
}
