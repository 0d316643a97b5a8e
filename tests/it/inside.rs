//! Runs natsync as a library in the process of the test. This is fast enough for thousands of runs,
//! and a panic fails the test.

use natsync::event::{Event, Reporter, Summary};
use natsync::manifest::{LoadOptions, Manifest};
use natsync::ops::{Options, apply};
use natsync::stop::Stop;

use crate::world::World;

/// The warnings of a run.
#[derive(Debug, Default)]
pub(crate) struct Warnings(pub(crate) Vec<String>);

impl Reporter for Warnings {
    fn event(&mut self, event: &Event) {
        if let Event::Warning { message } = event {
            self.0.push(message.clone());
        }
    }
}

/// Applies the world's manifest. The error is the message for an invalid manifest or an unusable
/// destination.
pub(crate) fn run(world: &World, options: &Options) -> Result<(Summary, Warnings), String> {
    let mut warnings = Warnings::default();
    let summary = run_until(world, options, &Stop::default(), &mut warnings)?;
    Ok((summary, warnings))
}

/// The same until a request to stop.
pub(crate) fn run_until(
    world: &World,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Summary, String> {
    let loading =
        LoadOptions { today: jiff::civil::date(2026, 1, 1), set: &[], env: &|_| None, dest: None };
    let manifest = Manifest::load(&world.path("natsync.yaml"), &loading)
        .map_err(|problems| format!("{problems:?}"))?;
    apply(&manifest, options, stop, reporter).map_err(|error| error.to_string())
}
