//! `natsync explain`

use jiff::Timestamp;

use super::{Target, load};
use crate::cli::{ExplainArgs, ManifestArgs};
use crate::error::ExitStatus;
use crate::report::{Console, Talk, print_error, print_explanation};
use crate::stop::Stop;
use crate::workspace::{self, Options};

pub(super) fn run(args: &ExplainArgs, console: &Console) -> ExitStatus {
    let manifests = ManifestArgs {
        manifests: vec![args.manifest.clone()],
        dest: args.dest.clone(),
        only: Vec::new(),
        set: args.set.clone(),
        today: args.today,
    };
    let targets = match load(&manifests, console) {
        Ok(targets) => targets,
        Err(status) => return status,
    };
    let stop = Stop::on_signals();
    let now = Timestamp::now();
    for Target { manifest, .. } in targets {
        let options = Options { rehash: args.rehash, now: Some(now), ..Options::default() };
        let mut talk = Talk::of_plan(console, &manifest);
        let explained = workspace::explain(&manifest, &options, &args.entry, &stop, &mut talk);
        talk.finish();
        if let Some(signal) = stop.signal() {
            return signal;
        }
        match explained {
            Ok(explanation) => print_explanation(console, &manifest, &explanation, now),
            Err(error) => {
                print_error(console, &error);
                return error.exit_status();
            }
        }
    }
    ExitStatus::Ok
}
