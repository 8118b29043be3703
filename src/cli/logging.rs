//! What the rooms tell with `tracing`, on standard error, by the number of `-v`.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;

use super::ui::safe;

/// Begins to log: warnings, or with `-v` what is done, with `-vv` how, with `-vvv` everything.
pub(super) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_target(verbose > 1).with_ansi(false).without_time();
    let started = log.with_writer(|| Safe).try_init();
    drop(started);
}

/// Standard error, with control characters made visible.
struct Safe;

impl Write for Safe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = String::new();
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => text.push_str(&format!("{}\n", safe(line))),
                None => text.push_str(&safe(line)),
            }
        }
        io::stderr().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
