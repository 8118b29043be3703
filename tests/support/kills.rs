//! Kills of processes at random moments, on a fast machine as on a slow one.

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

/// Draws when the next process is killed: within a time that shrinks when one ended before, and grows when one was
/// killed, so that about half of them are, whatever they do and however long that takes here.
pub struct Kills {
    seed: u64,
    within_us: u64,
    pub killed: usize,
    /// How many ended before they were killed.
    pub ended: usize,
}

impl Kills {
    pub fn new(seed: u64) -> Self {
        Self { seed, within_us: 20_000, killed: 0, ended: 0 }
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> usize {
        self.killed + self.ended
    }

    /// Tells whether another round is due: until there were `rounds`, a quarter of them killed, and some ended, as a window
    /// that never reaches the end tries nothing that stands there. A machine that cannot get there in ten times the rounds
    /// is not what is wrong.
    #[track_caller]
    pub fn go_on(&self, rounds: usize) -> bool {
        let (killed, ended) = (self.killed, self.ended);
        let enough = killed >= rounds / 4 && ended >= rounds / 10;
        assert!(enough || self.rounds() < 10 * rounds, "{killed} were killed in time, {ended} ended before");
        self.rounds() < rounds || !enough
    }

    /// The next number of the seed, of 31 bits.
    pub fn draw(&mut self) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap()
    }

    /// Waits a while, kills, and takes what is left.
    pub fn kill(&mut self, mut running: Child) {
        let delay = self.draw() as u64 % self.within_us;
        std::thread::sleep(Duration::from_micros(delay));
        drop(running.kill());
        let in_time = running.wait().unwrap().signal() == Some(9);
        *if in_time { &mut self.killed } else { &mut self.ended } += 1;
        let next = if in_time { self.within_us * 5 / 4 } else { self.within_us * 3 / 4 };
        self.within_us = next.clamp(100, 60_000_000);
    }
}
