//! Damages the state in a thousand ways. Each damage must be detected or harmless, and the next
//! normal run must repair everything. The runs use the library in this process, so a panic in it
//! fails the test.

use std::fs;

use natsync::event::Summary;
use natsync::ops::Options;

use crate::dice::Dice;
use crate::inside;
use crate::world::World;

const FILES: u64 = 5;
const PAGE: usize = 4096;

fn run(world: &World) -> (Summary, Vec<String>) {
    // A child process that another test forks inherits the descriptor of the run guard until its
    // `exec`. So the guard of the previous run may still be held for a moment.
    let options = Options { wait: true, ..Options::default() };
    let (summary, warnings) = inside::run(world, &options).expect("a run");
    (summary, warnings.0)
}

/// Damages the bytes of a state, and returns a description.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    let pages = bytes.len() / PAGE;
    let at = dice.roll(bytes.len());
    match dice.roll(12) {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            let page = dice.roll(pages);
            bytes[page * PAGE..(page + 1) * PAGE].fill(0);
            format!("page {page} zeroed")
        }
        2 => {
            let (one, other) = (dice.roll(pages), dice.roll(pages));
            let copy = bytes[one * PAGE..(one + 1) * PAGE].to_vec();
            bytes.copy_within(other * PAGE..(other + 1) * PAGE, one * PAGE);
            bytes[other * PAGE..(other + 1) * PAGE].copy_from_slice(&copy);
            format!("pages {one} and {other} exchanged")
        }
        3 => {
            let length = dice.roll(5000);
            bytes.extend((0..length).map(|_| dice.roll(256).to_le_bytes()[0]));
            format!("{length} bytes more")
        }
        4 | 5 => {
            let end = (at + 1 + dice.roll(64)).min(bytes.len());
            for byte in &mut bytes[at..end] {
                *byte = dice.roll(256).to_le_bytes()[0];
            }
            format!("noise from {at} to {end}")
        }
        _ => {
            let bit = dice.roll(8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
    }
}

fn healed(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let world = World::in_memory().source("$BASE/{n}.txt", &[&format!("vars: {{n: 1..{FILES}}}")]);
    let mut contents: Vec<String> = (1..=FILES).map(|n| format!("file {n}, at first\n")).collect();
    let serve = |n: usize, content: &str| {
        world.origin.serve(&format!("/{}.txt", n + 1), content.to_owned());
    };
    for (n, content) in contents.iter().enumerate() {
        serve(n, content);
    }
    run(&world);
    let state = world.state();
    let mut noticed = 0;
    for round in 0..250 {
        let mut bytes = fs::read(&state).expect("the state");
        let how = damage(&mut bytes, &mut dice);
        fs::write(&state, &bytes).expect("the state is writable");
        // One file changes upstream and one locally. A run that trusts a wrong state would miss
        // them.
        let changed = dice.roll(contents.len());
        contents[changed] = format!("file {changed}, in round {round} of {seed}\n");
        serve(changed, &contents[changed]);
        let edited = dice.roll(contents.len());
        let path = world.path(&format!("out/{}.txt", edited + 1));
        fs::write(&path, "edited here").expect("it is writable");

        let (summary, warnings) = run(&world);
        let which = format!("seed {seed}, round {round}, {how}: {summary:?} {warnings:?}");
        assert!(summary.is_success(), "{which}");
        let is_anew = warnings.iter().any(|warning| warning.contains("begun anew"));
        noticed += usize::from(is_anew);
        for (n, content) in contents.iter().enumerate() {
            let got = fs::read_to_string(world.path(&format!("out/{}.txt", n + 1))).expect("text");
            assert_eq!(&got, content, "{which}");
        }
        for name in world.files("out/.natsync").into_keys().filter(|name| name.contains("corrupt"))
        {
            fs::remove_file(world.path("out/.natsync").join(name)).expect("it is there");
        }
    }
    assert!(10 < noticed, "hardly any damage was noticed: {noticed}");
}

#[test]
fn a_quarter_of_a_thousand() {
    healed(1);
}

#[test]
fn another_quarter() {
    healed(2);
}

#[test]
fn a_third_quarter() {
    healed(3);
}

#[test]
fn the_last_quarter() {
    healed(4);
}
