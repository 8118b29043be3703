//! The least that collecting over SSH can cost: connect, log in, a terminal, three commands, the answers thrown away.
//!
//! `ssh_floor HOST PORT PASSWORD DEVICES JOBS`; see `collect.py`.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn wait(channel: &mut ssh2::Channel, answer: &mut Vec<u8>, prompt: &[u8]) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    while !answer.ends_with(prompt) {
        match channel.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

fn one(host: &str, port: u16, password: &str, device: usize) -> Result<usize, Box<dyn std::error::Error>> {
    let name = format!("r{device:05}");
    let socket = TcpStream::connect((host, port))?;
    socket.set_nodelay(true)?;
    let mut session = ssh2::Session::new()?;
    session.set_tcp_stream(socket);
    session.set_timeout(60_000);
    session.handshake()?;
    session.userauth_password(&name, password)?;
    let mut channel = session.channel_session()?;
    channel.request_pty("vt100", None, Some((200, 0, 0, 0)))?;
    channel.shell()?;
    let prompt = format!("{name}#").into_bytes();
    let (mut answer, mut bytes) = (Vec::new(), 0);
    wait(&mut channel, &mut answer, &prompt)?;
    for command in ["terminal length 0\n", "show version\n", "show running-config\n"] {
        answer.clear();
        channel.write_all(command.as_bytes())?;
        wait(&mut channel, &mut answer, &prompt)?;
        bytes += answer.len();
    }
    Ok(bytes)
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, host, port, password, devices, jobs] = arguments.as_slice() else {
        eprintln!("usage: ssh_floor HOST PORT PASSWORD DEVICES JOBS");
        return;
    };
    let (port, devices, jobs): (u16, usize, usize) = (port.parse().unwrap(), devices.parse().unwrap(), jobs.parse().unwrap());
    let (next, bytes, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..jobs {
            let work = || loop {
                let device = next.fetch_add(1, Ordering::SeqCst);
                if device >= devices {
                    return;
                }
                match one(host, port, password, device) {
                    Ok(count) => bytes.fetch_add(count, Ordering::SeqCst),
                    Err(error) => {
                        eprintln!("{device}: {error}");
                        failed.fetch_add(1, Ordering::SeqCst)
                    }
                };
            };
            thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work).unwrap();
        }
    });
    println!("{} bytes, {} failed", bytes.into_inner(), failed.into_inner());
}
