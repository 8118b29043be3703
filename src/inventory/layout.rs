//! Where comments of a file go when a table comes or goes.
//!
//! A comment right above a table belongs to it. One with an empty line behind it belongs to the file, and
//! stays where it stands.

use toml_edit::{DocumentMut, Item, RawString, Table};

/// Puts a table that was inserted last behind everything, the comments at the end of the file included.
pub(super) fn put_behind(document: &mut DocumentMut, above: &str, name: &str) {
    let rest = text(document.trailing()).to_owned();
    if rest.trim().is_empty() {
        return;
    }
    document.set_trailing("");
    if let Some(table) = document.get_mut(above).and_then(|above| above.get_mut(name)).and_then(Item::as_table_mut) {
        let gap = if rest.ends_with("\n\n") { "" } else { "\n" };
        table.decor_mut().set_prefix(format!("{rest}{gap}"));
    }
}

/// Takes a table out, without the comments above it that are the file's.
pub(super) fn take_out(document: &mut DocumentMut, above: &str, name: &str) -> Option<()> {
    let tables = document.get_mut(above)?.as_table_like_mut()?;
    let Item::Table(gone) = tables.remove(name)? else { return Some(()) };
    let prefix = gone.decor().prefix().map(text).unwrap_or_default();
    let kept = prefix.rfind("\n\n").map_or("", |end| &prefix[..end + 1]);
    if kept.trim().is_empty() {
        return Some(());
    }
    let next = positions(document.as_table()).into_iter().filter(|at| gone.position().is_some_and(|gone| *at > gone)).min();
    match next.and_then(|at| find(document.as_table_mut(), at)) {
        Some(table) => {
            let own = table.decor().prefix().map(text).unwrap_or_default().to_owned();
            table.decor_mut().set_prefix(format!("{kept}{own}"));
        }
        None => {
            let trailing = format!("{kept}{}", text(document.trailing()));
            document.set_trailing(trailing);
        }
    }
    Some(())
}

/// The text of a piece of layout; a document that was read and is changed holds it as text.
fn text(raw: &RawString) -> &str {
    raw.as_str().unwrap_or_default()
}

fn positions(table: &Table) -> Vec<isize> {
    let below = table.iter().filter_map(|(_, item)| item.as_table()).flat_map(positions);
    let own = if table.is_implicit() { None } else { table.position() };
    own.into_iter().chain(below).collect()
}

fn find(table: &mut Table, at: isize) -> Option<&mut Table> {
    if !table.is_implicit() && table.position() == Some(at) {
        return Some(table);
    }
    table.iter_mut().filter_map(|(_, item)| item.as_table_mut()).find_map(|below| find(below, at))
}
