//! An SFTP server (version 3) that lies: about names, sizes, and the end of things.
#![allow(dead_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is not so. Otherwise there is a folder with the file `a.conf`, which says `alpha`.
#[derive(Debug, Clone, PartialEq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Nothing, and there are so many files.
    Files(usize),
    /// The listing has this name.
    Name(Vec<u8>),
    /// The listing goes on for ever.
    EndlessListing,
    /// Each folder has another one, for ever.
    EndlessDepth,
    /// The file is said to have five bytes, and goes on for ever.
    EndlessFile,
    /// The file is said to have a mebibyte, and ends after five bytes.
    ShortFile,
    /// The listing is never answered.
    Silent,
    /// The answer is said to have two gibibytes.
    HugePacket,
    /// The answers are noise.
    Noise,
}

/// Files that are open at once, over all channels, and the most that there were.
#[derive(Default)]
pub struct Flights {
    open: AtomicUsize,
    pub most: AtomicUsize,
}

pub struct Liar {
    lie: Lie,
    flights: Arc<Flights>,
    input: Vec<u8>,
    /// Handles by number: the path, and how often it was read.
    open: Vec<(Vec<u8>, usize)>,
}

const FILE: &[u8] = b"alpha";

impl Liar {
    pub fn new(lie: Lie, flights: Arc<Flights>) -> Self {
        Self { lie, flights, input: Vec::new(), open: Vec::new() }
    }

    /// Takes bytes of the client and gives what is to be sent.
    pub fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(bytes);
        let mut out = Vec::new();
        while let Some((length, rest)) = self.input.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(packet) = rest.get(..length).map(<[u8]>::to_vec) else { break };
            self.input.drain(..4 + length);
            let answer = self.packet(&packet);
            if !answer.is_empty() {
                let said = if self.lie == Lie::HugePacket && answer[0] != 2 { 2 << 30 } else { answer.len() as u32 };
                out.extend(said.to_be_bytes());
                out.extend(answer);
            }
        }
        out
    }

    fn packet(&mut self, packet: &[u8]) -> Vec<u8> {
        let (kind, rest) = packet.split_first().unwrap();
        if *kind == 1 {
            return vec![2, 0, 0, 0, 3];
        }
        let (id, rest) = rest.split_at(4);
        if self.lie == Lie::Noise {
            return [&[kind.wrapping_mul(37)], id, &[0xff; 40]].concat();
        }
        let text = || {
            let (length, rest) = rest.split_first_chunk::<4>().unwrap();
            rest[..u32::from_be_bytes(*length) as usize].to_vec()
        };
        let handle = || u32::from_be_bytes(text().try_into().unwrap()) as usize;
        match kind {
            // OPEN, OPENDIR
            3 | 11 => {
                if *kind == 11 && self.lie == Lie::Silent {
                    return Vec::new();
                }
                if *kind == 3 {
                    let open = self.flights.open.fetch_add(1, Ordering::SeqCst) + 1;
                    self.flights.most.fetch_max(open, Ordering::SeqCst);
                }
                self.open.push((text(), 0));
                let number = (self.open.len() - 1) as u32;
                [&[102], id, &4_u32.to_be_bytes(), &number.to_be_bytes()].concat()
            }
            // CLOSE
            4 => {
                if self.open[handle()].0.ends_with(b".conf") {
                    self.flights.open.fetch_sub(1, Ordering::SeqCst);
                }
                status(id, 0)
            }
            // READ
            5 => {
                let at = handle();
                let offset = u64::from_be_bytes(rest[8..16].try_into().unwrap());
                let wanted = u32::from_be_bytes(rest[16..20].try_into().unwrap()) as usize;
                self.open[at].1 += 1;
                let data = match self.lie {
                    Lie::EndlessFile => vec![b'x'; wanted.min(32_000)],
                    _ if offset == 0 => FILE.to_vec(),
                    _ => return status(id, 1),
                };
                [&[103], id, &(data.len() as u32).to_be_bytes(), data.as_slice()].concat()
            }
            // LSTAT, STAT, FSTAT
            7 | 8 | 17 => {
                let path = if *kind == 8 { self.open[handle()].0.clone() } else { text() };
                [&[105], id, self.attributes(&path).as_slice()].concat()
            }
            // READDIR
            12 => {
                let at = handle();
                self.open[at].1 += 1;
                let turn = self.open[at].1;
                let names: Vec<Vec<u8>> = match &self.lie {
                    Lie::EndlessListing => (0..100).map(|i| format!("{turn}-{i}.conf").into_bytes()).collect(),
                    _ if turn > 1 => return status(id, 1),
                    Lie::Files(count) => (0..*count).map(|i| format!("{i}.conf").into_bytes()).collect(),
                    Lie::EndlessDepth => vec![b"deeper".to_vec()],
                    Lie::Name(name) => vec![b".".to_vec(), b"..".to_vec(), b"a.conf".to_vec(), name.clone()],
                    _ => vec![b".".to_vec(), b"..".to_vec(), b"a.conf".to_vec()],
                };
                let mut out = [&[104], id, &(names.len() as u32).to_be_bytes()].concat();
                for name in names {
                    for part in [name.as_slice(), b"-rw-r--r-- ?"] {
                        out.extend((part.len() as u32).to_be_bytes());
                        out.extend(part);
                    }
                    out.extend(self.attributes(&name));
                }
                out
            }
            // REALPATH
            16 => {
                let path = text();
                let length = (path.len() as u32).to_be_bytes();
                [&[104], id, &[0, 0, 0, 1], &length, &path, &length, &path, &[0, 0, 0, 0]].concat()
            }
            _ => status(id, 8),
        }
    }

    fn attributes(&self, path: &[u8]) -> Vec<u8> {
        let is_file = path.ends_with(b".conf") || matches!(&self.lie, Lie::Name(name) if path.ends_with(name));
        let size: u64 = match (&self.lie, is_file) {
            (Lie::ShortFile, true) => 1 << 20,
            _ => FILE.len() as u64,
        };
        let mode: u32 = if is_file { 0o100_644 } else { 0o040_755 };
        [
            &13_u32.to_be_bytes()[..],
            &size.to_be_bytes(),
            &mode.to_be_bytes(),
            &1_000_000_000_u32.to_be_bytes(),
            &1_000_000_000_u32.to_be_bytes(),
        ]
        .concat()
    }
}

fn status(id: &[u8], code: u32) -> Vec<u8> {
    [&[101], id, &code.to_be_bytes(), &[0, 0, 0, 0], &[0, 0, 0, 0]].concat()
}
