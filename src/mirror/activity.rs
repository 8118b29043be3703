//! Is a process group still doing something? A transfer that prints nothing can be busy.

use rustix::process::Pid;

/// A sum that changes while something happens: bytes that were moved, processor time, processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sign {
    moved: u64,
    group: u64,
}

/// Takes the sign of a process group; `moved` is what the caller saw itself, in bytes.
pub(super) fn sign(group: Pid, moved: u64) -> Sign {
    Sign { moved, group: group_sum(group) }
}

#[cfg(target_os = "linux")]
fn group_sum(group: Pid) -> u64 {
    let group = group.as_raw_nonzero().get().to_string();
    let Ok(list) = std::fs::read_dir("/proc") else { return 0 };
    let mut sum = 0u64;
    for entry in list.filter_map(Result::ok) {
        let name = entry.file_name();
        if !name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name of the program stands in brackets and may hold anything; fields follow the last one.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        if fields.get(2) != Some(&group.as_str()) {
            continue;
        }
        let number = |at: usize| fields.get(at).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        // User and system time, in ticks.
        sum = sum.wrapping_add(number(11)).wrapping_add(number(12)).wrapping_add(1);
        let io = std::fs::read_to_string(entry.path().join("io")).unwrap_or_default();
        for line in io.lines().filter(|l| l.starts_with("rchar") || l.starts_with("wchar")) {
            sum = sum.wrapping_add(line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0));
        }
    }
    sum
}

#[cfg(not(target_os = "linux"))]
fn group_sum(_group: Pid) -> u64 {
    0
}
