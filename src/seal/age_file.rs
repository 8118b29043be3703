//! Age files: sealing to an epoch and opening, in memory or as a stream.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use zeroize::Zeroizing;

use super::header::{Strict, strict};
use super::{EpochIdentity, EpochRecipient, Error, Identities, Secret};

fn encrypt_error(error: EncryptError) -> Error {
    match error {
        EncryptError::Io(source) => Error::Io(source),
        _ => Error::NoRecipient,
    }
}

pub(super) fn decrypt_error(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => Error::Key,
        DecryptError::ExcessiveWork { required, .. } => Error::Work { what: format!("scrypt work factor {required}") },
        DecryptError::Io(source) => read_error(source),
        _ => Error::Damaged,
    }
}

fn read_error(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => Error::Damaged,
        _ => Error::Io(source),
    }
}

pub(super) fn seal_to<'a>(to: impl Iterator<Item = &'a dyn age::Recipient>, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let encryptor = Encryptor::with_recipients(to).map_err(encrypt_error)?;
    let mut writer = encryptor.wrap_output(Vec::with_capacity(plain.len() + 512)).map_err(Error::Io)?;
    writer.write_all(plain).map_err(Error::Io)?;
    writer.finish().map_err(Error::Io)
}

/// Reads the header of an age file.
pub(super) fn decryptor<R: BufRead>(sealed: R) -> Result<Decryptor<Strict<R>>, Error> {
    Decryptor::new_buffered(strict(sealed).map_err(read_error)?).map_err(decrypt_error)
}

pub(super) fn open_with<'a>(
    sealed: impl BufRead,
    size: usize,
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    limit: u64,
) -> Result<Secret, Error> {
    let mut reader = decryptor(sealed)?.decrypt(identities).map_err(decrypt_error)?;
    // Sized once: growing would leave copies of the plain text behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(size));
    (&mut reader).take(limit.saturating_add(1)).read_to_end(&mut plain).map_err(read_error)?;
    if plain.len() as u64 > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

/// Reads an age file in armour or without it; white space around armour is left out.
pub(super) fn armoured(file: &[u8]) -> age::armor::ArmoredReader<io::BufReader<&[u8]>> {
    age::armor::ArmoredReader::new(file.trim_ascii_start())
}

/// Seals to one epoch. Holds nothing secret, and cannot open what it sealed.
#[derive(Clone, Debug)]
pub struct Sealer {
    epoch: u32,
    recipient: EpochRecipient,
}

impl Sealer {
    /// Seals to this recipient, the public half of an epoch.
    #[must_use]
    pub fn new(epoch: u32, recipient: EpochRecipient) -> Self {
        Self { epoch, recipient }
    }

    /// The epoch, counted from 1.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Seals bytes as one age file (binary format). Two calls never give equal files.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Error> {
        seal_to(std::iter::once(self.recipient.as_age()), plain)
    }

    /// Begins an age file in `out`: write the plain bytes, then [`finish`](SealWriter::finish).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn writer<W: Write>(&self, out: W) -> Result<SealWriter<W>, Error> {
        let encryptor = Encryptor::with_recipients(std::iter::once(self.recipient.as_age())).map_err(encrypt_error)?;
        encryptor.wrap_output(out).map(SealWriter).map_err(Error::Io)
    }
}

/// An age file that is being written, in memory of a few 64 KiB pieces.
pub struct SealWriter<W: Write>(age::stream::StreamWriter<W>);

impl<W: Write> SealWriter<W> {
    /// Ends the age file; without this it is cut short and does not open.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self) -> Result<W, Error> {
        self.0.finish().map_err(Error::Io)
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealWriter")
    }
}

/// Opens what was sealed, with the identities of the epochs.
#[derive(Clone, Debug, Default)]
pub struct Opener {
    epochs: BTreeMap<u32, EpochIdentity>,
}

impl Opener {
    /// Opens the identities of epochs, given as `epochs/<n>/identity.age`, with own identities.
    ///
    /// # Errors
    /// [`Error::Key`] if one of the epochs does not open, and those of [`Identities::open`].
    pub fn unlock(own: &Identities, epochs: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Result<Self, Error> {
        let mut opener = Self::default();
        for (epoch, sealed) in epochs {
            let text = own.open(&sealed, 4096)?;
            opener.insert(epoch, EpochIdentity::parse(text.expose())?);
        }
        Ok(opener)
    }

    /// Adds the identity of an epoch.
    pub fn insert(&mut self, epoch: u32, identity: EpochIdentity) {
        self.epochs.insert(epoch, identity);
    }

    /// Gives the identity of an epoch.
    #[must_use]
    pub fn identity(&self, epoch: u32) -> Option<&EpochIdentity> {
        self.epochs.get(&epoch)
    }

    /// Opens an age file that was sealed to an epoch; no more than `limit` plain bytes are made.
    ///
    /// # Errors
    /// [`Error::EpochUnknown`], [`Error::Key`], [`Error::Damaged`], [`Error::TooLarge`].
    pub fn open(&self, epoch: u32, sealed: &[u8], limit: u64) -> Result<Secret, Error> {
        let identity = self.epochs.get(&epoch).ok_or(Error::EpochUnknown(epoch))?;
        open_with(sealed, sealed.len(), std::iter::once(identity.as_age()), limit)
    }

    /// Opens an age file as a stream. A file that was cut short or altered ends in an error of kind
    /// `InvalidData` or `UnexpectedEof`: what came before it is genuine, but not the whole.
    ///
    /// # Errors
    /// [`Error::EpochUnknown`], [`Error::Key`], [`Error::Damaged`], [`Error::Io`].
    pub fn reader<R: Read>(&self, epoch: u32, sealed: R) -> Result<OpenReader<R>, Error> {
        let identity = self.epochs.get(&epoch).ok_or(Error::EpochUnknown(epoch))?;
        let decryptor = decryptor(io::BufReader::new(sealed))?;
        decryptor.decrypt(std::iter::once(identity.as_age())).map(OpenReader).map_err(decrypt_error)
    }
}

/// The plain bytes of an age file, in memory of a few 64 KiB pieces.
pub struct OpenReader<R: Read>(age::stream::StreamReader<Strict<io::BufReader<R>>>);

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<R: Read> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenReader")
    }
}
