//! Which of some words may have been meant by a word that is none of them.

/// Gives up to three words that are like the one that was asked for, nearest first, without regard to case.
pub fn near<'a>(wanted: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_ascii_lowercase();
    let mut found: Vec<(usize, &str)> = words
        .into_iter()
        .filter_map(|word| {
            let lower = word.to_ascii_lowercase();
            let far = distance(&wanted, &lower);
            (far <= 1 + wanted.len() / 3 || (wanted.len() > 1 && lower.contains(&wanted))).then_some((far, word))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, word)| word.to_owned()).collect()
}

/// The number of letters to insert, drop or replace on the way from one word to another.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut before = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_like_a_word_is_near() {
        let words = ["pbx", "pbx-berlin", "gw-1", "router"];
        assert_eq!(near("pbxx", words), ["pbx"]);
        assert_eq!(near("PBX", words), ["pbx", "pbx-berlin"]);
        assert_eq!(near("gw1", words), ["gw-1"]);
        assert!(near("phone", words).is_empty() && near("x", ["y-1"]).is_empty());
    }

    #[test]
    fn distances_are_those_of_letters() {
        for (a, b, far) in [("", "", 0), ("gw", "gw", 0), ("gw-01", "gw-10", 2), ("gw", "", 2), ("kitten", "sitting", 3)] {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }
}
