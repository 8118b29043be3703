//! Which of several words are points and which are paths.

use super::{Error, PathFilter, Reader};
use crate::model::{DeviceName, Point, Where};

/// The words of a comparison, told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The first point.
    pub first: Point,
    /// The second point, if one was given.
    pub second: Option<Point>,
    /// The paths.
    pub paths: Vec<String>,
}

/// Tells points from paths: the first word is a point; the second is one if it is `now`, begins with
/// `@` (the same device), has an `@`, or names a device that there is; all others are paths.
///
/// # Errors
/// [`Error::Point`] if the first word is no point; [`Error::Ambiguous`] if the second is a point and a
/// path of the first.
pub fn tell_apart(reader: &Reader, first: &str, rest: &[String]) -> Result<Words, Error> {
    let first: Point = first.parse()?;
    let paths = |rest: &[String]| Words { first: first.clone(), second: None, paths: rest.to_vec() };
    let Some((word, others)) = rest.split_first() else { return Ok(paths(rest)) };
    let second = match word.strip_prefix('@') {
        Some(place) => Some(Point { device: first.device.clone(), release: None, at: place.parse()? }),
        None if word == "now" => Some(Point { device: first.device.clone(), release: None, at: Where::Now }),
        None => word.parse::<Point>().ok().filter(|point| word.contains('@') || is_known(reader, &point.device)),
    };
    let Some(second) = second else { return Ok(paths(rest)) };
    if !word.starts_with('@') && is_path(reader, &first, word)? {
        return Err(Error::Ambiguous(word.clone()));
    }
    Ok(Words { second: Some(second), ..paths(others) })
}

fn is_known(reader: &Reader, device: &DeviceName) -> bool {
    let listed = reader.inventory.as_ref().is_some_and(|inventory| inventory.device(device).is_ok());
    listed || reader.store.refs().is_ok_and(|refs| reader.store.newest(&refs, device).is_ok())
}

/// Tells whether a word chooses something of a point; of the device as it is now, of its newest generation.
fn is_path(reader: &Reader, point: &Point, word: &str) -> Result<bool, Error> {
    let point = match point.at {
        Where::Now => Point { at: Where::Newest, ..point.clone() },
        _ => point.clone(),
    };
    let refs = reader.store.refs()?;
    let Ok(generation) = reader.store.resolve(&refs, &point) else { return Ok(false) };
    let filter = PathFilter::new(&[word.to_owned()]);
    Ok(reader.store.manifest(&generation)?.lines.iter().any(|line| filter.matches(line.scope, &line.path)))
}
