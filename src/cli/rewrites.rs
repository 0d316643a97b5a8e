//! Collects the rewrite rules of the command line and of the environment.

use std::env;

use crate::cli::args::TransferArgs;
use crate::http::rewrite::{Rewrite, Rewrites};
use crate::ops::error::RunError;

const REWRITE_VARIABLE: &str = "NATSYNC_REWRITE";

/// The rewrite rules of `--rewrite`, then those of the environment variable.
pub(super) fn rewrites(args: &TransferArgs) -> Result<Rewrites, RunError> {
    let variable = match env::var(REWRITE_VARIABLE) {
        Ok(variable) => variable,
        Err(env::VarError::NotPresent) => String::new(),
        Err(env::VarError::NotUnicode(_)) => {
            return Err(RunError::usage(format!("{REWRITE_VARIABLE} is not UTF-8 text")));
        }
    };
    let given = args.rewrite.iter().map(|text| ("--rewrite", text.as_str()));
    let inherited = variable
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| (REWRITE_VARIABLE, text));
    let rules = given.chain(inherited).map(|(place, text)| {
        // The message must not quote the rule: it may hold a password.
        Rewrite::parse(text)
            .map_err(|error| RunError::usage(format!("a rule of {place} is wrong: {error}")))
    });
    Ok(Rewrites::new(rules.collect::<Result<_, _>>()?))
}
