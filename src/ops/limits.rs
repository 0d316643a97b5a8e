//! The limits of a run: the manifest's, overridden by the options, and divided among the shards of a
//! job that run at the same time.
//!
//! A host sees the job as a whole. So what the manifest declares for a host holds for all shards
//! together, and a job of many shards is as polite as a single run.

use super::Options;
use crate::manifest::{Http, Manifest, PerHost, Source};
use crate::transfer::FIRST;

/// The transport settings of each source. The limit on bytes is left out where it is that of the
/// manifest, which [`rate`] has.
pub(super) fn settings(manifest: &Manifest, options: &Options) -> Vec<Http> {
    let runs = runs(options);
    let of_source = |source: &Source| {
        let mut http = source.http.clone();
        if let Some(retries) = options.retries {
            http.retries = retries;
        }
        if let Some(jobs) = options.jobs {
            // A number of jobs holds for a single host, too, unless the manifest has a lower bound.
            http.connections_per_host = match http.connections_per_host {
                PerHost::Fixed(bound) => PerHost::Fixed(bound.min(jobs)),
                PerHost::Auto | PerHost::AutoFrom(_) => PerHost::Fixed(jobs),
            };
        }
        http.rate_limit = http.rate_limit.filter(|_| http.rate_limit != manifest.http().rate_limit);
        divide(&mut http, runs);
        http
    };
    manifest.sources().iter().map(of_source).collect()
}

/// Bytes per second, of all transfers together.
pub(super) fn rate(manifest: &Manifest, options: &Options) -> Option<u64> {
    part_of(options.limit_rate.or(manifest.http().rate_limit), runs(options))
}

/// The number of runs that share the limits.
fn runs(options: &Options) -> u32 {
    let shard = options.selection.shard();
    shard.map_or(1, |shard| options.shard_concurrency.unwrap_or(shard.total()).max(1))
}

fn divide(http: &mut Http, runs: u32) {
    if runs == 1 {
        return;
    }
    let connections = |all: usize| (all / runs as usize).max(1);
    http.connections_per_host = match http.connections_per_host {
        PerHost::Fixed(all) => PerHost::Fixed(connections(all)),
        PerHost::Auto => PerHost::AutoFrom(connections(FIRST)),
        PerHost::AutoFrom(first) => PerHost::AutoFrom(connections(first)),
    };
    http.requests_per_second = http.requests_per_second.map(|all| all / f64::from(runs));
    http.rate_limit = part_of(http.rate_limit, runs);
}

fn part_of(rate: Option<u64>, runs: u32) -> Option<u64> {
    rate.map(|all| (all / u64::from(runs)).max(1))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::select::Selection;
    use crate::manifest::{LoadOptions, Shard};

    fn of(http: &str, options: &Options) -> (Http, Option<u64>) {
        let text = format!(
            "{{version: 1, dest: d, http: {http}, sources: [{{url: 'http://h/{{n}}', vars: {{n: 1..9}}}}]}}"
        );
        let manifest =
            Manifest::parse(Path::new("m.yaml"), &text, &LoadOptions::default()).unwrap();
        (settings(&manifest, options).remove(0), rate(&manifest, options))
    }

    fn shard(total: u64, concurrency: Option<u32>) -> Options {
        let selection = Selection::all().of_shard(Some(Shard::new(1, total).unwrap()));
        Options { selection, shard_concurrency: concurrency, ..Options::default() }
    }

    #[test]
    fn a_run_without_shards_has_the_limits_of_the_manifest() {
        let declared = "{connections_per_host: 8, requests_per_second: 3, rate_limit: 1000}";
        let (http, rate) = of(declared, &Options::default());
        assert_eq!(http.connections_per_host, PerHost::Fixed(8));
        assert_eq!(
            (http.requests_per_second, http.rate_limit, rate),
            (Some(3.0), None, Some(1000))
        );
        let options = Options { shard_concurrency: Some(4), ..Options::default() };
        assert_eq!(of(declared, &options).0.connections_per_host, PerHost::Fixed(8));
    }

    #[test]
    fn shards_share_the_limits_of_the_job() {
        let declared = "{connections_per_host: 8, requests_per_second: 2, rate_limit: 1000}";
        for (total, concurrency, connections, requests, bytes) in [
            (4, None, 2, 0.5, 250),
            (400, Some(4), 2, 0.5, 250),
            (400, None, 1, 0.005, 2),
            (4, Some(1), 8, 2.0, 1000),
            (10_000, None, 1, 0.0002, 1),
        ] {
            let (http, rate) = of(declared, &shard(total, concurrency));
            assert_eq!(http.connections_per_host, PerHost::Fixed(connections), "{total}");
            assert_eq!(http.requests_per_second, Some(requests), "{total}");
            assert_eq!(rate, Some(bytes), "{total}");
        }
    }

    #[test]
    fn auto_begins_with_a_part_of_its_number() {
        for (total, first) in [(2, 5), (3, 3), (10, 1), (11, 1), (400, 1)] {
            let http = of("{retries: 4}", &shard(total, None)).0;
            assert_eq!(http.connections_per_host, PerHost::AutoFrom(first), "{total}");
        }
    }

    #[test]
    fn the_options_are_divided_as_well() {
        let options = Options { jobs: Some(8), limit_rate: Some(100), ..shard(4, None) };
        let (http, rate) = of("{retries: 4}", &options);
        assert_eq!((http.connections_per_host, rate), (PerHost::Fixed(2), Some(25)));
    }
}
