//! A folder with an inventory and a run's context for tests of sources over the network.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use confvault::collect::act::{ActError, Scene, Target, work};
use confvault::collect::{CollectError, Collected, Context, Network, collect};
use confvault::inventory::{Device, Inventory, Policy};
use confvault::model::{Content, Look};
use confvault::profile::Profiles;

use crate::simulator::Simulator;

pub struct Rig {
    pub dir: tempfile::TempDir,
    pub policy: Policy,
    pub env: HashMap<String, String>,
    pub timeout: Duration,
    pub cancel: AtomicBool,
    pub network: Network,
    pub accept: bool,
}

impl Rig {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home/.ssh")).unwrap();
        fs::create_dir_all(dir.path().join("spool")).unwrap();
        let env = HashMap::from([("PW".to_owned(), "lab".to_owned()), ("EN".to_owned(), "enable-lab".to_owned())]);
        Self {
            dir,
            policy: Policy::default(),
            env,
            timeout: Duration::from_secs(120),
            cancel: AtomicBool::new(false),
            network: Network::new(),
            accept: false,
        }
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Makes the simulator's key the pinned one of a device.
    pub fn pin(&self, device: &str, simulator: &Simulator) {
        let line = format!("{device} {}\n", simulator.public_key());
        let file = self.path("known_hosts");
        let old = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, old + &line).unwrap();
    }

    pub fn profile(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("profiles")).unwrap();
        fs::write(self.path("profiles").join(format!("{name}.toml")), format!("name = \"{name}\"\n{text}")).unwrap();
    }

    /// The device `gw` with these lines as its table.
    pub fn device(&self, table: &str) -> Device {
        let text = format!("collector = \"c\"\n[devices.gw]\n{table}");
        let inventory = Inventory::parse(self.dir.path(), &text).unwrap();
        inventory.device(&"gw".parse().unwrap()).unwrap().clone()
    }

    pub fn collect(&self, table: &str) -> Result<Collected, CollectError> {
        self.collect_with(table, None)
    }

    pub fn collect_with(&self, table: &str, look: Option<&Look>) -> Result<Collected, CollectError> {
        self.collect_device(&self.device(table), look, &self.network)
    }

    /// Works on a device.
    pub fn work<T>(&self, table: &str, job: impl FnOnce(&mut dyn Target) -> Result<T, ActError>) -> Result<T, ActError> {
        let device = self.device(table);
        let profile = Profiles::load(Some(&self.path("profiles"))).unwrap().get(device.profile.as_str()).unwrap();
        fs::create_dir_all(self.path("scene")).unwrap();
        let scene = Scene { run: "0123", folder: &self.path("scene") };
        self.with_context(&self.network, |context| work(&device, &profile, scene, context, job))
    }

    pub fn collect_device(&self, device: &Device, look: Option<&Look>, network: &Network) -> Result<Collected, CollectError> {
        let profiles = Profiles::load(Some(&self.path("profiles"))).unwrap();
        let profile = profiles.get(device.profile.as_str()).unwrap();
        self.with_context(network, |context| collect(device, &profile, look, context))
    }

    pub fn with_context<T>(&self, network: &Network, job: impl FnOnce(&Context<'_>) -> T) -> T {
        let (home, spool, env) = (self.path("home"), self.path("spool"), self.env.clone());
        let env = move |name: &str| env.get(name).cloned().or_else(|| (name == "PATH").then(|| std::env::var(name).unwrap()));
        let context = Context {
            deadline: Some(Instant::now() + self.timeout),
            accept: self.accept,
            ..Context::new(self.dir.path(), &spool, &self.policy, &env, Some(&home), &self.cancel, network)
        };
        job(&context)
    }
}

/// The table of a device of a simulator.
pub fn ssh(simulator: &Simulator, profile: &str) -> String {
    format!(
        "source = \"ssh://gw@{}\"\nprofile = \"{profile}\"\ncredential = \"env:PW\"\ncredential2 = \"env:EN\"\n",
        simulator.address
    )
}

/// The bytes of a file of a set.
#[track_caller]
pub fn file<'c>(collected: &'c Collected, path: &str) -> &'c [u8] {
    let entry = collected.set.entries().iter().find(|e| e.path.to_string() == path);
    let entry = entry.unwrap_or_else(|| {
        let paths: Vec<String> = collected.set.entries().iter().map(|e| e.path.to_string()).collect();
        panic!("no {path} in {paths:?}")
    });
    match &entry.content {
        Content::Bytes(bytes) => bytes,
        other => panic!("{path}: {other:?}"),
    }
}

/// An error with all its causes, as the command line shows it.
pub fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
