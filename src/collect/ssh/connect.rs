//! From the name of a device to a connection whose host key is good.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ssh2::Session;

use super::auth::{Login, log_in};
use super::link::{Busy, Core, Link, Patience};
use super::socket::{Socket, connect as connect_socket, through_command};
use super::{ConnectError, algorithms, jump};
use crate::collect::Context;
use crate::collect::hostkeys::{Expected, HostKey, KnownHosts, Verdict, list_name};
use crate::collect::sshconfig::{HostConfig, Proxy};
use crate::inventory::{Device, Remote};

/// The longest wait for a step of connecting.
const STEP: Duration = Duration::from_secs(20);
/// The most hosts on the way to a device.
const MAX_JUMPS: usize = 5;

/// Where a connection goes, once the ssh configuration has been asked.
struct Target {
    /// As the inventory or a `ProxyJump` names it.
    name: String,
    host: String,
    port: u16,
    user: Option<String>,
    config: HostConfig,
}

impl Target {
    fn new(name: &str, port: Option<u16>, user: Option<&str>, context: &Context<'_>) -> Self {
        let config = context.network.ssh_config(context).host(name);
        Self {
            name: name.to_owned(),
            host: config.host_name.clone().unwrap_or_else(|| name.to_owned()),
            port: port.or(config.port).unwrap_or(22),
            user: user.map(str::to_owned).or_else(|| config.user.clone()),
            config,
        }
    }

    fn user(&self, context: &Context<'_>) -> Result<String, ConnectError> {
        let own = || ["USER", "LOGNAME"].iter().find_map(|name| (context.env)(name)).filter(|user| !user.is_empty());
        self.user.clone().or_else(own).ok_or_else(|| ConnectError::NoUser(self.name.clone()))
    }

    fn address(&self) -> String {
        list_name(&self.host, self.port)
    }
}

/// A device's host key, and what is thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The key.
    pub key: HostKey,
    /// Whether it is known.
    pub verdict: Verdict,
    /// Where it was shown, `host` or `[host]:port`.
    pub address: String,
}

/// Connects far enough to see the host key of a device, and sends no credential to it.
///
/// # Errors
/// [`ConnectError`]; an unknown key is none.
pub fn show_host_key(device: &Device, remote: &Remote, context: &Context<'_>) -> Result<Shown, ConnectError> {
    let target = Target::new(&remote.host, remote.port, remote.user.as_deref(), context);
    let (_, shown) = handshake(device, &target, device.name.as_str(), context, 0)?;
    Ok(shown)
}

/// Connects and logs in to a device.
pub(crate) fn connect<'a>(device: &Device, remote: &Remote, context: &Context<'a>) -> Result<Link<'a>, ConnectError> {
    let target = Target::new(&remote.host, remote.port, remote.user.as_deref(), context);
    let (link, shown) = handshake(device, &target, device.name.as_str(), context, 0)?;
    check(shown)?;
    let begun = Instant::now();
    let user = target.user(context)?;
    let login = Login {
        device,
        credential: device.credential.as_ref(),
        user: &user,
        host: &target.host,
        identity_files: &target.config.identity_files,
    };
    log_in(&link, &login, context)?;
    link.busy.logged_in();
    context.step(begun, || format!("logged in as {user}"));
    Ok(link)
}

fn check(shown: Shown) -> Result<(), ConnectError> {
    let fingerprint = shown.key.fingerprint();
    match shown.verdict {
        Verdict::Known => Ok(()),
        Verdict::Unknown => Err(ConnectError::UnknownHostKey { kind: shown.key.kind(), fingerprint }),
        Verdict::Changed(expected) => Err(ConnectError::ChangedHostKey { expected, received: fingerprint }),
        Verdict::Revoked => Err(ConnectError::RevokedHostKey { fingerprint }),
    }
}

fn handshake<'a>(
    device: &Device,
    target: &Target,
    pin_name: &str,
    context: &Context<'a>,
    depth: usize,
) -> Result<(Link<'a>, Shown), ConnectError> {
    let deadline = context.deadline.unwrap_or_else(|| context.deadline_of(device));
    let patience = Patience { deadline, step: STEP, cancel: context.cancel };
    let begun = Instant::now();
    let (socket, below) = socket(device, target, context, &patience, depth)?;
    context.step(begun, || format!("connected to {}", target.address()));

    let begun = Instant::now();
    let user_lists;
    let known: &[KnownHosts] = match &target.config.known_hosts_files {
        Some(files) => {
            user_lists = files.iter().map(|file| KnownHosts::read(file, false)).collect::<Result<Vec<_>, _>>()?;
            &user_lists
        }
        None => context.network.known_hosts(context)?,
    };
    let known_name = target.config.host_key_alias.clone().unwrap_or_else(|| target.address());
    let expected = Expected { pins: context.network.pins(context)?, pin_name, known, known_name: &known_name };
    let kinds: Vec<String> = expected.keys().iter().map(|key| key.algorithm().to_string()).collect();

    let failed = |error: &ssh2::Error| ConnectError::Protocol { doing: "beginning", reason: super::plain(error.message()) };
    let mut session = Session::new().map_err(|error| failed(&error))?;
    algorithms::prefer(&session, &device.allow_algorithms, &kinds)?;
    session.set_tcp_stream(socket.clone());
    session.set_blocking(false);
    // libssh2 blocks while it drops what is open; not for long.
    session.set_timeout(5_000);
    // Two ends: that of the handshake, which a flood of banners would hold up, then that of the device.
    let first = (Instant::now() + STEP).min(deadline);
    let ended = socket.clone();
    let early = context.network.watchdog().guard(first, move || ended.shut());
    let ended = socket.clone();
    let guard = context.network.watchdog().guard(deadline, move || ended.shut());
    let busy = Busy::watch(context.network.watchdog(), socket.clone());
    if let Err(error) = shake_hands(&mut session, &socket, &busy, &patience, target) {
        return Err(explained(error, &session, device, target, &patience));
    }
    drop(early);
    let key = match session.host_key() {
        Some((bytes, _)) => HostKey::from_wire(bytes)?,
        None => return Err(crate::collect::hostkeys::HostKeyError::NotAKey.into()),
    };
    context.step(begun, || format!("host key {} {}", key.kind(), key.fingerprint()));
    let shown = Shown { verdict: expected.judge(&key), key, address: target.address() };
    let core = Core { session, socket, _guard: guard, _below: below };
    Ok((Link { core, patience, busy, address: target.address() }, shown))
}

/// Where nothing was in common, says what the device offers. It is asked in a connection of its own, as libssh2
/// keeps that to itself.
fn explained(error: ConnectError, session: &Session, device: &Device, target: &Target, patience: &Patience<'_>) -> ConnectError {
    if !matches!(error, ConnectError::NoAlgorithm(_)) || target.config.proxy.clone().flatten().is_some() {
        return error;
    }
    let offer = connect_socket(&target.host, target.port, bind_address(device, target), patience)
        .and_then(|socket| super::offer::ask(&socket, patience));
    let missing = offer.ok().flatten().and_then(|offer| algorithms::missing(session, &device.allow_algorithms, &offer));
    missing.map_or(error, ConnectError::OldAlgorithms)
}

fn bind_address(device: &Device, target: &Target) -> Option<IpAddr> {
    let named = || target.config.bind_address.as_deref().and_then(|text| text.parse().ok());
    device.bind_address.or_else(named)
}

fn shake_hands(
    session: &mut Session,
    socket: &Socket,
    busy: &Busy,
    patience: &Patience<'_>,
    target: &Target,
) -> Result<(), ConnectError> {
    const DOING: &str = "shaking hands";
    const NO_KEX: [i32; 3] = [-5, -8, -33];
    let begun = Instant::now();
    let address = target.address();
    loop {
        let Err(error) = busy.during(|| session.handshake()) else { return Ok(()) };
        match error.code() {
            ssh2::ErrorCode::Session(-37) => {
                let slice = patience.slice(begun, DOING, &address)?;
                super::socket::wait_for(std::os::fd::AsFd::as_fd(socket), super::link::wanted(session), slice);
            }
            ssh2::ErrorCode::Session(code) => {
                patience.slice(begun, DOING, &address)?;
                if busy.is_endless() {
                    return Err(ConnectError::Endless { doing: DOING });
                }
                let reason = super::plain(error.message());
                return Err(if NO_KEX.contains(&code) {
                    ConnectError::NoAlgorithm(reason)
                } else {
                    ConnectError::Protocol { doing: DOING, reason }
                });
            }
            ssh2::ErrorCode::SFTP(_) => return Err(ConnectError::Protocol { doing: DOING, reason: "SFTP".into() }),
        }
    }
}

fn socket(
    device: &Device,
    target: &Target,
    context: &Context<'_>,
    patience: &Patience<'_>,
    depth: usize,
) -> Result<(Socket, Vec<jump::Tunnel>), ConnectError> {
    match target.config.proxy.clone().flatten() {
        None => Ok((connect_socket(&target.host, target.port, bind_address(device, target), patience)?, Vec::new())),
        Some(Proxy::Command(line)) => Ok((through_command(&expand(&line, target, context)?, context)?, Vec::new())),
        Some(Proxy::Jump(hosts)) => {
            if hosts.is_empty() || depth + hosts.len() > MAX_JUMPS {
                return Err(ConnectError::BadProxy(format!("more than {MAX_JUMPS} hosts before {}", target.name)));
            }
            jump_through(device, &hosts, target, context, depth)
        }
    }
}

/// Passes all hosts of a `ProxyJump`; the first is connected to directly, or as its own configuration says.
fn jump_through(
    device: &Device,
    hosts: &[String],
    target: &Target,
    context: &Context<'_>,
    depth: usize,
) -> Result<(Socket, Vec<jump::Tunnel>), ConnectError> {
    let (last, before) = hosts.split_last().ok_or_else(|| ConnectError::BadProxy(target.name.clone()))?;
    let (user, place) = last.rsplit_once('@').map_or((None, last.as_str()), |(user, place)| (Some(user), place));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => (host, Some(port)),
        _ => (place, None),
    };
    let bad = || ConnectError::BadProxy(last.chars().take(80).flat_map(char::escape_debug).collect());
    let port = port.map(|port| port.parse::<u16>().map_err(|_| bad())).transpose()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.starts_with('-') {
        return Err(bad());
    }
    let mut hop = Target::new(host, port, user, context);
    if !before.is_empty() {
        hop.config.proxy = Some(Some(Proxy::Jump(before.to_vec())));
    }
    let passed = || -> Result<_, ConnectError> {
        let (link, shown) = handshake(device, &hop, host, context, depth + 1)?;
        check(shown)?;
        let user = hop.user(context)?;
        let login = Login { device, credential: None, user: &user, host: &hop.host, identity_files: &hop.config.identity_files };
        log_in(&link, &login, context)?;
        link.busy.logged_in();
        jump::through(link, &target.host, target.port)
    };
    let (socket, tunnel) = passed().map_err(|error| match error {
        stop @ (ConnectError::Cancelled | ConnectError::Overdue { .. }) => stop,
        error => ConnectError::Jump { host: host.to_owned(), source: Box::new(error) },
    })?;
    Ok((socket, vec![tunnel]))
}

/// Fills in the placeholders of a proxy command. What is filled in is a word without meaning to a shell.
fn expand(line: &str, target: &Target, context: &Context<'_>) -> Result<String, ConnectError> {
    let user = target.user(context)?;
    let safe = |text: &str| {
        !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:@".contains(&b)) && !text.is_empty()
    };
    if ![&target.host, &target.name, &user].iter().all(|text| safe(text)) {
        return Err(ConnectError::BadProxy(target.name.escape_debug().to_string()));
    }
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('h')) => out.push_str(&target.host),
            ('%', Some('p')) => out.push_str(&target.port.to_string()),
            ('%', Some('r')) => out.push_str(&user),
            ('%', Some('n')) => out.push_str(&target.name),
            ('%', Some('%')) => out.push('%'),
            ('%', _) => return Err(ConnectError::BadProxy(line.chars().take(80).flat_map(char::escape_debug).collect())),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}
