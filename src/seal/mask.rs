//! Masking: secrets of a text replaced by tokens, and back ("Masking" in `docs/format.md`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;

use super::{DeviceKeys, Error, OPENING, Secret, Token};

/// The secrets behind tokens.
pub type SecretMap = BTreeMap<Token, Secret>;

/// A masked text.
#[derive(Debug, Clone)]
pub struct Masked {
    /// The text with its secrets replaced by tokens. Without any secret it is the plain text.
    pub text: Vec<u8>,
    /// The secrets that stand behind the tokens of this text.
    pub secrets: SecretMap,
}

/// Replaces the secrets of a text by tokens.
///
/// `spans` are byte ranges of the text, sorted and not overlapping. The bytes [`OPENING`] are masked
/// wherever they stand, also inside of a span, which is then cut around them: so what opens a token in
/// the result is always a token, and [`unmask`] gives back the text exactly.
///
/// # Errors
/// [`Error::Span`] if the spans are not sorted, overlap, or leave the text.
pub fn mask(text: &[u8], spans: &[Range<usize>], keys: &DeviceKeys) -> Result<Masked, Error> {
    let mut secrets = SecretMap::new();
    let mut keep = |token, secret: &[u8]| {
        secrets.entry(token).or_insert_with(|| Secret::new(secret));
    };
    let text = mask_telling(text, spans, keys, &mut keep)?.into_owned();
    Ok(Masked { text, secrets })
}

/// As [`mask`], but hands each secret with its token to `found`, in the order of the text and as often as it
/// stands there. The text is borrowed where it has nothing to mask.
///
/// # Errors
/// As [`mask`].
pub fn mask_telling<'t>(
    text: &'t [u8],
    spans: &[Range<usize>],
    keys: &DeviceKeys,
    found: &mut dyn FnMut(Token, &[u8]),
) -> Result<Cow<'t, [u8]>, Error> {
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(OPENING));
    let mut out = Masker { text, keys, done: 0, masked: Vec::new(), found };
    let mut openings = FINDER.find_iter(text).peekable();
    if spans.is_empty() && openings.peek().is_none() {
        return Ok(Cow::Borrowed(text));
    }
    out.masked.reserve_exact(text.len() + spans.len() * Token::LEN);
    let mut before = 0;
    for span in spans {
        if span.start < before || span.end < span.start || span.end > text.len() {
            return Err(Error::Span { at: span.start });
        }
        before = span.end;
        let mut start = span.start;
        // An opening that begins before the end of the span is masked on its own; what is left of the
        // span on both sides of it is a secret of its own.
        while let Some(at) = openings.next_if(|at| *at < span.end) {
            out.secret(start..at.max(start));
            out.opening(at);
            start = start.max(at + OPENING.len());
        }
        out.secret(start..span.end.max(start));
    }
    for at in openings {
        out.opening(at);
    }
    if out.done == 0 && out.masked.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    out.masked.extend_from_slice(&text[out.done..]);
    Ok(Cow::Owned(out.masked))
}

struct Masker<'a> {
    text: &'a [u8],
    keys: &'a DeviceKeys,
    done: usize,
    masked: Vec<u8>,
    found: &'a mut dyn FnMut(Token, &[u8]),
}

impl Masker<'_> {
    fn secret(&mut self, span: Range<usize>) {
        // The opening before may have taken the beginning of this span.
        let span = span.start.max(self.done)..span.end;
        if span.start < span.end {
            let secret = &self.text[span.clone()];
            self.replace(span, self.keys.token(secret));
        }
    }

    fn opening(&mut self, at: usize) {
        self.replace(at..at + OPENING.len(), self.keys.opening());
    }

    fn replace(&mut self, span: Range<usize>, token: Token) {
        let secret = &self.text[span.clone()];
        self.masked.extend_from_slice(&self.text[self.done..span.start]);
        self.masked.extend_from_slice(&token.to_bytes());
        (self.found)(token, secret);
        self.done = span.end;
    }
}

/// Puts the secrets of a masked text back, in one pass.
///
/// # Errors
/// [`Error::TokenUnknown`] for a token that `secrets` does not have; [`Error::TokenBroken`] where an
/// opening is not followed by the rest of a token.
pub fn unmask(masked: &[u8], secrets: &SecretMap) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(masked.len());
    let mut done = 0;
    for at in memmem::find_iter(masked, OPENING) {
        let token = Token::at_start(&masked[at..]).ok_or(Error::TokenBroken { at })?;
        let secret = secrets.get(&token).ok_or(Error::TokenUnknown(token))?;
        out.extend_from_slice(&masked[done..at]);
        out.extend_from_slice(secret.expose());
        done = at + Token::LEN;
    }
    out.extend_from_slice(&masked[done..]);
    Ok(out)
}

/// The tokens of a masked text and where they stand, in order.
#[must_use]
pub fn tokens(masked: &[u8]) -> Vec<(Range<usize>, Token)> {
    let at = memmem::find_iter(masked, OPENING);
    at.filter_map(|at| Some((at..at + Token::LEN, Token::at_start(&masked[at..])?))).collect()
}
