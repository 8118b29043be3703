//! Devices that speak real SSH and are what their configuration makes of them: what is changed stays changed, files that are
//! sent are there, a restart forgets what was not saved. They refuse, cut the connection and restart when they are told to.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, Msg, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// What a device does with a line that was typed.
pub enum Said {
    /// Output; the prompt follows.
    Text(String),
    /// A question; what is typed next is its answer.
    Ask(String),
    /// The end of the session.
    Bye,
}

/// A family of devices: its state, and what it makes of what it is sent. A shell is one terminal session.
pub trait Family: Send + 'static {
    fn open(&mut self, shell: usize);
    fn prompt(&self, shell: usize) -> String;
    fn line(&mut self, shell: usize, line: &str) -> Said;
    /// Does what it would have done until the connection went in the middle of it.
    fn half(&mut self, shell: usize, line: &str);
    fn refusal(&self) -> String;
    /// The connection of a shell is gone.
    fn gone(&mut self, shell: usize);
    /// Whether it takes files by SCP.
    fn takes_files(&self) -> bool;
    fn put(&mut self, path: &str, content: Vec<u8>) -> Result<(), String>;
    fn restart(&mut self);
    /// Lines that only set the terminal up, or end it.
    fn sets_up(&self, shell: usize, line: &str) -> bool;
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A command is answered by a refusal, a file is not taken.
    Refuse,
    /// The connection is cut before anything is done.
    CutBefore,
    /// The connection is cut while it is being done.
    CutInside,
    /// The connection is cut when it is done.
    CutAfter,
    /// The device restarts before anything is done.
    RestartBefore,
    /// The device restarts when it is done.
    RestartAfter,
}

impl Trouble {
    pub const ALL: [Self; 6] =
        [Self::Refuse, Self::CutBefore, Self::CutInside, Self::CutAfter, Self::RestartBefore, Self::RestartAfter];
}

/// A device and what happens around it.
pub struct World<F> {
    pub family: F,
    /// What was done so far: commands and files, in order.
    pub done: Vec<String>,
    trouble: Option<(usize, Trouble)>,
    pub struck: Option<String>,
    /// What happens when the trouble strikes, before it does.
    pub on_strike: Option<Box<dyn FnMut() + Send>>,
    /// How long a restart takes.
    pub down: Duration,
    down_until: Option<Instant>,
    /// From the next trouble on it stays away for so long.
    pub down_for: Option<Duration>,
    epoch: u64,
    shells: usize,
}

impl<F: Family> World<F> {
    /// From now on, the `at`th thing that is done (from 0) meets this trouble.
    pub fn arm(&mut self, at: usize, trouble: Trouble) {
        self.done.clear();
        self.struck = None;
        self.trouble = Some((at, trouble));
    }

    /// It is there again.
    pub fn comes_back(&mut self) {
        self.down_for = None;
        self.down_until = None;
    }

    pub fn disarm(&mut self) {
        self.trouble = None;
        self.on_strike = None;
    }

    pub fn restart(&mut self) {
        self.family.restart();
        self.epoch += 1;
        self.down_until = Some(Instant::now() + self.down);
    }

    fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    fn next(&mut self, what: &str) -> Option<Trouble> {
        let at = self.done.len();
        self.done.push(what.to_owned());
        let trouble = self.trouble.filter(|(when, _)| *when == at).map(|(_, trouble)| trouble);
        if trouble.is_some() {
            self.struck = Some(what.to_owned());
            self.down_until = self.down_for.map(|time| Instant::now() + time).or(self.down_until);
            if let Some(strike) = &mut self.on_strike {
                strike();
            }
        }
        trouble
    }
}

/// A device that runs.
pub struct Live<F> {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
    pub key: PrivateKey,
    world: Arc<Mutex<World<F>>>,
}

impl<F> Drop for Live<F> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<F>(world: &Mutex<World<F>>) -> MutexGuard<'_, World<F>> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: Family> Live<F> {
    /// Starts a device that lets the user `gw` in with the password `lab`.
    pub fn start(family: F) -> Self {
        let key = PrivateKey::random(&mut russh::keys::ssh_key::rand_core::OsRng, Algorithm::Ed25519).unwrap();
        let config = Arc::new(server::Config {
            keys: vec![key.clone()],
            methods: MethodSet::from(&[MethodKind::Password][..]),
            auth_rejection_time: Duration::from_millis(5),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: Some(Duration::from_secs(120)),
            nodelay: true,
            ..Default::default()
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let down = Duration::from_millis(300);
        let world = World {
            family,
            done: Vec::new(),
            trouble: None,
            struck: None,
            on_strike: None,
            down,
            down_until: None,
            down_for: None,
            epoch: 0,
            shells: 0,
        };
        let world = Arc::new(Mutex::new(world));
        let shared = world.clone();
        let address = runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let epoch = {
                        let world = lock(&shared);
                        if world.is_down() {
                            continue;
                        }
                        world.epoch
                    };
                    let handler =
                        Connection { world: shared.clone(), epoch, shell: None, line: Vec::new(), asking: false, scp: None };
                    let config = config.clone();
                    tokio::spawn(async move {
                        if let Ok(session) = server::run_stream(config, socket, handler).await {
                            drop(session.await);
                        }
                    });
                }
            });
            address
        });
        Self { runtime: Some(runtime), address, key, world }
    }

    /// The device, held still.
    pub fn world(&self) -> MutexGuard<'_, World<F>> {
        lock(&self.world)
    }

    /// The public key as a line of `known_hosts` without its names.
    pub fn public_key(&self) -> String {
        self.key.public_key().to_openssh().unwrap()
    }
}

struct Connection<F: Family> {
    world: Arc<Mutex<World<F>>>,
    epoch: u64,
    shell: Option<usize>,
    line: Vec<u8>,
    asking: bool,
    scp: Option<Scp>,
}

/// A file on its way.
struct Scp {
    path: String,
    buffer: Vec<u8>,
    size: Option<usize>,
}

impl<F: Family> Drop for Connection<F> {
    fn drop(&mut self) {
        if let Some(shell) = self.shell {
            let mut world = lock(&self.world);
            if world.epoch == self.epoch {
                world.family.gone(shell);
            }
        }
    }
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// The connection is over without a word.
fn cut<T>() -> Result<T, russh::Error> {
    Err(russh::Error::Disconnect)
}

impl<F: Family> Connection<F> {
    /// Does what was typed, or meets the trouble that is due.
    fn typed(&mut self, shell: usize, line: &str) -> Result<Said, russh::Error> {
        let mut world = lock(&self.world);
        if world.epoch != self.epoch {
            return cut();
        }
        if self.asking || line.is_empty() || world.family.sets_up(shell, line) {
            return Ok(world.family.line(shell, line));
        }
        match world.next(line) {
            None => Ok(world.family.line(shell, line)),
            Some(Trouble::Refuse) => Ok(Said::Text(world.family.refusal())),
            Some(Trouble::CutBefore) => cut(),
            Some(Trouble::CutInside) => {
                world.family.half(shell, line);
                cut()
            }
            Some(Trouble::CutAfter) => {
                world.family.line(shell, line);
                cut()
            }
            Some(Trouble::RestartBefore) => {
                world.restart();
                cut()
            }
            Some(Trouble::RestartAfter) => {
                world.family.line(shell, line);
                world.restart();
                cut()
            }
        }
    }

    /// Takes a file that is whole, or meets the trouble that is due.
    fn put(&self, path: &str, content: Vec<u8>) -> Result<Result<(), String>, russh::Error> {
        let mut world = lock(&self.world);
        match world.next(&format!("put {path}")) {
            None => Ok(world.family.put(path, content)),
            Some(Trouble::Refuse) => Ok(Err("flash: No space left on device".to_owned())),
            Some(Trouble::CutBefore) => cut(),
            Some(Trouble::CutInside) => {
                let half = content[..content.len() / 2].to_vec();
                drop(world.family.put(path, half));
                cut()
            }
            Some(Trouble::CutAfter) => {
                drop(world.family.put(path, content));
                cut()
            }
            Some(Trouble::RestartBefore) => {
                world.restart();
                cut()
            }
            Some(Trouble::RestartAfter) => {
                drop(world.family.put(path, content));
                world.restart();
                cut()
            }
        }
    }

    /// Goes on with a file; gives what is to be sent, and whether that is the last of it.
    fn scp(&mut self, data: &[u8]) -> Result<(Vec<u8>, bool), russh::Error> {
        let Some(scp) = &mut self.scp else { return Ok((Vec::new(), false)) };
        scp.buffer.extend_from_slice(data);
        let mut out = Vec::new();
        if scp.size.is_none() {
            let Some(end) = scp.buffer.iter().position(|b| *b == b'\n') else { return Ok((out, false)) };
            let header = String::from_utf8_lossy(&scp.buffer[..end]).into_owned();
            scp.buffer.drain(..=end);
            let mut words = header.split(' ');
            assert!(words.next().is_some_and(|mode| mode.starts_with('C')), "{header}");
            scp.size = words.next().and_then(|size| size.parse().ok());
            out.push(0);
        }
        match scp.size {
            // The end of the content is marked by a zero.
            Some(size) if scp.buffer.len() > size => {
                let (path, mut content) = (scp.path.clone(), std::mem::take(&mut scp.buffer));
                content.truncate(size);
                self.scp = None;
                match self.put(&path, content)? {
                    Ok(()) => out.push(0),
                    Err(why) => out.extend(format!("\x01{why}\n").into_bytes()),
                }
                Ok((out, false))
            }
            _ => Ok((out, false)),
        }
    }
}

impl<F: Family> server::Handler for Connection<F> {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if user == "gw" && password == "lab" { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(&mut self, _: Channel<Msg>, _: &mut Session) -> Result<bool, Self::Error> {
        if lock(&self.world).epoch == self.epoch { Ok(true) } else { cut() }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(&mut self, channel: ChannelId, _: &str, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let prompt = {
            let mut world = lock(&self.world);
            let shell = world.shells;
            world.shells += 1;
            world.family.open(shell);
            // Each connection has one shell at a time.
            if let Some(old) = self.shell.replace(shell) {
                world.family.gone(old);
            }
            world.family.prompt(shell)
        };
        (self.line, self.asking) = (Vec::new(), false);
        session.data(channel, crlf(&prompt))
    }

    async fn exec_request(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let line = String::from_utf8_lossy(data).into_owned();
        match line.strip_prefix("scp -t ") {
            Some(path) if lock(&self.world).family.takes_files() => {
                self.scp = Some(Scp { path: path.to_owned(), buffer: Vec::new(), size: None });
                session.channel_success(channel)?;
                session.data(channel, vec![0])
            }
            Some(_) => {
                session.channel_success(channel)?;
                session.data(channel, b"Administratively disabled.\n".to_vec())?;
                session.eof(channel)?;
                session.close(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.exit_status_request(channel, 0)?;
        session.eof(channel)?;
        session.close(channel)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        if self.scp.is_some() {
            let (out, _) = self.scp(data)?;
            return session.data(channel, out);
        }
        let Some(shell) = self.shell else { return Ok(()) };
        let mut out = Vec::new();
        for &byte in data {
            if byte != b'\n' && byte != b'\r' {
                self.line.push(byte);
                out.push(byte);
                continue;
            }
            out.extend_from_slice(b"\r\n");
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
            match self.typed(shell, &line)? {
                Said::Text(text) => {
                    self.asking = false;
                    out.extend(crlf(&text));
                    out.extend(crlf(&lock(&self.world).family.prompt(shell)));
                }
                Said::Ask(question) => {
                    self.asking = true;
                    out.extend(crlf(&question));
                }
                Said::Bye => {
                    lock(&self.world).family.gone(shell);
                    self.shell = None;
                    session.data(channel, out)?;
                    session.eof(channel)?;
                    return session.close(channel);
                }
            }
        }
        session.data(channel, out)
    }
}
