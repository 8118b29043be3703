//! Devices that speak real SSH and play recorded sessions (`fixtures/devices/README.md`), with faults.
#![allow(dead_code)]

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, Msg, Response, Session};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::liar::{Flights, Liar, Lie};
use crate::play::{self, Exchange, Play, lines};

/// What goes wrong on a device; commands are named as they are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    None,
    /// The password is refused.
    Password,
    /// The TCP connection is taken and nothing is said.
    Mute,
    /// Log-in works, and no prompt comes.
    NoPrompt,
    /// Half of the output, then the prompt.
    Half(&'static str),
    /// Half of the output, then the end of the connection.
    Cut(&'static str),
    /// Half of the output, then silence.
    Hang(&'static str),
    /// The prompt at once.
    Empty(&'static str),
    /// A refusal in place of the output.
    Refuse(&'static str, &'static str),
    /// Lines without end.
    Flood(&'static str),
    /// A line without end.
    LongLine(&'static str),
    /// A byte now and then.
    Trickle(&'static str),
    /// The output, and from then on another prompt.
    Rename(&'static str, &'static str),
    /// The output is sent in pieces, with pauses after these texts.
    Pause(&'static str, Vec<String>),
    /// The host answers with lines that are no SSH, for ever.
    BannerFlood,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    pub play: Play,
    pub password: String,
    pub enable: String,
    pub fault: Fault,
    /// Only keyboard-interactive, as CUCM does.
    pub keyboard: bool,
    /// What its SFTP says that is not so.
    pub lie: Option<Lie>,
}

impl Device {
    pub fn new(play: Play) -> Self {
        Self { play, password: "lab".into(), enable: "enable-lab".into(), fault: Fault::None, keyboard: false, lie: None }
    }
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

#[derive(Default)]
pub struct Counts {
    pub connections: AtomicUsize,
    /// Passwords, answers and keys that were sent.
    pub credentials: AtomicUsize,
    pub commands: Mutex<Vec<String>>,
    /// How often each was sent, for a device that remembers.
    pub times: Mutex<HashMap<String, usize>>,
    /// Addresses that connections came from.
    pub peers: Mutex<BTreeSet<IpAddr>>,
    /// Sessions between their log-in and their `exit` or end, and the most that there were.
    pub live: AtomicUsize,
    pub peak: AtomicUsize,
    /// So many more connections are closed before a word is said.
    pub turn_away: AtomicUsize,
    /// Files that were open over SFTP.
    pub flights: Arc<Flights>,
}

/// A server with devices by user name.
pub struct Simulator {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
    pub counts: Arc<Counts>,
    pub key: PrivateKey,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    pub fn one(user: &str, device: Device) -> Self {
        Self::start(HashMap::from([(user.to_owned(), device)]))
    }

    pub fn start(devices: HashMap<String, Device>) -> Self {
        let key = PrivateKey::random(&mut russh::keys::ssh_key::rand_core::OsRng, Algorithm::Ed25519).unwrap();
        Self::with_key(devices, key, "127.0.0.1:0")
    }

    pub fn with_key(devices: HashMap<String, Device>, key: PrivateKey, address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let counts = Arc::new(Counts::default());
        let config = |methods: &[MethodKind]| {
            Arc::new(server::Config {
                keys: vec![key.clone()],
                methods: MethodSet::from(methods),
                auth_rejection_time: Duration::from_millis(5),
                auth_rejection_time_initial: Some(Duration::ZERO),
                inactivity_timeout: Some(Duration::from_secs(120)),
                nodelay: true,
                ..Default::default()
            })
        };
        let keyboard = devices.values().any(|d| d.keyboard);
        let config = if keyboard {
            config(&[MethodKind::KeyboardInteractive])
        } else {
            config(&[MethodKind::Password, MethodKind::PublicKey])
        };
        let mute = devices.values().any(|d| d.fault == Fault::Mute);
        let flood = devices.values().any(|d| d.fault == Fault::BannerFlood);
        let devices = Arc::new(devices);
        let (shared, address) = (counts.clone(), address.to_owned());
        let address = runtime.block_on(async move {
            // Where another one stood, its place is free in a moment.
            let mut tries = 0..600;
            let listener = loop {
                match TcpListener::bind(&address).await {
                    Ok(listener) => break listener,
                    Err(error) => assert!(tries.next().is_some(), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((mut socket, peer)) = listener.accept().await {
                    shared.counts_connection();
                    shared.peers.lock().unwrap().insert(peer.ip());
                    if shared.turn_away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                        continue;
                    }
                    if mute || flood {
                        tokio::spawn(async move {
                            use tokio::io::AsyncWriteExt as _;
                            let line = [b"no ssh here ".repeat(300), b"\r\n".to_vec()].concat();
                            while flood && socket.write_all(&line).await.is_ok() {}
                            tokio::time::sleep(Duration::from_secs(120)).await;
                        });
                        continue;
                    }
                    let handler = Connection {
                        devices: devices.clone(),
                        counts: shared.clone(),
                        device: None,
                        state: None,
                        liars: HashMap::new(),
                        at_work: false,
                    };
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
        Self { runtime: Some(runtime), address, counts, key }
    }

    pub fn credentials(&self) -> usize {
        self.counts.credentials.load(Ordering::SeqCst)
    }

    /// The public key as a line of `known_hosts` without its names.
    pub fn public_key(&self) -> String {
        self.key.public_key().to_openssh().unwrap()
    }
}

impl Counts {
    fn counts_connection(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }
}

struct Connection {
    devices: Arc<HashMap<String, Device>>,
    counts: Arc<Counts>,
    device: Option<Device>,
    state: Option<Shell>,
    liars: HashMap<ChannelId, Liar>,
    at_work: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Shell {
    prompt: String,
    line: Vec<u8>,
    times: HashMap<String, usize>,
    asking: Option<Exchange>,
    rest: Vec<u8>,
    paging: bool,
    dead: bool,
    /// What is typed while an answer comes in pieces; the device looks at it afterwards.
    ahead: Option<Arc<Mutex<Ahead>>>,
}

#[derive(Default)]
struct Ahead {
    lines: usize,
    over: bool,
}

/// What a line of the client leads to.
enum Next {
    Send(Vec<u8>),
    Close(Vec<u8>),
    Silent(Vec<u8>),
    Endless(Vec<u8>, Duration),
    Pieces(Vec<Vec<u8>>),
}

impl Connection {
    fn leave(&mut self) {
        if std::mem::take(&mut self.at_work) {
            self.counts.live.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn log_in(&mut self, user: &str, right: impl Fn(&Device) -> bool) -> Auth {
        self.counts.credentials.fetch_add(1, Ordering::SeqCst);
        match self.devices.get(user) {
            Some(device) if device.fault != Fault::Password && right(device) => {
                self.device = Some(device.clone());
                self.at_work = true;
                self.counts.peak.fetch_max(self.counts.live.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                Auth::Accept
            }
            _ => Auth::reject(),
        }
    }

    fn wire(device: &Device, exchange: &Exchange) -> Vec<u8> {
        play::bytes(&device.play, exchange, exchange.raw)
    }

    fn exchange(&mut self, line: &str) -> Option<Exchange> {
        let device = self.device.as_ref()?;
        let all: Vec<&Exchange> = device.play.exchange.iter().filter(|e| e.command == line).collect();
        let next = |times: &mut HashMap<String, usize>| {
            let count = times.entry(line.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        let times = match &mut self.state {
            _ if device.play.remembers => next(&mut self.counts.times.lock().unwrap()),
            Some(state) => next(&mut state.times),
            None => 0,
        };
        all.get(times.min(all.len().max(1) - 1)).map(|e| (*e).clone())
    }

    fn run(&mut self, line: &str) -> Next {
        let Some(device) = self.device.clone() else { return Next::Close(Vec::new()) };
        self.counts.commands.lock().unwrap().push(line.to_owned());
        let exchange = self.exchange(line);
        let state = self.state.as_mut().unwrap();
        let answer = match &exchange {
            None if line.is_empty() => Vec::new(),
            None => lines(&device.play, &device.play.unknown),
            Some(exchange) => Self::wire(&device, exchange),
        };
        let half = answer[..answer.len() / 2].to_vec();
        let mut half_line = half.clone();
        half_line.extend_from_slice(b"\r\n");
        match &device.fault {
            Fault::Half(command) if *command == line => {
                half_line.extend_from_slice(state.prompt.as_bytes());
                return Next::Send(half_line);
            }
            Fault::Cut(command) if *command == line => return Next::Close(half),
            Fault::Hang(command) if *command == line => return Next::Silent(half),
            Fault::Empty(command) if *command == line => return Next::Send(state.prompt.clone().into_bytes()),
            Fault::Refuse(command, text) if *command == line => {
                return Next::Send(format!("{text}\r\n{}", state.prompt).into_bytes());
            }
            Fault::Flood(command) if *command == line => {
                return Next::Endless(b"flood flood flood flood\r\n".repeat(800), Duration::ZERO);
            }
            Fault::LongLine(command) if *command == line => return Next::Endless(vec![b'x'; 16 << 10], Duration::ZERO),
            Fault::Trickle(command) if *command == line => return Next::Endless(b"x".to_vec(), Duration::from_millis(50)),
            Fault::Rename(command, prompt) if *command == line => state.prompt = (*prompt).to_owned(),
            Fault::Pause(command, marks) if *command == line => {
                let mut text = String::from_utf8(answer).unwrap();
                text.push_str(&state.prompt);
                let mut pieces = Vec::new();
                for mark in marks {
                    let at = text.find(mark.as_str()).unwrap() + mark.len();
                    let rest = text.split_off(at);
                    pieces.push(std::mem::replace(&mut text, rest).into_bytes());
                }
                pieces.push(text.into_bytes());
                return Next::Pieces(pieces);
            }
            _ => {}
        }
        if let Some(exchange) = exchange {
            if let Some(question) = &exchange.asks {
                let question = question.clone().into_bytes();
                state.asking = Some(exchange);
                return Next::Send(question);
            }
            if let Some(prompt) = &exchange.prompt {
                state.prompt = prompt.clone();
            }
            if exchange.close {
                return Next::Close(answer);
            }
            if device.play.pager.as_ref().is_some_and(|p| p.off == line) {
                state.paging = false;
            }
        }
        state.rest = answer;
        state.rest.extend_from_slice(state.prompt.as_bytes());
        Next::Send(self.page())
    }

    /// The next page of what is to be sent.
    fn page(&mut self) -> Vec<u8> {
        let pager = self.device.as_ref().and_then(|d| d.play.pager.clone());
        let state = self.state.as_mut().unwrap();
        let Some(pager) = pager.filter(|_| state.paging) else { return std::mem::take(&mut state.rest) };
        let end = memchr::memchr_iter(b'\n', &state.rest).nth(pager.lines.saturating_sub(1)).map(|at| at + 1);
        match end {
            Some(end) if end < state.rest.len() && memchr::memchr(b'\n', &state.rest[end..]).is_some() => {
                let rest = state.rest.split_off(end);
                let mut page = std::mem::replace(&mut state.rest, rest);
                page.extend_from_slice(pager.text.as_bytes());
                page
            }
            _ => std::mem::take(&mut state.rest),
        }
    }

    fn answered(&mut self, line: &str) -> Vec<u8> {
        let device = self.device.clone().unwrap();
        let state = self.state.as_mut().unwrap();
        let exchange = state.asking.take().unwrap();
        let wanted = exchange.answer.clone().unwrap_or_default();
        let wanted = wanted.replace("{enable}", &device.enable).replace("{password}", &device.password);
        let mut out = device.play.newline.clone().into_bytes();
        if line == wanted {
            if let Some(prompt) = &exchange.prompt {
                state.prompt = prompt.clone();
            }
            out.extend(Self::wire(&device, &exchange));
        } else {
            out.extend(lines(&device.play, &exchange.refused));
        }
        out.extend_from_slice(state.prompt.as_bytes());
        out
    }
}

impl server::Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(self.log_in(user, |device| !device.keyboard && device.password == password))
    }

    async fn auth_publickey_offered(&mut self, _: &str, _: &russh::keys::ssh_key::PublicKey) -> Result<Auth, Self::Error> {
        self.counts.credentials.fetch_add(1, Ordering::SeqCst);
        Ok(Auth::reject())
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let answer = response.next().map(|bytes| bytes.to_vec()).unwrap_or_default();
        Ok(self.log_in(user, |device| device.password.as_bytes() == answer))
    }

    async fn channel_open_session(&mut self, _: Channel<Msg>, _: &mut Session) -> Result<bool, Self::Error> {
        Ok(true)
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

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let Some(device) = self.device.clone() else { return session.close(channel) };
        let prompt = device.play.prompt.clone();
        let paging = device.play.pager.is_some();
        let (line, rest) = (Vec::new(), Vec::new());
        self.state = Some(Shell {
            prompt: prompt.clone(),
            line,
            times: HashMap::new(),
            asking: None,
            rest,
            paging,
            dead: false,
            ahead: None,
        });
        if device.fault == Fault::NoPrompt {
            return session.data(channel, b"Please wait".to_vec());
        }
        if device.play.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(device.play.delay_ms)).await;
        }
        let mut out = lines(&device.play, &device.play.banner);
        out.extend_from_slice(prompt.as_bytes());
        session.data(channel, out)
    }

    async fn exec_request(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let line = String::from_utf8_lossy(data).into_owned();
        let Some(device) = self.device.clone() else { return session.close(channel) };
        self.counts.commands.lock().unwrap().push(line.clone());
        let (output, status) = match device.play.exchange.iter().find(|e| e.command == line) {
            Some(exchange) => (play::bytes(&device.play, exchange, true), exchange.status),
            None => (device.play.unknown.clone().into_bytes(), device.play.unknown_status),
        };
        let half = output[..output.len() / 2].to_vec();
        match device.fault {
            Fault::Cut(command) if command == line => {
                session.data(channel, half)?;
                session.eof(channel)?;
                return session.close(channel);
            }
            Fault::Hang(command) if command == line => return session.data(channel, half),
            _ => session.data(channel, output)?,
        }
        session.exit_status_request(channel, status)?;
        session.eof(channel)?;
        session.close(channel)
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        match self.device.as_ref().and_then(|device| device.lie.clone()) {
            Some(lie) if name == "sftp" => {
                self.liars.insert(channel, Liar::new(lie, self.counts.flights.clone()));
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        match self.liars.remove(&channel) {
            Some(_) => session.close(channel),
            None => Ok(()),
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(device) = self.device.clone() else { return Ok(()) };
        if let Some(liar) = self.liars.get_mut(&channel) {
            let answer = liar.answer(data);
            return session.data(channel, answer);
        }
        let mut out: Vec<u8> = Vec::new();
        for &byte in data {
            let state = self.state.as_mut().unwrap();
            if state.dead {
                return Ok(());
            }
            if let Some(ahead) = &state.ahead {
                let mut ahead = ahead.lock().unwrap();
                if !ahead.over {
                    ahead.lines += usize::from(byte == b'\n');
                    continue;
                }
            }
            if !state.rest.is_empty() {
                out.extend_from_slice(device.play.pager.as_ref().unwrap().erase.as_bytes());
                out.extend(self.page());
                continue;
            }
            if byte != b'\n' && byte != b'\r' {
                state.line.push(byte);
                if device.play.echo && state.asking.is_none() {
                    out.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut state.line)).trim().to_owned();
            if state.asking.is_some() {
                out.extend(self.answered(&line));
                continue;
            }
            if device.play.echo {
                out.extend_from_slice(device.play.newline.as_bytes());
            }
            if line == "exit" || line == "quit" {
                state.dead = true;
                self.leave();
                session.data(channel, out)?;
                session.eof(channel)?;
                return session.close(channel);
            }
            match self.run(&line) {
                Next::Send(bytes) => out.extend(bytes),
                Next::Close(bytes) => {
                    out.extend(bytes);
                    self.state.as_mut().unwrap().dead = true;
                    session.data(channel, out)?;
                    session.eof(channel)?;
                    return session.close(channel);
                }
                Next::Silent(bytes) => {
                    out.extend(bytes);
                    self.state.as_mut().unwrap().dead = true;
                    return session.data(channel, out);
                }
                Next::Pieces(pieces) => {
                    let handle = session.handle();
                    session.data(channel, std::mem::take(&mut out))?;
                    let ahead = Arc::new(Mutex::new(Ahead::default()));
                    let state = self.state.as_mut().unwrap();
                    state.ahead = Some(ahead.clone());
                    let prompt = format!("\r\n{}", state.prompt).into_bytes();
                    tokio::spawn(async move {
                        for piece in pieces {
                            drop(handle.data(channel, piece).await);
                            tokio::time::sleep(Duration::from_millis(150)).await;
                        }
                        let typed = {
                            let mut ahead = ahead.lock().unwrap();
                            ahead.over = true;
                            prompt.repeat(ahead.lines)
                        };
                        drop(handle.data(channel, typed).await);
                    });
                }
                Next::Endless(piece, pause) => {
                    self.state.as_mut().unwrap().dead = true;
                    let handle = session.handle();
                    tokio::spawn(async move {
                        while handle.data(channel, piece.clone()).await.is_ok() {
                            tokio::time::sleep(pause).await;
                        }
                    });
                }
            }
        }
        session.data(channel, out)
    }
}
