//! Lines at the bottom of the terminal that are redrawn in place.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle, TermLike};

/// Draws a few lines and replaces them. Their text is made by `progress`.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: bool,
    bar: Option<ProgressBar>,
}

impl Screen {
    /// A screen on the terminal of stderr, or else one that writes escape sequences to stderr.
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal, bar: None }
    }

    pub(super) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    /// Replaces the lines. The caller limits the frame rate.
    pub(super) fn show(&mut self, lines: String) {
        let terminal = self.terminal;
        self.bar.get_or_insert_with(|| bar(terminal)).set_message(lines);
    }

    /// Removes the lines, lets `write` write, and draws them again.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Higher than the frame rate of `progress`, so that the library never skips a frame.
const HERTZ: u8 = 20;

fn bar(terminal: bool) -> ProgressBar {
    let target = if terminal {
        ProgressDrawTarget::stderr_with_hz(HERTZ)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(NoTerminal), HERTZ)
    };
    let style = ProgressStyle::with_template("{msg}").expect("the template is valid");
    ProgressBar::with_draw_target(None, target)
        .with_style(style)
        .with_finish(ProgressFinish::AndClear)
}

/// stderr without a terminal, for `--progress always`: a recording, or a log that is shown on a
/// terminal later.
#[derive(Debug)]
struct NoTerminal;

fn write(text: &str) -> io::Result<()> {
    io::stderr().write_all(text.as_bytes())
}

/// Writes the sequence that moves the cursor. Terminals read a count of zero as one.
fn move_cursor(steps: usize, direction: char) -> io::Result<()> {
    if steps == 0 { Ok(()) } else { write(&format!("\x1b[{steps}{direction}")) }
}

impl TermLike for NoTerminal {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        move_cursor(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        write(&format!("{s}\n"))
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        write(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        write("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
