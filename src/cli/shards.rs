//! Which shard a run is: `--shard`, `NATSYNC_SHARD`, and the variables of the engines that run one
//! program many times.
//!
//! The total must be that of the job, not that of an attempt: an engine may submit only the missing
//! shards again. So an engine's own total is used only where it never changes.

use std::env;

use crate::cli::args::{ShardArgs, ShardWord};
use crate::manifest::{Shard, ShardError};
use crate::ops::error::RunError;

const SHARD: &str = "NATSYNC_SHARD";
const SHARDS: &str = "NATSYNC_SHARDS";

/// An engine that runs one program many times.
struct Engine {
    name: &'static str,
    /// The variable with the number of the task.
    index: &'static str,
    /// The number of the first task.
    first: u64,
    /// The variable with the number of tasks of the whole job.
    total: Option<&'static str>,
}

/// The first engine whose variable is set counts.
const ENGINES: [Engine; 8] = [
    Engine { name: "Kubernetes", index: "JOB_COMPLETION_INDEX", first: 0, total: None },
    // After `--array=3,7` its count is 2, exactly as for a whole array of two tasks.
    Engine { name: "Slurm", index: "SLURM_ARRAY_TASK_ID", first: 1, total: None },
    Engine {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        first: 0,
        total: Some("AWS_BATCH_JOB_ARRAY_SIZE"),
    },
    Engine {
        name: "Cloud Run",
        index: "CLOUD_RUN_TASK_INDEX",
        first: 0,
        total: Some("CLOUD_RUN_TASK_COUNT"),
    },
    Engine {
        name: "Google Batch",
        index: "BATCH_TASK_INDEX",
        first: 0,
        total: Some("BATCH_TASK_COUNT"),
    },
    Engine { name: "GitLab", index: "CI_NODE_INDEX", first: 1, total: Some("CI_NODE_TOTAL") },
    Engine {
        name: "CircleCI",
        index: "CIRCLE_NODE_INDEX",
        first: 0,
        total: Some("CIRCLE_NODE_TOTAL"),
    },
    Engine {
        name: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        first: 0,
        total: Some("BUILDKITE_PARALLEL_JOB_COUNT"),
    },
];

/// The shard of this run; none for a run over all entries. `planned` is the number of shards of the
/// saved plan that is carried out.
pub(super) fn shard(args: &ShardArgs, planned: Option<u32>) -> Result<Option<Shard>, RunError> {
    resolve(args.shard, planned, &|name| env::var(name).ok())
}

/// The shard that the flag or the environment names.
///
/// # Errors
/// A usage error when no shard follows from what is there, or when two totals contradict each other.
fn resolve(
    flag: Option<ShardWord>,
    planned: Option<u32>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Shard>, RunError> {
    let read = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let variable = read(SHARD).filter(|_| !matches!(flag, Some(ShardWord::One(_))));
    let named = match (flag, &variable) {
        (Some(ShardWord::One(shard)), _) => Some(("--shard", shard)),
        (_, Some(text)) if text.trim() != "auto" => {
            let shard = text.parse().map_err(|error: ShardError| wrong(SHARD, text, error))?;
            Some((SHARD, shard))
        }
        _ => None,
    };
    if let Some((place, shard)) = named {
        if let Some(planned) = planned.filter(|&planned| planned != shard.total()) {
            return Err(RunError::Usage {
                message: format!("{place} is {shard}, but the saved plan is for {planned} shards"),
                hint: Some("leave the total to the plan: `--shard auto`".to_owned()),
            });
        }
        return Ok(Some(shard));
    }
    if flag.is_none() && variable.is_none() {
        return Ok(None);
    }
    let Some((engine, text)) = ENGINES.iter().find_map(|one| Some((one, read(one.index)?))) else {
        let names: Vec<_> = ENGINES.iter().map(|engine| engine.index).collect();
        return Err(RunError::Usage {
            message: format!(
                "no variable says which shard this run is: {SHARD} is not set, and neither is {}",
                names.join(", ")
            ),
            hint: Some("write `--shard K/N`, or set NATSYNC_SHARD=K/N".to_owned()),
        });
    };
    let index = number(engine.index, &text)?;
    let total =
        match (planned, read(SHARDS), engine.total.and_then(|name| Some((name, read(name)?)))) {
            (Some(planned), ..) => u64::from(planned),
            (None, Some(text), _) => number(SHARDS, &text)?,
            (None, None, Some((name, text))) => number(name, &text)?,
            (None, None, None) => return Err(no_total(engine)),
        };
    let Some(place) = index.checked_sub(engine.first) else {
        return Err(RunError::Usage {
            message: format!(
                "{} is {index}, but shards are counted from {}",
                engine.index, engine.first
            ),
            hint: (engine.name == "Slurm")
                .then(|| format!("submit the array as `--array=1-{total}`")),
        });
    };
    let shard = Shard::new(place.saturating_add(1), total);
    shard.map(Some).map_err(|error| wrong(engine.index, &text, error))
}

fn number(name: &str, text: &str) -> Result<u64, RunError> {
    let number = text.trim().parse();
    number.map_err(|_| RunError::usage(format!("{name} is `{text}`, which is not a whole number")))
}

fn wrong(name: &str, text: &str, error: ShardError) -> RunError {
    RunError::usage(format!("{name} is `{text}`: {error}"))
}

fn no_total(engine: &Engine) -> RunError {
    let why = match engine.name {
        "Slurm" => {
            "Slurm counts the tasks of an attempt, and only missing shards may be submitted again"
        }
        _ => "its variables do not have it",
    };
    RunError::Usage {
        message: format!("{} does not say how many shards the job has: {why}", engine.name),
        hint: Some(
            "set NATSYNC_SHARDS=N for all of them, or save the plan with `natsync plan --shards N --out FILE`"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(
        flag: Option<&str>,
        planned: Option<u32>,
        variables: &[(&str, &str)],
    ) -> Result<Option<String>, String> {
        let flag = flag.map(|text| text.parse().unwrap());
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let shard = resolve(flag, planned, &env);
        shard.map(|shard| shard.map(|shard| shard.to_string())).map_err(|error| {
            assert_eq!(error.exit_status() as u8, 2);
            error.to_string()
        })
    }

    fn is(flag: Option<&str>, planned: Option<u32>, variables: &[(&str, &str)], expected: &str) {
        let found = resolved(flag, planned, variables);
        assert_eq!(found, Ok(Some(expected.to_owned())), "{flag:?} {planned:?} {variables:?}");
    }

    fn fails(flag: &str, planned: Option<u32>, variables: &[(&str, &str)], part: &str) {
        let found = resolved(Some(flag), planned, variables).unwrap_err();
        assert!(found.contains(part), "{flag} {planned:?} {variables:?}: {found}");
    }

    #[test]
    fn without_a_flag_and_a_variable_a_run_is_whole() {
        assert_eq!(resolved(None, None, &[]), Ok(None));
        assert_eq!(resolved(None, Some(4), &[("SLURM_ARRAY_TASK_ID", "3")]), Ok(None));
        assert_eq!(resolved(None, None, &[(SHARD, ""), (SHARDS, "4")]), Ok(None));
    }

    #[test]
    fn the_flag_stands_above_the_variable() {
        is(Some("2/4"), None, &[(SHARD, "3/8"), ("JOB_COMPLETION_INDEX", "0")], "2/4");
        is(None, None, &[(SHARD, "3/8")], "3/8");
        is(Some("auto"), None, &[(SHARD, "3/8"), ("JOB_COMPLETION_INDEX", "0")], "3/8");
        is(None, None, &[(SHARD, "auto"), ("CI_NODE_INDEX", "1"), ("CI_NODE_TOTAL", "2")], "1/2");
        assert!(resolved(None, None, &[(SHARD, "9/8")]).is_err());
        assert!(resolved(None, None, &[(SHARD, "three")]).is_err());
    }

    #[test]
    fn each_engine_counts_in_its_own_way() {
        for (index, total, first) in [
            ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", 0),
            ("CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT", 0),
            ("BATCH_TASK_INDEX", "BATCH_TASK_COUNT", 0),
            ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
            ("CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
            ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
        ] {
            for place in 0..3 {
                let text = (first + place).to_string();
                let expected = format!("{}/3", place + 1);
                is(Some("auto"), None, &[(index, &text), (total, "3")], &expected);
                is(Some("auto"), None, &[(index, &text), (SHARDS, "3")], &expected);
            }
            let past = (first + 3).to_string();
            fails("auto", None, &[(index, &past), (total, "3")], "1 to 3");
            fails("auto", None, &[(index, "1")], "how many shards");
            fails("auto", None, &[(index, "x"), (total, "3")], "not a whole number");
        }
    }

    #[test]
    fn the_count_of_slurm_is_never_used() {
        let resubmitted = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
            ("SLURM_ARRAY_TASK_MAX", "7"),
        ];
        fails("auto", None, &resubmitted, "Slurm counts the tasks of an attempt");
        is(Some("auto"), Some(8), &resubmitted, "7/8");
        fails("auto", Some(8), &[("SLURM_ARRAY_TASK_ID", "0")], "counted from 1");
    }

    #[test]
    fn the_total_of_the_plan_stands_above_the_others() {
        let task =
            [("JOB_COMPLETION_INDEX", "2"), (SHARDS, "8"), ("AWS_BATCH_JOB_ARRAY_SIZE", "9")];
        is(Some("auto"), Some(400), &task, "3/400");
        is(Some("auto"), None, &task, "3/8");
        fails("2/4", Some(8), &[], "the saved plan is for 8 shards");
        fails("auto", Some(8), &[(SHARD, "2/4")], "the saved plan is for 8 shards");
        is(Some("2/8"), Some(8), &[], "2/8");
        fails("auto", Some(2), &task, "1 to 2");
    }

    #[test]
    fn without_a_number_the_variables_are_named() {
        fails("auto", Some(4), &[], "JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID");
    }
}
