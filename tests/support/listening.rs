//! Starts an OpenSSH server on a port that nobody else has.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Gives the server and its port. `begin` makes it ready for a port; it must run `sshd -D -e` and become it.
///
/// The port is free when it is chosen and may be another's when the server comes to it: then it is another one's turn. That
/// somebody answers there says nothing, so what counts is what the server itself says in `log`.
pub fn start(log: &Path, mut begin: impl FnMut(u16) -> Command) -> (Child, u16) {
    let begun = Instant::now();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = begin(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log).unwrap());
        let mut child = command.spawn().expect("openssh-server is needed; see tests/all.sh");
        loop {
            let ended = child.try_wait().unwrap();
            let said = String::from_utf8_lossy(&fs::read(log).unwrap()).into_owned();
            if said.contains(&format!("Server listening on 127.0.0.1 port {port}")) {
                return (child, port);
            }
            if ended.is_some() && said.contains("Address already in use") {
                break;
            }
            if ended.is_some() || begun.elapsed() > Duration::from_secs(120) {
                drop(child.kill());
                drop(child.wait());
                panic!("sshd did not start: {said}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
