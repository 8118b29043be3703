//! Reading on after an interruption.

use std::io::{self, ErrorKind, Read};

/// A reader whose reads are taken up again where the system interrupted them, as it may at any time on a
/// file system over the network. For readers that do not do so themselves: those of the standard library
/// that read to an end do.
#[derive(Debug)]
pub struct Patient<R>(pub R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
