//! natsync as a library: `cargo run --example library -- natsync.yaml`.
//!
//! Loads a manifest, plans it, applies it with a reporter that prints the path of each entry, and
//! stops after a first failure.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it is a program of its own")]

use natsync::{Event, LoadOptions, Manifest, Options, Outcome, Reporter, Stop, StopReason};

/// Prints each entry's path when the entry has its outcome.
struct Paths<'a>(&'a Manifest, Stop);

impl Reporter for Paths<'_> {
    fn event(&mut self, event: &Event) {
        let Event::Finished { entry, outcome, .. } = event else { return };
        let Some(entry) = self.0.entries().get(*entry) else { return };
        println!("{} {}", entry.path().as_str(), outcome.as_str());
        if matches!(outcome, Outcome::Failed(_)) {
            self.1.request(StopReason::Halted);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).unwrap_or("natsync.yaml".into());
    let env = |name: &str| std::env::var(name).ok();
    let manifest = Manifest::load(file.as_ref(), &LoadOptions { env: &env, ..Default::default() })?;
    let (options, stop) = (Options::default(), Stop::on_signals());

    let plan = natsync::plan(&manifest, &options, &stop, &mut natsync::Silent)?;
    println!("{} to fetch", plan.counts().fetch);
    let mut reporter = Paths(&manifest, stop.clone());
    let summary = natsync::apply(&manifest, &options, &stop, &mut reporter)?;
    if summary.is_success() { Ok(()) } else { Err("some entries failed".into()) }
}
