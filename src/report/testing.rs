//! Shared helpers for the tests of reporters.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use super::console::{Console, Settings};
use super::workflow::Workflow;
use crate::manifest::{LoadOptions, Manifest};

/// A manifest of two sources. Entry 0 is `0817-1.jpg` of `wallpapers`, entry 338 is `poster-1.png`
/// of `posters`.
pub(crate) const WALLPAPERS: &str = "version: 1
name: natgeo
dest: ../mirror/natgeo
sources:
  - name: wallpapers
    url: http://ngm.example/img/0817-{n}.jpg
    vars: {n: 1..338}
  - name: posters
    url: http://posters.example/poster-{n}.png
    vars: {n: 1..9}
";

/// A manifest of one source.
pub(crate) const ONE_SOURCE: &str = "version: 1
name: natgeo
dest: ../mirror/natgeo
sources:
  - name: wallpapers
    url: http://ngm.example/img/0817-{n}.jpg
    vars: {n: 1..338}
";

pub(crate) fn manifest(text: &str) -> Manifest {
    let options =
        LoadOptions { today: jiff::civil::date(2026, 1, 31), set: &[], env: &|_| None, dest: None };
    Manifest::parse(Path::new("natgeo.yaml"), text, &options).unwrap()
}

/// A console whose output can be read.
pub(crate) struct Captured {
    pub(crate) console: Console,
    out: Shared,
    err: Shared,
}

impl Captured {
    pub(crate) fn new(settings: Settings, width: Option<usize>) -> Self {
        let (out, err) = (Shared::default(), Shared::default());
        let console = Console::of(settings, Box::new(out.clone()), Box::new(err.clone()), width);
        Self { console, out, err }
    }

    pub(super) fn in_workflow(self, workflow: Workflow) -> Self {
        Self { console: self.console.in_workflow(workflow), ..self }
    }

    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    pub(crate) fn err(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
