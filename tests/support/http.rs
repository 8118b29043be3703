//! A small HTTP server on the loopback, which remembers what it was asked.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an answer is: status line, further headers, body.
pub type Answer = (String, Vec<(String, String)>, Vec<u8>);

pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Begins to serve; `answer` is given the path with its query. The server ends with the test's process.
    pub fn new(answer: impl Fn(&str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                // A client that went away is the next one's business.
                drop(serve(socket, &log, &answer));
            }
        });
        Self { url, asked }
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut socket: TcpStream, log: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) -> std::io::Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(120)))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 65536 && socket.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    log.lock().unwrap().push(head);
    let (status, headers, body) = answer(&path);
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all((text + "\r\n").as_bytes())?;
    socket.write_all(&body)
}

pub fn ok(body: impl Into<Vec<u8>>) -> Answer {
    ("200 OK".into(), vec![("Content-Type".into(), "application/json".into())], body.into())
}
