//! Input that was made to hang, to hide or to break out.

use std::time::Duration;

use confvault::diff::{BodyDiff, Options, compare};

use crate::support::{GNU, assert_makes, file, side, unified};

fn numbered(range: impl Iterator<Item = u32>) -> Vec<u8> {
    range.flat_map(|n| format!("line {n}\n").into_bytes()).collect()
}

#[test]
fn a_hundred_thousand_different_lines() {
    let old = side(vec![file("x", &numbered(0..100_000))]);
    let new = side(vec![file("x", &numbered(100_000..200_000))]);
    let result = compare(&old, &new, &Options { limit: Duration::ZERO, ..Options::default() });
    let BodyDiff::Lines(lines) = &result.files[0].body else { panic!() };
    // No line is common, so nothing had to be searched and time does not matter.
    assert!(!lines.hurried);
    assert_eq!((lines.added, lines.removed), (100_000, 100_000));
}

#[test]
fn a_search_that_would_never_end_stops_and_is_still_right() {
    // The same lines in reverse: as many differences as there can be.
    let old = side(vec![file("x", &numbered(0..100_000))]);
    let new = side(vec![file("x", &numbered((0..100_000).rev()))]);
    let result = compare(&old, &new, &Options { limit: Duration::from_millis(100), ..Options::default() });
    let BodyDiff::Lines(lines) = &result.files[0].body else { panic!() };
    assert!(lines.hurried);
    let patch = unified(&result);
    assert!(String::from_utf8_lossy(&patch).contains("time ran out"));
    assert_makes(&old, &new, &patch, GNU);
}

#[test]
fn two_lines_in_turns_and_one_line_many_times() {
    let lines = |n: usize, every: usize| -> Vec<u8> {
        (0..n).flat_map(|i| if i % every == 0 { b"a\n".to_vec() } else { b"b\n".to_vec() }).collect()
    };
    for (old, new) in [(lines(50_000, 2), lines(50_000, 3)), (lines(60_000, 1), lines(40_000, 1))] {
        let (old, new) = (side(vec![file("x", &old)]), side(vec![file("x", &new)]));
        let result = compare(&old, &new, &Options { limit: Duration::from_millis(200), ..Options::default() });
        assert_makes(&old, &new, &unified(&result), GNU);
    }
}
