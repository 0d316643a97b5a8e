//! `natsync explain`

use jiff::Timestamp;

use super::targets::{Target, for_each, load};
use crate::cli::args::{ExplainArgs, ManifestArgs};
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::{self, Options};
use crate::report::{Console, Talk, print_explanation};
use crate::stop::Stop;

pub(super) fn run(args: &ExplainArgs, console: &Console) -> Result<ExitStatus, RunError> {
    if args.manifest.is_dir() {
        return Err(RunError::Usage {
            message: format!("`{}` is a directory, not a manifest", args.manifest.display()),
            hint: Some("name the manifest that declares the entry".to_owned()),
        });
    }
    let manifests = ManifestArgs {
        manifests: vec![args.manifest.clone()],
        dest: args.dest.clone(),
        only: Vec::new(),
        set: args.set.clone(),
        today: args.today,
    };
    let targets = load(&manifests, None, console);
    let stop = Stop::on_signals_within(super::END);
    let now = Timestamp::now();
    Ok(for_each(targets, Some(&stop), console, |Target { manifest, .. }| {
        let options = Options { rehash: args.rehash, now: Some(now), ..Options::default() };
        let mut talk = Talk::of_plan(console, &manifest);
        let explained = ops::explain(&manifest, &options, &args.entry, &stop, &mut talk);
        talk.finish();
        if !stop.is_requested() {
            print_explanation(console, &manifest, &explained?, now);
        }
        Ok(ExitStatus::Ok)
    }))
}
