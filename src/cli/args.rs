//! The command line. The doc comments are the help that users read.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::ops::init::Format;
use crate::report::{Format as Output, Settings, Verbosity, When};

/// Keep directories equal to sets of remote files
///
/// A manifest (YAML) declares remote files by URL templates. natsync compares them with a directory,
/// downloads what is missing or changed, verifies it and puts it in place whole.
#[derive(Debug, Parser)]
#[command(
    name = "natsync",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    styles = STYLES,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const SELECTION: &str = "Selection";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output";
const REPORTS: &str = "Reports";

const AFTER_HELP: &str = "\
Exit status:
  0  done; all is as declared
  1  at least one entry failed; verify: a file is wrong or gone
  2  the command line, a manifest or a lock is wrong; nothing was touched
  3  plan --exit-code: there is something to fetch or replace; lock --check: the lock would change
  4  another run holds the destination
  5  the destination cannot be used (disk full, not writable)";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a starter manifest from URLs
    ///
    /// Globs as curl has them become templates with ranges, and so do lists of URLs in which there is a
    /// pattern. Whatever is written declares exactly the URLs that were given.
    #[command(after_help = "\
Examples:
  natsync init 'https://example.org/img[01-26].{jpg,png}'
  natsync init - < urls.txt
  natsync init --from SHA256SUMS --base-url https://example.org/v1/ -o v1.yaml")]
    Init(InitArgs),
    /// Download what is missing or changed
    ///
    /// Files that are right cost one small request each, or none, as the manifest's `check` says.
    /// `natsync plan` shows beforehand what would happen.
    #[command(after_help = "\
Examples:
  natsync apply manifests/natgeo.yaml
  natsync apply natgeo.yaml --only '0817*' --dest /tmp/few
  natsync apply natgeo.yaml --rewrite https://example.org/=http://127.0.0.1:8080/")]
    Apply(ApplyArgs),
    /// Show what apply would do
    ///
    /// Nothing is written, and unless --refresh is given nobody is asked.
    #[command(after_help = "\
Examples:
  natsync plan manifests/natgeo.yaml
  natsync plan --exit-code --json natgeo.yaml
  natsync plan natgeo.yaml --refresh --out natgeo.plan && natsync apply --plan natgeo.plan")]
    Plan(PlanArgs),
    /// Pin what upstream has
    ///
    /// Writes NAME.lock beside NAME.yaml: for each entry the size and digest of what upstream serves.
    /// From then on `apply` brings the directory to the lock, and asks nobody about a file that is
    /// right. Entries that are pinned already keep their pin, unless --upgrade moves it.
    #[command(after_help = "\
Examples:
  natsync lock manifests/natgeo.yaml
  natsync lock natgeo.yaml --upgrade --only '0817*'
  natsync lock natgeo.yaml --check")]
    Lock(LockArgs),
    /// Check the files on disk
    ///
    /// Reads every file and compares it with its pin, or with what natsync noted when it wrote the
    /// file. Nobody is asked and nothing is changed. The exit status is 1 when a file is wrong or gone;
    /// `natsync apply --rehash` repairs that.
    #[command(after_help = "\
Examples:
  natsync verify manifests/natgeo.yaml
  natsync verify --quick --json natgeo.yaml")]
    Verify(VerifyArgs),
    /// Tell all that is known of one entry, and what follows from it
    ///
    /// Where it is declared, what pins it, what is on disk, what natsync noted of it, and what `apply`
    /// would do with it and why. Nobody is asked and nothing is changed.
    #[command(after_help = "\
Examples:
  natsync explain manifests/natgeo.yaml 0817wallpaper-1_1600.jpg
  natsync explain natgeo.yaml mirror/natgeo/0817wallpaper-1_1600.jpg --json")]
    Explain(ExplainArgs),
    /// List the declared files
    ///
    /// Nobody is asked. Digests are those of the manifest, the lock, and the checksum lists of the
    /// last run.
    #[command(after_help = "\
Examples:
  natsync list manifests/natgeo.yaml --format urls | head
  natsync list natgeo.yaml --only tag:small --json
  natsync list natgeo.yaml --format sha256sums > SHA256SUMS")]
    List(ListArgs),
    /// Show a directory and its last runs as a page
    ///
    /// Writes one HTML file that needs nothing else: what is there and what is not, the last runs and
    /// their transfers, failures, sizes and pictures. Nobody is asked, and nothing else is written.
    #[command(after_help = "\
Examples:
  natsync report manifests/natgeo.yaml --html natgeo.html
  natsync report natgeo.yaml --html - | gzip > natgeo.html.gz")]
    Report(ReportArgs),
    /// Print the JSON Schema of the manifest
    ///
    /// Editors that know it complete keys, explain them and mark what is wrong.
    #[command(after_help = "\
Examples:
  natsync schema > natsync.schema.json
  sed -i '1i # yaml-language-server: $schema=natsync.schema.json' natsync.yaml")]
    Schema,
    /// Print completions for a shell
    #[command(after_help = "\
Examples:
  natsync completions bash > ~/.local/share/bash-completion/completions/natsync
  natsync completions zsh > ~/.zfunc/_natsync
  natsync completions fish > ~/.config/fish/completions/natsync.fish")]
    Completions(CompletionsArgs),
    /// Print the manual
    #[command(after_help = "\
Examples:
  natsync man | man -l -
  natsync man apply | man -l -
  natsync man --out ~/.local/share/man/man1")]
    Man(ManArgs),
}

/// Arguments of `completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: ShellName,
}

/// A shell that completions can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShellName {
    /// GNU Bash
    Bash,
    /// Elvish
    Elvish,
    /// Fish
    Fish,
    /// PowerShell
    Powershell,
    /// Z shell
    Zsh,
}

/// Arguments of `man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The command whose page is printed; that of natsync itself by default
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub command: Option<String>,
    /// Write the pages of all commands to DIR instead
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Flags of every command.
#[derive(Args, Clone, Copy, Debug)]
pub struct GlobalArgs {
    /// Print results as JSON, one object a line
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub json: bool,
    /// Print errors alone
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub quiet: bool,
    /// Print a line for each entry
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub verbose: bool,
    /// Use colour: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true, help_heading = OUTPUT)]
    pub color: When,
    /// Show progress: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true, help_heading = OUTPUT)]
    pub progress: When,
}

impl GlobalArgs {
    /// What they ask of the output.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let format = if self.json { Output::Json } else { Output::Human };
        Settings { format, verbosity, color: self.color, progress: self.progress }
    }
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// What to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How to transfer.
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Refuse to begin unless the lock pins every entry
    #[arg(long)]
    pub locked: bool,
    /// Do what `plan --out FILE` saved, unless something changed since
    ///
    /// The manifests, the choice of entries and what to believe of files are those of the plan. When a
    /// manifest, its lock or a planned file is not what it was, nothing is touched and the exit status
    /// is 2.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "dest", "only", "set", "today", "force", "rehash", "locked", "prune", "no_prune",
        "max_delete", "offline", "retry",
    ])]
    pub plan: Option<PathBuf>,
    /// Take only the entries that `--failed FILE` noted in an earlier run
    #[arg(long, value_name = "FILE")]
    pub retry: Option<PathBuf>,
    /// Start nothing new once an entry has failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Wait while another run holds the destination
    #[arg(long)]
    pub wait: bool,
    /// Stay off the network; what would need it fails
    #[arg(long, help_heading = NETWORK)]
    pub offline: bool,
    /// What to delete.
    #[command(flatten)]
    pub prune: PruneArgs,
    /// What to write about it.
    #[command(flatten)]
    pub reports: ReportFileArgs,
    /// Write the entries that failed to FILE, for --retry
    ///
    /// JSON Lines, an object for each entry that failed or was never tried; empty when there is none.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub failed: Option<PathBuf>,
}

/// Files that are written about a run, for other programs.
#[derive(Args, Debug)]
pub struct ReportFileArgs {
    /// Write results to FILE as those of tests, in the XML that CI systems read
    ///
    /// A suite for each source, with a case for every entry but those that are merely kept.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub junit: Option<PathBuf>,
    /// Write metrics to FILE, in the text format of Prometheus
    ///
    /// For node exporter's textfile collector: name it `something.prom` in its folder. What FILE says of
    /// other manifests and commands stays.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub metrics: Option<PathBuf>,
}

/// What becomes of files that are no longer declared.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Delete files that natsync wrote and the manifest no longer declares
    #[arg(long, overrides_with = "no_prune")]
    pub prune: bool,
    /// Delete nothing, whatever the manifest says
    #[arg(long, overrides_with = "prune")]
    pub no_prune: bool,
    /// Delete at most N files; where there would be more, none
    #[arg(long, value_name = "N")]
    pub max_delete: Option<u64>,
}

impl PruneArgs {
    /// Whether to delete, where the command line says so. Who sets variables there looks at a part of what
    /// the manifest declares: what the rest wrote is not deleted for that.
    #[must_use]
    pub fn decided(&self, manifests: &ManifestArgs) -> Option<bool> {
        if self.prune || self.no_prune {
            Some(self.prune)
        } else {
            (!manifests.set.is_empty()).then_some(false)
        }
    }
}

/// Arguments of `lock`.
#[derive(Args, Debug)]
pub struct LockArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// How to transfer.
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Pin anew what is pinned already
    #[arg(long)]
    pub upgrade: bool,
    /// Change nothing; exit with 3 when the lock and the manifest differ
    ///
    /// Nobody is asked: whether upstream changed, `natsync plan --refresh` tells.
    #[arg(long, conflicts_with_all = ["upgrade", "junit", "metrics", "failed"])]
    pub check: bool,
    /// Start nothing new once an entry has failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Wait while another run holds the destination
    #[arg(long)]
    pub wait: bool,
    /// What to write about it.
    #[command(flatten)]
    pub reports: ReportFileArgs,
    /// Write the entries that failed to FILE
    ///
    /// JSON Lines, an object for each entry that failed or was never tried; empty when there is none.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub failed: Option<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// What to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How to ask.
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Ask upstream what changed, without fetching it
    #[arg(long, help_heading = NETWORK)]
    pub refresh: bool,
    /// Refuse to begin unless the lock pins every entry
    #[arg(long)]
    pub locked: bool,
    /// Save the plan, for `apply --plan FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 3 when there is something to fetch, replace or prune
    #[arg(long)]
    pub exit_code: bool,
    /// What to delete.
    #[command(flatten)]
    pub prune: PruneArgs,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// Look at sizes and times, and read nothing
    #[arg(long)]
    pub quick: bool,
    /// What to write about it.
    #[command(flatten)]
    pub reports: ReportFileArgs,
}

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The manifest that declares the entry
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// The entry: its path below the destination, the path of its file, or its URL
    #[arg(value_name = "PATH")]
    pub entry: String,
    /// Read the file instead of trusting its size and times
    #[arg(long)]
    pub rehash: bool,
    /// Look for the files in DIR instead of the manifest's `dest`
    #[arg(long, value_name = "DIR", help_heading = SELECTION)]
    pub dest: Option<PathBuf>,
    /// Set a variable, in the forms of the manifest: `--set n=1..3`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, help_heading = SELECTION)]
    pub set: Vec<(String, String)>,
    /// Take DATE for `today` in the manifest, as in 2026-01-31
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = SELECTION)]
    pub today: Option<Date>,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// URLs and globs; `-` reads a list from standard input
    #[arg(value_name = "URL", required_unless_present = "from")]
    pub urls: Vec<String>,
    /// Read a list from FILE
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Take the list for this: urls, aria2, metalink, sums or pooch [default: what it looks like]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// Where the files of a list of names are
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Write the manifest to FILE, or to standard output with `-` [default: natsync.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// The manifest's `dest`, relative to it
    #[arg(long, value_name = "DIR", default_value = "mirror")]
    pub dest: String,
    /// The manifest's name
    #[arg(long)]
    pub name: Option<String>,
    /// Replace a manifest that is there
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// How to print the entries [default: table]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = OUTPUT)]
    pub format: Option<ListFormat>,
}

/// Arguments of `report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Which files.
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// Write the page to FILE; `-` is standard output
    ///
    /// Its links and pictures lead from the folder of FILE to the destination.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub html: PathBuf,
}

/// How `list` prints entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Path, source and URL in columns
    Table,
    /// One URL a line, as declared
    Urls,
    /// One JSON object a line
    Json,
    /// Pinned digests, for `sha256sum -c` in the destination
    Sha256sums,
    /// An input file for aria2c
    Aria2,
    /// A Metalink document (RFC 5854)
    Metalink,
}

/// What chooses manifests and their entries.
#[derive(Args, Debug)]
pub struct ManifestArgs {
    /// Manifests to go through, one after the other [default: natsync.yaml]
    #[arg(value_name = "MANIFEST")]
    pub manifests: Vec<PathBuf>,
    /// Keep the files in DIR instead of the manifest's `dest`
    #[arg(long, value_name = "DIR", help_heading = SELECTION)]
    pub dest: Option<PathBuf>,
    /// Choose entries by path glob, source name or `tag:NAME`; repeatable
    ///
    /// In a glob `*` and `?` stay within a folder, and `**` goes through folders: `2024/**/*.csv`.
    #[arg(long, value_name = "GLOB", help_heading = SELECTION)]
    pub only: Vec<String>,
    /// Set a variable, in the forms of the manifest: `--set n=1..3`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, help_heading = SELECTION)]
    pub set: Vec<(String, String)>,
    /// Take DATE for `today` in the manifest, as in 2026-01-31
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = SELECTION)]
    pub today: Option<Date>,
}

/// What to believe of the files on disk.
#[derive(Args, Clone, Copy, Debug)]
pub struct TrustArgs {
    /// Read every file instead of trusting size and times
    #[arg(long)]
    pub rehash: bool,
    /// Fetch everything anew, whatever is on disk
    #[arg(long)]
    pub force: bool,
}

/// How requests are made.
#[derive(Args, Debug)]
pub struct TransferArgs {
    /// Make at most N transfers at a time
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = NETWORK)]
    pub jobs: Option<u16>,
    /// Ask for URLs that begin with the first prefix at the second; repeatable
    ///
    /// As with a company's proxy of an upstream. Paths and records keep the declared URL. Where
    /// several fit, the longest wins. Also read from `NATSYNC_REWRITE`, separated by commas.
    #[arg(long, value_name = "PREFIX=PREFIX", help_heading = NETWORK)]
    pub rewrite: Vec<String>,
    /// Receive at most RATE bytes a second in all: 500kB, 2MiB
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = NETWORK)]
    pub limit_rate: Option<u64>,
    /// Try a failed request N times more
    #[arg(long, value_name = "N", help_heading = NETWORK)]
    pub retries: Option<u32>,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, as in n=1..3".to_owned()),
    }
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a date as in 2026-01-31".to_owned())
}

/// Reads bytes a second: a number with a unit of the manifest's, or with one of curl's letters.
fn parse_rate(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 12] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("k", 1 << 10),
        ("K", 1 << 10),
        ("M", 1 << 20),
        ("G", 1 << 30),
        ("B", 1),
        ("", 1),
    ];
    let error = || "write a number of bytes a second, as in 500kB or 2MiB".to_owned();
    let text = text.strip_suffix("/s").unwrap_or(text);
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .ok_or_else(error)?;
    let number: u64 = number.trim_end().parse().map_err(|_| error())?;
    match number.checked_mul(*factor) {
        None | Some(0) => Err(error()),
        Some(rate) => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let before = Cli::try_parse_from(["natsync", "--json", "-v", "plan"]).unwrap();
        let after = Cli::try_parse_from(["natsync", "plan", "--json", "-v"]).unwrap();
        for cli in [before, after] {
            assert_eq!(cli.global.settings().format, Output::Json);
            assert_eq!(cli.global.settings().verbosity, Verbosity::Verbose);
        }
        assert!(Cli::try_parse_from(["natsync", "plan", "-q", "-v"]).is_err());
    }

    #[test]
    fn a_saved_plan_says_it_all() {
        let taken = |flag: &str| {
            Cli::try_parse_from(["natsync", "apply", "--plan=x"].into_iter().chain(flag.split(' ')))
                .is_ok()
        };
        for flag in ["--only a", "--set n=1", "--force", "--prune", "--dest d", "--offline"] {
            assert!(!taken(flag), "{flag}");
        }
        assert!(taken("natgeo.yaml") && taken("-j 3"));
    }

    #[test]
    fn numbers_have_bounds() {
        let jobs = |number: &str| Cli::try_parse_from(["natsync", "apply", "-j", number]).is_ok();
        assert!(jobs("1") && jobs("1024"));
        assert!(!jobs("0") && !jobs("1025") && !jobs("many"));
    }

    #[test]
    fn rates_have_units() {
        assert_eq!(parse_rate("500"), Ok(500));
        assert_eq!(parse_rate("500kB"), Ok(500_000));
        assert_eq!(parse_rate("2MiB/s"), Ok(2 << 20));
        assert_eq!(parse_rate("100K"), Ok(102_400));
        for wrong in ["", "0", "kB", "1.5MB", "-1", "fast", "99999999999GB"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_setting_has_a_name() {
        assert_eq!(parse_setting("n=1..3"), Ok(("n".into(), "1..3".into())));
        assert_eq!(parse_setting("n=a=b"), Ok(("n".into(), "a=b".into())));
        assert!(parse_setting("n").is_err());
        assert!(parse_setting("=1").is_err());
    }
}
