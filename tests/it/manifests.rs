//! The example manifests expand to exactly the intended files, and the manifests in the documents
//! are valid.
//!
//! Nothing is downloaded. The expected lists were not made with natsync. `today` is set, because
//! several ranges end relative to it. For long lists, the tests compare the length, the first and
//! last line, and the digest of the list.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::world::natsync;

const TODAY: &str = "2026-01-31";

/// The URL templates of the shell script of 2010, verbatim, newest first.
const SCRIPT_TEMPLATES: [&str; 13] = [
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1109wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1102wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1026wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1019wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1013wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/1005wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0928wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0921wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0914wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0907wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0831wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0824wallpaper-%s_1600.jpg",
    "http://ngm.nationalgeographic.com/photo-contest/2009/img/wallpaper/0817wallpaper-%s_1600.jpg",
];

/// Every manifest in `manifests/`, each with a test below.
const COVERED: [&str; 7] =
    ["blue-marble", "buoys", "gharchive", "natgeo", "nyc-taxi", "ripgrep", "url-fixtures"];

#[test]
fn every_example_manifest_has_a_test_here() {
    let stems: BTreeSet<String> = fs::read_dir(root().join("manifests"))
        .expect("the manifests folder")
        .map(|entry| entry.expect("an entry of the manifests folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().expect("a stem").to_string_lossy().into_owned())
        .collect();
    assert_eq!(stems, COVERED.map(str::to_owned).into());
}

#[test]
fn natgeo_is_the_338_urls_of_the_script_each_once() {
    let mut script: Vec<String> = SCRIPT_TEMPLATES
        .iter()
        .rev()
        .flat_map(|template| (1..=26).map(|n: u32| template.replace("%s", &n.to_string())))
        .collect();
    let output = list("natgeo", "urls");
    let mut urls: Vec<String> = output.lines().map(str::to_owned).collect();
    assert_eq!(urls, script, "oldest week first, numbers rising");

    urls.sort();
    urls.dedup();
    script.sort();
    assert_eq!(urls, script);
    assert_eq!(urls.len(), 338);

    check_paths("natgeo", "0817wallpaper-1_1600.jpg", "1109wallpaper-26_1600.jpg");
    let first = entries("natgeo").swap_remove(0);
    assert_eq!(first["source"], "wallpapers");
    assert_eq!(
        first["mirrors"],
        serde_json::json!([format!(
            "https://web.archive.org/web/2010id_/{}",
            SCRIPT_TEMPLATES[12].replace("%s", "1")
        )])
    );
}

#[test]
fn gharchive_is_the_hours_of_the_last_seven_days() {
    check_whole("gharchive", include_str!("golden/gharchive.urls"));
    check_paths("gharchive", "2026/01/24/00.json.gz", "2026/01/30/23.json.gz");
}

#[test]
fn ripgrep_is_three_versions_without_the_missing_builds() {
    check_whole("ripgrep", include_str!("golden/ripgrep.urls"));
    check_paths("ripgrep", "14.1.0/macos-x86_64.tar.gz", "15.1.0/linux-aarch64.tar.gz");
}

#[test]
fn buoys_are_the_stations_of_the_table_by_year() {
    check_whole("buoys", include_str!("golden/buoys.urls"));
    check_paths("buoys", "pacific/46042/2000.txt.gz", "gulf/42001/2025.txt.gz");
}

#[test]
fn url_fixtures_are_the_files_written_out() {
    check_whole("url-fixtures", include_str!("golden/url-fixtures.urls"));
    check_paths("url-fixtures", "public_suffix_list.dat", "toascii.json");
}

#[test]
fn nyc_taxi_is_every_month_of_each_kind_since_its_first() {
    check_digest(
        "nyc-taxi",
        564,
        "https://d37ci6vzurychx.cloudfront.net/trip-data/yellow_tripdata_2009-01.parquet",
        "https://d37ci6vzurychx.cloudfront.net/trip-data/fhvhv_tripdata_2025-11.parquet",
        "cf2f14a2eec8e0a900c4df09706614a0a4677cafae8c9e63dc0fd49788101677",
    );
    check_paths(
        "nyc-taxi",
        "yellow/2009/yellow_tripdata_2009-01.parquet",
        "fhvhv/2025/fhvhv_tripdata_2025-11.parquet",
    );
}

#[test]
fn blue_marble_is_six_levels_of_tiles() {
    let tiles = "https://gibs.earthdata.nasa.gov/wmts/epsg3857/best/BlueMarble_ShadedRelief_Bathymetry/default/GoogleMapsCompatible_Level8";
    check_digest(
        "blue-marble",
        1365,
        &format!("{tiles}/0/0/0.jpeg"),
        &format!("{tiles}/5/31/31.jpeg"),
        "f7ef53355ad6a83eaad5f744a55804155e781c9104de81ee4cfc33fbeeca5469",
    );
    check_paths("blue-marble", "0/0/0.jpeg", "5/31/31.jpeg");
    // The second tile of the second level: row 1, column 0. The path has the column first.
    let tile = entries("blue-marble").swap_remove(2);
    assert_eq!(tile["url"], format!("{tiles}/1/1/0.jpeg"));
    assert_eq!(tile["path"], "1/0/1.jpeg");
}

#[test]
fn the_manifests_in_the_documents_are_valid() {
    for document in ["README.md", "docs/manifest.md", "docs/checksums.md"] {
        let text = fs::read_to_string(root().join(document)).expect("the document");
        let manifests: Vec<&str> = text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .filter(|block| block.starts_with("version: 1\n"))
            .collect();
        assert!(!manifests.is_empty(), "{document} shows a manifest");
        for manifest in manifests {
            let dir = tempfile::tempdir().expect("a temporary directory");
            fs::write(dir.path().join("natsync.yaml"), manifest).expect("the manifest");
            fs::write(dir.path().join(".netrc"), "").expect("its credentials");
            let stations = "id,region,name\n18700,east,Blindern\n50540,west,Florida\n";
            fs::write(dir.path().join("stations.csv"), stations).expect("its table");
            let output = natsync(&["list", "--format", "urls", "--today", TODAY], dir.path());
            assert_eq!(output.status, 0, "{document}:\n{manifest}\n{}", output.stderr);
            assert!(output.stdout.starts_with("http"), "{document}:\n{manifest}");
        }
    }
}

#[track_caller]
fn check_whole(name: &str, golden: &str) {
    assert_eq!(list(name, "urls"), golden);
}

#[track_caller]
fn check_digest(name: &str, count: usize, first: &str, last: &str, sha256: &str) {
    let output = list(name, "urls");
    let urls: Vec<&str> = output.lines().collect();
    assert_eq!(urls.first(), Some(&first));
    assert_eq!(urls.last(), Some(&last));
    assert_eq!(urls.len(), count);
    let digest = Sha256::digest(&output)
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(digest, sha256, "the lines between differ from the expected ones");
}

/// Checks the paths of the first and the last entry, and that no path occurs twice.
#[track_caller]
fn check_paths(name: &str, first: &str, last: &str) {
    let entries = entries(name);
    let paths: Vec<&str> =
        entries.iter().map(|entry| entry["path"].as_str().expect("a path")).collect();
    assert_eq!(paths.first(), Some(&first));
    assert_eq!(paths.last(), Some(&last));
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len());
}

#[track_caller]
fn entries(name: &str) -> Vec<serde_json::Value> {
    list(name, "json")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .filter(|value: &serde_json::Value| value["type"] == "entry")
        .collect()
}

#[track_caller]
fn list(name: &str, format: &str) -> String {
    let manifest = format!("manifests/{name}.yaml");
    let output = natsync(&["list", &manifest, "--format", format, "--today", TODAY], root());
    assert_eq!(output.status, 0, "{}", output.stderr);
    output.stdout
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
