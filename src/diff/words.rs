//! Which words of a line changed; tokens of secrets.
