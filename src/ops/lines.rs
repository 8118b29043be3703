//! Numbers of lines.

/// Where the lines of a text end, so that each number is found without counting from the beginning.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// Takes a text apart.
    pub(super) fn of(text: &[u8]) -> Self {
        Self(memchr::memchr_iter(b'\n', text).collect())
    }

    /// The number of the line that a byte stands in, from 1; a line's end belongs to it.
    pub(super) fn number(&self, at: usize) -> usize {
        1 + self.0.partition_point(|end| *end < at)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn a_number_is_the_count_of_ends_before() {
        let text = b"a\n\nbc\nd";
        let lines = Lines::of(text);
        for at in 0..=text.len() {
            assert_eq!(lines.number(at), 1 + text[..at].iter().filter(|b| **b == b'\n').count());
        }
    }
}
