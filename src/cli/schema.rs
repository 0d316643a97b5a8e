//! `natsync schema`

use crate::manifest;
use crate::ops::error::{ExitStatus, RunError};
use crate::report::Console;

pub(super) fn run(console: &Console) -> Result<ExitStatus, RunError> {
    let schema = manifest::schema();
    console.results(|writer| {
        serde_json::to_writer_pretty(&mut *writer, &schema)?;
        writer.write_all(b"\n")
    });
    Ok(ExitStatus::Ok)
}
