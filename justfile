# Every check and tool of the project by name: `just --list`. `.ci/run` runs the checks.
# A recipe that `.ci/run` calls is a list of plain `sh` lines, since it runs without `just`, too.

# List the recipes
default:
    @just --list --unsorted

# Run every check, as `.ci/run` does after it installed the programs that tests need
check: fmt clippy doc test models deny

# Check the formatting
fmt:
    cargo fmt --check

# Run the lints; warnings are errors
clippy:
    cargo clippy --all-targets -- -D warnings

# Build the documentation; warnings are errors
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Run all tests
test:
    cargo test

# Check the queues between threads in every interleaving (models/)
models:
    cargo run --quiet --manifest-path models/Cargo.toml --target-dir target/models

# Hold the dependencies to deny.toml, where cargo-deny is installed
deny:
    sh .ci/deny

# Run all tests but the examples in doc comments with cargo-nextest
nextest:
    cargo nextest run

# Write the generated pages and schemas in docs/ anew
update:
    UPDATE=1 cargo test --lib the_committed_schema_is_that
    UPDATE=1 cargo test --test it -- the_committed_schema_is_what the_reference_is the_tour_is

# Feed each reader with COUNT mutated inputs from tests/corpus
fuzz COUNT="100000":
    NATSYNC_FUZZ={{COUNT}} cargo test --release --lib fuzz::

# Fuzz each reader for SECONDS, guided by coverage; needs cargo-fuzz
fuzz-coverage SECONDS="60":
    fuzz/run {{SECONDS}}

# Run the transfer engine against simulated origins for the first COUNT seeds
seeds COUNT="10000":
    NATSYNC_SEEDS={{COUNT}} cargo test --release --lib simulation::every_

# Play the first COUNT histories of random faults, kills and signals over real sockets
chaos COUNT="20":
    NATSYNC_CHAOS={{COUNT}} cargo test --test it -- chaos::

# Time the pure parts and the readers, one by one
bench:
    cargo bench --bench micro

# Compare counted instructions with benches/instructions.json; needs valgrind and nginx
instructions:
    cargo build --release
    python3 benches/instructions.py

# Compare with curl, wget2, aria2 and rclone on this machine; needs nginx and takes ten minutes
peers:
    cargo build --release
    python3 benches/peers.py

# Measure whether time grows in proportion to the number of origins; needs nginx
origins:
    cargo build --release
    python3 benches/origins.py

# Measure runs over a million files
scale:
    cargo build --release
    python3 benches/scale.py

# Compare natsync's connections with reqwest and its walk with walkdir; needs nginx, valgrind and strace
clients:
    python3 benches/clients/run.py
