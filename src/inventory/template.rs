//! The `confvault.toml` that a new store begins with.

use crate::model::CollectorName;

/// Gives the commented text of a new inventory.
#[must_use]
pub fn template(collector: &CollectorName) -> String {
    format!("{HEAD}collector = \"{collector}\"\n{BODY}")
}

const HEAD: &str = "\
# confvault: which devices are collected, and how their configuration is kept.
# `confvault device add` and its sisters change this file and leave comments alone.

# The name under which this machine writes into the store. Do not change it later.
";

const BODY: &str = r#"
[policy]
# The values shown are those that count while the line is a comment.

# Files above this size are stored in chunks, apart from the text.
#large_over = "8 MiB"

# A set that lost more than this share of its bytes is refused, unless `snapshot --accept` takes it.
#max_shrink = "50 %"

# Devices collected at the same time (default: what fits the machine), and at most of one site.
#jobs = 8
#jobs_per_site = 4

# Limits of one device: time, bytes, files.
#timeout = "10 min"
#max_size = "64 GiB"
#max_files = 200000

# Read everything again every so many runs, whatever the time stamps say (0: never).
#full_every = 0

# What differs outside of an open change (`confvault change`) is marked as unannounced.
#announced_changes = true

# What `confvault forget` keeps (default: all). Text generations always stay.
#keep_logs = "12 months"
#keep_large = "6 months"

# Recovery exercises (`confvault drill`): how often each device, and how long one may take (default: no rule).
#drill_every = "6 months"
#recovery_target = "4 h"

# How long to wait for a silent mirror, and for another process that writes.
#mirror_timeout = "1 min"
#lock_timeout = "30 s"

# One table a device. Example:
#
#[devices.pbx-berlin]
#source = "dir:/etc/asterisk"       # relative paths count from the folder of this file
#profile = "asterisk"               # `confvault profile list` shows all
#release = "20.20.1"                # only where the profile cannot find it
#site = "berlin"
#labels = { role = "pbx" }
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Inventory, Policy};

    #[test]
    fn the_template_is_an_inventory_and_shows_the_defaults() {
        let text = template(&"central".parse().unwrap());
        let inventory = Inventory::parse("/x".as_ref(), &text).unwrap();
        assert_eq!(inventory.collector.as_str(), "central");
        assert_eq!(inventory.policy, Policy::default());
        assert_eq!(inventory.devices().count(), 0);

        // Every comment that looks like a key is one, and those of the policy have the default.
        let open: String = text
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
                    .unwrap_or(line)
            })
            .collect::<Vec<_>>()
            .join("\n");
        let mut shown = Inventory::parse("/x".as_ref(), &open).unwrap();
        assert_eq!(shown.devices().count(), 1);
        shown.policy.jobs = None;
        shown.policy.jobs_per_site = None;
        shown.policy.keep_logs = None;
        shown.policy.keep_large = None;
        shown.policy.drill_every = None;
        shown.policy.recovery_target = None;
        assert_eq!(shown.policy, Policy::default());
    }
}
