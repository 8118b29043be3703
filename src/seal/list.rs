//! The secrets of many texts, gathered before they are sealed.

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

use super::Token;

/// Bytes of one piece of memory.
const PIECE: usize = 4096;

/// Secrets and their tokens, many in one piece of memory, which is wiped when dropped.
#[derive(Default)]
pub struct SecretList {
    /// Never grown beyond what was asked for: that would leave copies of the secrets behind.
    pieces: Vec<Zeroizing<Vec<u8>>>,
    places: Vec<Place>,
}

struct Place {
    token: Token,
    piece: usize,
    bytes: Range<usize>,
}

impl SecretList {
    /// Adds a secret and the token that stands for it.
    pub fn add(&mut self, token: Token, secret: &[u8]) {
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < secret.len()) {
            self.pieces.push(Zeroizing::new(Vec::with_capacity(secret.len().max(PIECE))));
        }
        let last = self.pieces.len() - 1;
        let piece = &mut self.pieces[last];
        let bytes = piece.len()..piece.len() + secret.len();
        piece.extend_from_slice(secret);
        self.places.push(Place { token, piece: last, bytes });
    }

    /// Counts what was added; a token that was added twice counts twice.
    #[must_use]
    pub fn added(&self) -> usize {
        self.places.len()
    }

    /// Gives the tokens as they were added.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        self.places.iter().map(|place| place.token)
    }

    /// Gives each token once with its secret, in the order of the tokens.
    pub fn in_order(&mut self) -> impl ExactSizeIterator<Item = (Token, &[u8])> + Clone {
        self.places.sort_unstable_by_key(|place| place.token);
        self.places.dedup_by_key(|place| place.token);
        self.places.iter().map(|place| (place.token, &self.pieces[place.piece][place.bytes.clone()]))
    }
}

impl fmt::Debug for SecretList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretList({} secrets)", self.places.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_comes_back_once_and_in_order_wherever_it_lies() {
        let token = |n: u8| Token::of(&[n; 32], b"x");
        let large = vec![b'l'; 3 * PIECE];
        let mut list = SecretList::default();
        let mut expected = std::collections::BTreeMap::new();
        for round in 0..2 {
            for n in 0..200 {
                let secret = if n == 77 { large.clone() } else { vec![n; usize::from(n)] };
                list.add(token(n), &secret);
                expected.insert(token(n), secret);
            }
            assert_eq!(list.added(), 200 * (round + 1));
        }
        assert_eq!(list.tokens().next(), Some(token(0)));
        // Nothing has moved since it was written.
        assert!(list.pieces.iter().all(|piece| piece.capacity() <= large.len() && piece.len() <= piece.capacity()));
        let found = list.in_order();
        assert_eq!(found.len(), 200);
        assert!(found.map(|(token, secret)| (token, secret.to_vec())).eq(expected));
        assert_eq!(format!("{list:?}"), "SecretList(200 secrets)");
    }
}
