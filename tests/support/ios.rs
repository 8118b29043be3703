//! A gateway as Cisco IOS is one, as far as putting a configuration back goes: a running and a startup configuration,
//! `configure replace` of a file on flash, SCP where the configuration allows it. A line with the word `bogus` is none that
//! it knows. The shapes of its answers are those of vendor documents and of other tools' recordings.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};

use crate::live::{Family, Said};

#[derive(Default)]
struct Shell {
    enabled: bool,
    /// A replacement that waits for an answer.
    waiting: Option<(Vec<String>, usize)>,
}

pub struct Ios {
    /// The lines of the running configuration, from `version` to before `end`.
    pub running: Vec<String>,
    pub startup: Vec<String>,
    pub flash: BTreeMap<String, Vec<u8>>,
    pub release: &'static str,
    /// Each change of the running configuration is stamped with it.
    pub clock: u32,
    shells: HashMap<usize, Shell>,
}

/// The lines of a configuration, from `version` to before `end`.
pub fn body(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim_end).skip_while(|line| !line.starts_with("version "));
    lines.take_while(|line| *line != "end").map(str::to_owned).collect()
}

impl Ios {
    /// A gateway on which a configuration runs that was also saved.
    pub fn new(config: &str) -> Self {
        let running = body(config);
        Self { startup: running.clone(), running, flash: BTreeMap::new(), release: "15.7(3)M6", clock: 0, shells: HashMap::new() }
    }

    /// Somebody changes the running configuration by hand.
    pub fn set(&mut self, config: &str) {
        self.running = body(config);
        self.clock += 1;
    }

    fn host(&self) -> &str {
        self.running.iter().find_map(|line| line.strip_prefix("hostname ")).unwrap_or("Router")
    }

    fn show(&self, lines: &[String]) -> String {
        let stamp = format!("!\n! Last configuration change at 10:{:02}:00 UTC Mon Nov 2 2026 by gw\n!\n", self.clock);
        format!("{stamp}{}\nend\n\n", lines.join("\n"))
    }

    /// Interfaces, and whether they are up.
    fn interfaces(&self) -> Vec<(&str, bool)> {
        let mut found: Vec<(&str, bool)> = Vec::new();
        for line in &self.running {
            if let Some(name) = line.strip_prefix("interface ") {
                found.push((name, true));
            } else if line == " shutdown"
                && let Some(last) = found.last_mut()
            {
                last.1 = false;
            }
        }
        found
    }

    /// Users that a configuration does not have any more.
    fn users_gone(&self, new: &[String]) -> usize {
        let user = |line: &str| line.strip_prefix("username ").and_then(|rest| rest.split(' ').next()).map(str::to_owned);
        let kept: Vec<String> = new.iter().filter_map(|line| user(line)).collect();
        self.running.iter().filter_map(|line| user(line)).filter(|name| !kept.contains(name)).count()
    }

    fn replace(&mut self, new: &[String]) -> Said {
        let (good, bad): (Vec<&String>, Vec<&String>) = new.iter().partition(|line| !line.contains("bogus"));
        self.running = good.into_iter().cloned().collect();
        self.clock += 1;
        if bad.is_empty() {
            return Said::Text("\nTotal number of passes: 1\nRollback Done\n\n".to_owned());
        }
        let bad: String = bad.into_iter().map(|line| format!("{line}\n")).collect();
        let stars = "********\n";
        Said::Text(format!(
            "The rollback configlet from the last pass is listed below:\n{stars}!List of Rollback Commands:\n{bad}end\n{stars}\n\n\
             Rollback aborted after 5 passes\nThe following commands are failed to apply to the IOS image.\n{stars}{bad}{stars}\n"
        ))
    }

    fn source(&self, command: &str) -> Result<Vec<String>, String> {
        let name = command.trim_start_matches("configure replace ").trim_end_matches(" force");
        let Some(bytes) = self.flash.get(name) else {
            return Err(format!("%Error opening {name} (No such file or directory)\n"));
        };
        let text = String::from_utf8_lossy(bytes);
        let lines = body(&text);
        if lines.is_empty() || text.trim_end().lines().next_back().map(str::trim_end) != Some("end") {
            return Err("%The input file is not a valid config file.\n".to_owned());
        }
        // What `show` prints before a configuration is no line of one.
        let head = text.lines().map(str::trim).take_while(|line| !line.starts_with("version "));
        let strange = head.filter(|line| !line.is_empty() && !line.starts_with('!')).map(|line| format!("bogus {line}"));
        Ok(lines.into_iter().chain(strange).collect())
    }
}

const INVALID: &str = "            ^\n% Invalid input detected at '^' marker.\n\n";

impl Family for Ios {
    fn open(&mut self, shell: usize) {
        self.shells.insert(shell, Shell::default());
    }

    fn prompt(&self, shell: usize) -> String {
        let enabled = self.shells.get(&shell).is_some_and(|shell| shell.enabled);
        format!("{}{}", self.host(), if enabled { "#" } else { ">" })
    }

    fn line(&mut self, shell: usize, line: &str) -> Said {
        let state = self.shells.entry(shell).or_default();
        if let Some((new, left)) = state.waiting.take() {
            return match left {
                1 => self.replace(&new),
                left => {
                    state.waiting = Some((new, left - 1));
                    Said::Ask(REMOVES.to_owned())
                }
            };
        }
        let text = |text: &str| Said::Text(text.to_owned());
        let enabled = state.enabled;
        match line {
            "" => text(""),
            "exit" => Said::Bye,
            "enable" if enabled => text(""),
            "enable" => {
                state.enabled = true;
                text("")
            }
            "terminal length 0" | "terminal width 511" => text(""),
            "show version" => Said::Text(format!(
                "Cisco IOS Software, C2900 Software (C2900-K9-M), Version {}, RELEASE SOFTWARE (fc1)\n{} uptime is 1 day\nSystem image \
                 file is \"flash0:c2900.bin\"\n",
                self.release,
                self.host()
            )),
            _ if !enabled => text(INVALID),
            "show running-config" => {
                let shown = self.show(&self.running);
                Said::Text(format!("Building configuration...\n\nCurrent configuration : {} bytes\n{shown}", shown.len()))
            }
            "show startup-config" => {
                let shown = self.show(&self.startup);
                Said::Text(format!("Using {} out of 262136 bytes\n{shown}", shown.len()))
            }
            "show inventory" => text("NAME: \"CISCO2911/K9\", DESCR: \"lab\"\nPID: CISCO2911/K9, VID: V01, SN: FTX0000LAB1\n"),
            "show ip interface brief" => {
                let mut out = "Interface                  IP-Address      OK? Method Status                Protocol\n".to_owned();
                for (name, up) in self.interfaces() {
                    let state = if up { "up                    up" } else { "administratively down down" };
                    out.push_str(&format!("{name:<26} 192.0.2.1       YES NVRAM  {state}\n"));
                }
                Said::Text(out)
            }
            "write memory" => {
                self.startup.clone_from(&self.running);
                text("Building configuration...\n[OK]\n")
            }
            line if line.starts_with("configure replace ") => match self.source(line) {
                Err(error) => Said::Text(error),
                Ok(new) => match self.users_gone(&new) {
                    0 => self.replace(&new),
                    left => {
                        self.shells.entry(shell).or_default().waiting = Some((new, left));
                        Said::Ask(REMOVES.to_owned())
                    }
                },
            },
            line if line.starts_with("delete /force ") => {
                let name = line.trim_start_matches("delete /force ");
                match self.flash.remove(name) {
                    Some(_) => text(""),
                    None => Said::Text(format!("%Error deleting {name} (No such file or directory)\n")),
                }
            }
            _ => text(INVALID),
        }
    }

    fn half(&mut self, shell: usize, line: &str) {
        if line.starts_with("configure replace ")
            && let Ok(new) = self.source(line)
        {
            // The old lines are gone, the new ones come one by one.
            self.running = new[..new.len() / 2].iter().filter(|line| !line.contains("bogus")).cloned().collect();
            self.clock += 1;
        } else if line == "write memory" {
            // NVRAM is written last.
        } else {
            self.line(shell, line);
        }
    }

    fn refusal(&self) -> String {
        "% Authorization failed.\n\n".to_owned()
    }

    fn gone(&mut self, shell: usize) {
        self.shells.remove(&shell);
    }

    fn takes_files(&self) -> bool {
        self.running.iter().any(|line| line == "ip scp server enable")
    }

    fn put(&mut self, path: &str, content: Vec<u8>) -> Result<(), String> {
        if !path.starts_with("flash:") {
            return Err(format!("{path}: No such device"));
        }
        self.flash.insert(path.to_owned(), content);
        Ok(())
    }

    fn restart(&mut self) {
        self.running.clone_from(&self.startup);
        self.shells.clear();
        self.clock += 1;
    }

    fn sets_up(&self, _: usize, line: &str) -> bool {
        line == "enable" || line.starts_with("terminal ") || line == "exit"
    }
}

const REMOVES: &str =
    "This operation will remove all username related configurations with same name.Do you want to continue? [confirm]";
