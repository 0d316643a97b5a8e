//! The command line as clap structs. Their doc comments are the help that users read: a short line
//! for `-h`, details after a blank line for `--help`.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum, ValueHint};
use jiff::civil::Date;

use crate::manifest::{MOST_SHARDS, Shard, ShardError};
use crate::ops::init::Format;
use crate::report::{Format as Output, Settings, Verbosity, When};

/// Keep directories equal to sets of remote files
///
/// A manifest (YAML) declares remote files by URL templates. natsync compares them with a
/// directory, downloads the files that are missing or changed, and verifies them. It replaces a
/// file only when the new content is complete.
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
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
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
    0  success: the destination is as declared
    1  at least one entry failed; verify: a file is modified or gone
    2  wrong command line, manifest, lock or saved plan; nothing was changed
    3  plan --exit-code: there is something to fetch, replace or prune;
       lock --check: the lock and the manifest differ
    4  another run holds the destination
    5  the destination cannot be used, or output cannot be written (disk full, not writable)
   70  a bug in natsync
  130  ended by SIGINT
  143  ended by SIGTERM or SIGHUP";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a starter manifest from URLs
    ///
    /// Globs in the syntax of curl become URL templates with variables, and so do lists of URLs
    /// that follow a pattern. The manifest declares exactly the URLs that were given.
    #[command(after_help = "\
Examples:
  natsync init 'https://example.org/img[01-26].{jpg,png}'
  natsync init - < urls.txt
  natsync init --from SHA256SUMS --base-url https://example.org/v1/ -o v1.yaml")]
    Init(InitArgs),
    /// Download what is missing or changed
    ///
    /// A file that is already correct costs one small request or none, depending on `check` in the
    /// manifest. `natsync plan` shows beforehand what would happen.
    #[command(after_help = "\
Examples:
  natsync apply manifests/natgeo.yaml
  natsync apply manifests/
  natsync apply natgeo.yaml --only '0817*' --dest /tmp/few
  natsync apply natgeo.yaml --rewrite https://example.org/=http://localhost/")]
    Apply(ApplyArgs),
    /// Show what apply would do
    ///
    /// Changes nothing in the destination. Makes no requests unless --refresh is given.
    #[command(after_help = "\
Examples:
  natsync plan manifests/natgeo.yaml
  natsync plan --exit-code --json natgeo.yaml
  natsync plan natgeo.yaml --refresh --out natgeo.plan
  natsync apply --plan natgeo.plan")]
    Plan(PlanArgs),
    /// Pin each entry to what upstream serves
    ///
    /// Writes NAME.lock beside NAME.yaml, with the size and digest of each entry as upstream serves
    /// it. From then on `apply` makes the directory match the lock, and makes no request for a file
    /// that matches its pin. Existing pins are kept unless --upgrade is given.
    #[command(after_help = "\
Examples:
  natsync lock manifests/natgeo.yaml
  natsync lock natgeo.yaml --upgrade --only '0817*'
  natsync lock natgeo.yaml --check")]
    Lock(LockArgs),
    /// Put the results of the shards of a job together
    ///
    /// Each `natsync apply --shard K/N` leaves its results below the destination. When all N are
    /// there, this command makes the state, the lock and the history as after a single run, and
    /// prunes if that is wanted. Makes no requests. If shards are missing, it names them, changes
    /// nothing, and exits with status 1.
    #[command(after_help = "\
Examples:
  natsync merge mirror.yaml
  natsync merge mirror.yaml --shards 200 --junit natsync.xml
  sbatch --array=$(natsync merge mirror.yaml --shards 200 --array) shard.sh")]
    Merge(MergeArgs),
    /// Check the files on disk
    ///
    /// Reads every file and compares it with its pin, or else with the digest that natsync recorded
    /// when it wrote the file. Makes no requests and changes nothing. The exit status is 1 if a
    /// file is modified or gone; `natsync apply --rehash` repairs it.
    #[command(after_help = "\
Examples:
  natsync verify manifests/natgeo.yaml
  natsync verify --quick --json natgeo.yaml")]
    Verify(VerifyArgs),
    /// Explain what apply would do with one entry, and why
    ///
    /// Shows where the entry is declared, what pins it, what is on disk, what natsync recorded
    /// about it, and the decision that follows. Makes no requests and changes nothing.
    #[command(after_help = "\
Examples:
  natsync explain manifests/natgeo.yaml 0817wallpaper-1_1600.jpg
  natsync explain natgeo.yaml mirror/natgeo/0817wallpaper-1_1600.jpg --json")]
    Explain(ExplainArgs),
    /// List the declared files
    ///
    /// Makes no requests. Digests come from the manifest, the lock, and the checksum lists that the
    /// last run fetched.
    #[command(after_help = "\
Examples:
  natsync list manifests/natgeo.yaml --format urls | head
  natsync list natgeo.yaml --only tag:small --json
  natsync list natgeo.yaml --format sha256sums > SHA256SUMS")]
    List(ListArgs),
    /// Write an HTML page about a directory and its last runs
    ///
    /// The page shows which files are present or missing, the last runs with their transfers,
    /// failures, file sizes and pictures. Its style and script are part of the file. Makes no
    /// requests and writes nothing else.
    #[command(after_help = "\
Examples:
  natsync report manifests/natgeo.yaml --html natgeo.html
  natsync report natgeo.yaml --html - | gzip > natgeo.html.gz")]
    Report(ReportArgs),
    /// Print the JSON Schema of the manifest
    ///
    /// An editor that has the schema completes keys, explains them and marks mistakes.
    #[command(after_help = "\
Examples:
  natsync schema > natsync.schema.json
  sed -i '1i # yaml-language-server: $schema=natsync.schema.json' natsync.yaml")]
    Schema,
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  natsync completions bash > ~/.local/share/bash-completion/completions/natsync
  natsync completions zsh > ~/.zfunc/_natsync
  natsync completions fish > ~/.config/fish/completions/natsync.fish")]
    Completions(CompletionsArgs),
    /// Print a manual page
    #[command(after_help = "\
Examples:
  natsync man | man -l -
  natsync man apply | man -l -
  natsync man --out ~/.local/share/man/man1")]
    Man(ManArgs),
}

/// Arguments of `completions`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CompletionsArgs {
    /// Shell that will load the script
    #[arg(value_enum)]
    pub shell: ShellName,
}

/// Shells with a completion script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellName {
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
pub(crate) struct ManArgs {
    /// Command to describe [default: natsync itself]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub command: Option<String>,
    /// Write the manual pages of all commands to the folder DIR instead
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Flags of every command.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct GlobalArgs {
    /// Print results as JSON, one object per line
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub json: bool,
    /// Print only errors
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub quiet: u8,
    /// Print a line for each entry
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub verbose: u8,
    /// Use colour: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true, help_heading = OUTPUT)]
    pub color: When,
    /// Show progress: auto, always or never [default: auto]
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true, help_heading = OUTPUT)]
    pub progress: When,
}

impl GlobalArgs {
    /// Output settings for [`crate::report::Console`].
    #[must_use]
    pub(crate) fn settings(self) -> Settings {
        let verbosity = match (self.quiet, self.verbose) {
            (0, 0) => Verbosity::Normal,
            (0, _) => Verbosity::Verbose,
            _ => Verbosity::Quiet,
        };
        let format = if self.json { Output::Json } else { Output::Human };
        Settings { format, verbosity, color: self.color, progress: self.progress }
    }
}

/// Arguments of `apply`.
#[derive(Args, Debug)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub crowd: CrowdArgs,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Refuse to start unless the lock pins every entry
    #[arg(long)]
    pub locked: bool,
    /// Carry out the plan that `plan --out FILE` saved
    ///
    /// The saved plan fixes the manifests, the chosen entries, and whether files on disk are
    /// trusted. If a manifest, its lock or a planned file has changed since, nothing is touched and
    /// the exit status is 2.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "dest", "only", "set", "today", "force", "rehash", "locked", "prune", "no_prune",
        "max_delete", "take_ownership", "offline", "retry",
    ])]
    pub plan: Option<PathBuf>,
    /// Process only the entries in FILE, which --failed wrote
    #[arg(long, value_name = "FILE")]
    pub retry: Option<PathBuf>,
    /// Start no further transfers once an entry has failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Wait, instead of failing, while another run holds the destination
    #[arg(long)]
    pub wait: bool,
    /// Make no requests; entries that need one fail
    #[arg(long, help_heading = NETWORK)]
    pub offline: bool,
    #[command(flatten)]
    pub prune: PruneArgs,
    #[command(flatten)]
    pub reports: ReportFileArgs,
    /// Write the failed entries to FILE, for --retry
    ///
    /// JSON Lines: one object for each entry that failed or was not tried. The file is empty if
    /// there is none.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub failed: Option<PathBuf>,
}

/// Report files for other programs.
#[derive(Args, Debug)]
pub(crate) struct ReportFileArgs {
    /// Write results to FILE as JUnit XML, for CI systems
    ///
    /// Each source is a test suite. Each entry is a test case, except entries that needed neither a
    /// request nor a change.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub junit: Option<PathBuf>,
    /// Write metrics to FILE in the text format of Prometheus
    ///
    /// For the textfile collector of node exporter: put FILE into the collector's folder, with a
    /// name that ends in `.prom`. Metrics in FILE about other manifests and commands are kept.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub metrics: Option<PathBuf>,
}

/// Flags about files that the manifest no longer declares.
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Delete files that natsync wrote and the manifest no longer declares
    #[arg(long, overrides_with = "no_prune")]
    pub prune: bool,
    /// Delete no files, even if the manifest enables pruning
    #[arg(long, overrides_with = "prune")]
    pub no_prune: bool,
    /// If more than N files would be deleted, delete none
    #[arg(long, value_name = "N")]
    pub max_delete: Option<u64>,
    /// Take over the files of a manifest that this one probably was
    ///
    /// For a manifest that was renamed or moved and changed at the same time, so that natsync cannot
    /// tell whose files are below the destination. A manifest is recognised by its path relative to
    /// the destination, else by its name if it declares at least half of the files.
    #[arg(long)]
    pub take_ownership: bool,
}

impl PruneArgs {
    /// Whether to prune; `None` leaves it to the manifest.
    ///
    /// With `--set`, the manifest usually declares only a part of its files, and the rest must not
    /// be taken for undeclared. So `--set` turns pruning off unless `--prune` is given.
    #[must_use]
    pub(crate) fn decided(&self, manifests: &ManifestArgs) -> Option<bool> {
        if self.prune || self.no_prune {
            Some(self.prune)
        } else {
            (!manifests.set.is_empty()).then_some(false)
        }
    }
}

/// Arguments of `lock`.
#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub crowd: CrowdArgs,
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Update entries that are already pinned to what upstream serves now
    #[arg(long)]
    pub upgrade: bool,
    /// Write nothing; exit with status 3 if the lock and the manifest differ
    ///
    /// Makes no requests. To see whether upstream changed, use `natsync plan --refresh`.
    #[arg(long, conflicts_with_all = ["upgrade", "junit", "metrics", "failed"])]
    pub check: bool,
    /// Start no further transfers once an entry has failed
    #[arg(long)]
    pub fail_fast: bool,
    /// Wait, instead of failing, while another run holds the destination
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub reports: ReportFileArgs,
    /// Write the failed entries to FILE
    ///
    /// JSON Lines: one object for each entry that failed or was not tried. The file is empty if
    /// there is none.
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub failed: Option<PathBuf>,
}

/// Arguments of `merge`.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// Manifest of the job [default: natsync.yaml or natsync.yml]
    #[arg(value_name = "MANIFEST")]
    pub manifest: Option<PathBuf>,
    /// Number of shards of the job [default: that of the results]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS)))]
    pub shards: Option<u32>,
    /// Merge the shards that are complete, although others are missing
    ///
    /// Nothing is pruned, and the results stay, so that they can be merged again.
    #[arg(long)]
    pub partial: bool,
    /// Print only the numbers of the missing shards, as in `3,7-9`, and merge nothing
    ///
    /// The exit status is 1 if there are any. With --failed, shards with failed entries are printed,
    /// too.
    #[arg(long, conflicts_with_all = ["partial", "junit", "metrics", "wait"])]
    pub array: bool,
    /// Wait, instead of failing, while a run or a shard holds the destination
    #[arg(long)]
    pub wait: bool,
    /// Use DIR as the destination instead of `dest` in the manifest
    #[arg(long, value_name = "DIR", help_heading = SELECTION)]
    pub dest: Option<PathBuf>,
    /// Set a variable as in the manifest, such as `n=1..3`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, help_heading = SELECTION)]
    pub set: Vec<(String, String)>,
    /// Use DATE as `today` in the manifest [default: that of the shards' runs]
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = SELECTION)]
    pub today: Option<Date>,
    #[command(flatten)]
    pub prune: PruneArgs,
    #[command(flatten)]
    pub reports: ReportFileArgs,
    /// Write the failed entries of all shards to FILE, for --retry
    ///
    /// JSON Lines: one object for each entry that failed or was not tried. With --array, FILE is
    /// left out.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", value_parser = parse_maybe_empty(), value_hint = ValueHint::AnyPath, help_heading = REPORTS)]
    pub failed: Option<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    #[command(flatten)]
    pub trust: TrustArgs,
    #[command(flatten)]
    pub transfer: TransferArgs,
    /// Ask upstream which files changed, without downloading them
    #[arg(long, help_heading = NETWORK)]
    pub refresh: bool,
    /// Refuse to start unless the lock pins every entry
    #[arg(long)]
    pub locked: bool,
    /// Save the plan to FILE, for `apply --plan FILE`
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub out: Option<PathBuf>,
    /// Divide the saved plan into N shards, for `apply --plan FILE --shard auto`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS)), requires = "out")]
    pub shards: Option<u32>,
    /// Exit with status 3 if there is something to fetch, replace or prune
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub prune: PruneArgs,
}

/// Arguments of `verify`.
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    /// Compare only sizes and times; do not read the files
    #[arg(long)]
    pub quick: bool,
    #[command(flatten)]
    pub reports: ReportFileArgs,
}

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// Manifest that declares the entry
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// The entry: its path below the destination, the path of its file, or its URL
    #[arg(value_name = "PATH")]
    pub entry: String,
    /// Read the file instead of trusting its size and times
    #[arg(long)]
    pub rehash: bool,
    /// Use DIR as the destination instead of `dest` in the manifest
    #[arg(long, value_name = "DIR", help_heading = SELECTION)]
    pub dest: Option<PathBuf>,
    /// Set a variable as in the manifest, such as `n=1..3`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, help_heading = SELECTION)]
    pub set: Vec<(String, String)>,
    /// Use DATE as `today` in the manifest, for example 2026-01-31
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = SELECTION)]
    pub today: Option<Date>,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// URLs or globs; `-` reads a list from standard input
    #[arg(value_name = "URL", required_unless_present = "from")]
    pub urls: Vec<String>,
    /// Read a list of URLs or file names from FILE
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Format of the list: urls, aria2, metalink, sums or pooch [default: recognised by content]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
    /// URL of the folder that holds the files, for a list of file names
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Write the manifest to FILE, or to standard output with `-` [default: natsync.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Destination to declare in the manifest, relative to its folder
    #[arg(long, value_name = "DIR", default_value = "mirror")]
    pub dest: String,
    /// Name to declare in the manifest
    #[arg(long)]
    pub name: Option<String>,
    /// Replace an existing manifest
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub shard: ShardArgs,
    /// How to print the entries [default: table]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = OUTPUT)]
    pub format: Option<ListFormat>,
}

/// Arguments of `report`.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// Write the page to FILE; `-` is standard output
    ///
    /// The links and pictures of the page lead from the folder of FILE to the destination.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub html: PathBuf,
}

/// How `list` prints entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Path, source and URL in columns
    Table,
    /// One URL per line, as declared
    Urls,
    /// One JSON object per line
    Json,
    /// Pinned digests, for `sha256sum -c` in the destination
    Sha256sums,
    /// An input file for aria2c
    Aria2,
    /// A Metalink document (RFC 5854)
    Metalink,
}

/// Arguments that choose manifests and their entries.
#[derive(Args, Debug)]
pub(crate) struct ManifestArgs {
    /// Manifests or directories of them, in this order [default: natsync.yaml or natsync.yml]
    ///
    /// A directory stands for all `*.yaml` and `*.yml` files below it that have `version` and
    /// `sources` at their top level. Symbolic links, names that begin with a dot, and files that
    /// natsync downloaded are left out.
    #[arg(value_name = "MANIFEST")]
    pub manifests: Vec<PathBuf>,
    /// Use DIR as the destination instead of `dest` in the manifest
    #[arg(long, value_name = "DIR", help_heading = SELECTION)]
    pub dest: Option<PathBuf>,
    /// Choose entries by path glob, source name or `tag:NAME`; repeatable
    ///
    /// In a glob, `*` and `?` match within a folder name, and `**` matches any number of folders:
    /// `2024/**/*.csv`.
    #[arg(long, value_name = "GLOB", help_heading = SELECTION)]
    pub only: Vec<String>,
    /// Set a variable as in the manifest, such as `n=1..3`; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting, help_heading = SELECTION)]
    pub set: Vec<(String, String)>,
    /// Use DATE as `today` in the manifest, for example 2026-01-31
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = SELECTION)]
    pub today: Option<Date>,
}

/// The part of a job that a run does.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ShardArgs {
    /// Process only shard K of N; `auto` takes K and N from the environment
    ///
    /// A job of N shards is N runs on one destination, at the same time or not, on one machine or
    /// many; `natsync merge` puts their results together. An entry belongs to a shard by the hash of
    /// its path. Also read from `NATSYNC_SHARD`. `auto` knows the variables of Kubernetes, Slurm, AWS
    /// Batch, Cloud Run, Google Batch, GitLab, CircleCI and Buildkite; N comes from the saved plan,
    /// or else from `NATSYNC_SHARDS`.
    #[arg(long, value_name = "K/N", help_heading = SELECTION)]
    pub shard: Option<ShardWord>,
}

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardWord {
    /// The environment says which one.
    Auto,
    One(Shard),
}

impl std::str::FromStr for ShardWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse().map(Self::One).map_err(|error: ShardError| match error {
            ShardError::Malformed => format!("{error}, or `auto`"),
            _ => error.to_string(),
        })
    }
}

/// How many shards of a job run at the same time.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct CrowdArgs {
    /// Divide limits by M, the number of shards that run at the same time [default: N of --shard]
    ///
    /// Limits on connections, requests and bytes hold for the whole job, so each shard keeps to its
    /// part of them.
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SHARDS)), help_heading = NETWORK)]
    pub shard_concurrency: Option<u32>,
}

/// How far the files on disk are trusted.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct TrustArgs {
    /// Read every file instead of trusting its size and times
    #[arg(long)]
    pub rehash: bool,
    /// Download every file again, whatever is on disk
    #[arg(long)]
    pub force: bool,
}

/// Network settings.
#[derive(Args, Debug)]
pub(crate) struct TransferArgs {
    /// Make at most N transfers at the same time
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = NETWORK)]
    pub jobs: Option<u16>,
    /// Replace the URL prefix FROM by TO in requests; repeatable
    ///
    /// For example to use a company's proxy of an upstream. Paths, state and lock keep the declared
    /// URL. If several prefixes match, the longest is replaced. Also read from `NATSYNC_REWRITE`,
    /// separated by commas.
    #[arg(long, value_name = "FROM=TO", help_heading = NETWORK)]
    pub rewrite: Vec<String>,
    /// Receive at most RATE bytes per second in total: 500kB, 2MiB
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = NETWORK)]
    pub limit_rate: Option<u64>,
    /// Retry a failed request up to N times
    #[arg(long, value_name = "N", help_heading = NETWORK)]
    pub retries: Option<u32>,
}

/// Reads a path that may be empty; clap's own parser of paths refuses the empty one.
fn parse_maybe_empty() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
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

/// Parses a rate in bytes per second: a number with a unit as in the manifest (`kB` is 1000, `KiB`
/// is 1024), or with a letter as in curl's `--limit-rate` (`k` is 1024).
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
    fn clap_accepts_the_definition() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_work_before_and_after_the_command() {
        let before = Cli::try_parse_from(["natsync", "--json", "-v", "plan"]).unwrap();
        let after = Cli::try_parse_from(["natsync", "plan", "--json", "-v"]).unwrap();
        for cli in [before, after] {
            assert_eq!(cli.global.settings().format, Output::Json);
            assert_eq!(cli.global.settings().verbosity, Verbosity::Verbose);
        }
        assert!(Cli::try_parse_from(["natsync", "plan", "-q", "-v"]).is_err());
    }

    #[test]
    fn a_saved_plan_excludes_flags_that_would_change_it() {
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
    fn jobs_have_bounds() {
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
