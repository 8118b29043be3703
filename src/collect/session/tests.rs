//! The engine against devices made of a list of answers.

use std::collections::VecDeque;

use super::super::*;
use super::*;
use crate::profile::Session as Script;

/// A device: gives these pieces one a read, a `None` as silence, and waits for a line before each `Some(b"")`.
struct Play {
    pieces: VecDeque<Option<&'static [u8]>>,
    written: Vec<u8>,
    /// What is sent for each further line when the pieces are used up.
    forever: Option<&'static [u8]>,
}

impl Wire for &mut Play {
    fn read(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Read, WireError> {
        match self.pieces.pop_front() {
            Some(Some(piece)) => {
                buffer[..piece.len()].copy_from_slice(piece);
                Ok(Read::Data(piece.len()))
            }
            Some(None) => {
                std::thread::sleep(wait);
                Ok(Read::Quiet)
            }
            None => match self.forever {
                Some(piece) => {
                    buffer[..piece.len()].copy_from_slice(piece);
                    Ok(Read::Data(piece.len()))
                }
                None => Ok(Read::End),
            },
        }
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.written.extend_from_slice(bytes);
        Ok(())
    }
}

struct Lab;
impl Replies for Lab {
    fn reply(&self, what: &str) -> Option<String> {
        (what == "enable").then(|| "s3cret".to_owned())
    }
}

fn script(text: &str) -> Script {
    toml::from_str(text).unwrap()
}

fn ios() -> Script {
    script(
        r#"
        prompt = '^[\w.-]+[>#]$'
        pager = '^ ?--More--'
        refusals = ['^% Invalid input', '^% Authorization failed']
        login = [
            { expect = '^[\w.-]+>$', send = "enable", optional = true },
            { expect = '^Password:$', send = "{enable}", optional = true },
        ]
        "#,
    )
}

fn command(text: &str) -> Command {
    toml::from_str(&format!("path = 'x'\nscope = 'voip'\n{text}")).unwrap()
}

fn limits() -> Limits {
    let ms = Duration::from_millis;
    Limits { idle: ms(200), settle: ms(80), total_bytes: 4096, line_bytes: 512 }
}

fn play(pieces: &[Option<&'static [u8]>]) -> Play {
    Play { pieces: pieces.iter().copied().collect(), written: Vec::new(), forever: None }
}

/// Plays the pieces behind a plain login and gives the answer to one command.
fn answer(script: &Script, pieces: &[Option<&'static [u8]>], command: &Command) -> (Result<Answer, SessionError>, String) {
    let mut all = vec![Some(&b"\r\ngw#"[..]), Some(b"\r\ngw#")];
    all.extend_from_slice(pieces);
    let mut device = play(&all);
    let result = Session::open(&mut device, script, limits(), &Lab).and_then(|mut s| {
        let bytes = s.run(command)?.whole()?;
        Ok(Answer { bytes, fault: None })
    });
    (result, String::from_utf8(device.written).unwrap())
}

#[test]
fn an_answer_with_its_marker_needs_no_second_prompt() {
    let run = command("run = 'show run'\nend = '^end$'");
    let pieces = [Some(&b"show run\r\nhostname gw\r\nend\r\n\r\ngw#"[..])];
    let (answer, written) = answer(&ios(), &pieces, &run);
    assert_eq!(answer.unwrap().bytes, b"hostname gw\nend\n\n");
    assert_eq!(written, "\nshow run\n");
}

#[test]
fn text_that_looks_like_the_prompt_does_not_end_an_answer() {
    let run = command("run = 'show run'\nend = '^end$'");
    // The device pauses right behind a line of the banner that is the prompt, and again behind an `end` in it.
    let pieces = [
        Some(&b"show run\r\nbanner motd ^C\r\ngw#"[..]),
        Some(b"\r\nexit\r\n --More-- is text\r\nend"),
        Some(b"less\r\n^C\r\nend\r\ngw#"),
        Some(b"\r\ngw#"),
    ];
    let (answer, _) = answer(&ios(), &pieces, &run);
    assert_eq!(answer.unwrap().bytes, b"banner motd ^C\ngw#\nexit\n --More-- is text\nendless\n^C\nend\n".as_slice());
}

#[test]
fn a_prompt_that_changes_is_followed() {
    let run = command("run = 'show version'");
    let pieces = [Some(&b"show version\r\nIOS 15\r\nnew-name#"[..]), Some(b"\r\nnew-name#")];
    let (answer, _) = answer(&ios(), &pieces, &run);
    assert_eq!(answer.unwrap().bytes, b"IOS 15\n");
}

#[test]
fn a_device_that_swallows_the_empty_line_is_believed_after_a_while() {
    let run = command("run = 'show version'");
    let (answer, _) = answer(&ios(), &[Some(b"show version\r\nIOS 15\r\ngw#"), None], &run);
    assert_eq!(answer.unwrap().bytes, b"IOS 15\n");
}

#[test]
fn a_pager_is_answered_and_wiped_out() {
    let run = command("run = 'show run'\nend = '^end$'");
    let pieces = [
        Some(&b"show run\r\na\r\n --More-- "[..]),
        None,
        Some(b"\x08\x08\x08\x08\x08\x08\x08\x08\x08         \x08\x08\x08\x08\x08\x08\x08\x08\x08 b\r\nend\r\ngw#"),
    ];
    let (answer, written) = answer(&ios(), &pieces, &run);
    assert_eq!(answer.unwrap().bytes, b"a\n b\nend\n");
    assert!(written.ends_with("show run\n "));
    let mut strict = ios();
    strict.pager_answer.clear();
    let (answer, _) = super::tests::answer(&strict, &pieces, &run);
    assert!(matches!(answer, Err(SessionError::Paged { .. })), "{answer:?}");
}

#[test]
fn what_is_not_whole_is_an_error_that_names_the_evidence() {
    let run = command("run = 'show run'\nend = '^end$'\nrequired = true");
    let refused = |r: &SessionError| matches!(r, SessionError::Refused { phrase, .. } if phrase == "% Authorization failed");
    type Test<'t> = (&'t [Option<&'static [u8]>], &'t dyn Fn(&SessionError) -> bool);
    let cases: [Test<'_>; 7] = [
        (&[Some(b"show run\r\nhostname gw\r\ngw#"), Some(b"\r\ngw#")], &|e| {
            matches!(e, SessionError::Truncated { lines: 1, .. })
        }),
        (&[Some(b"show run\r\ngw#"), Some(b"\r\ngw#")], &|e| matches!(e, SessionError::Truncated { bytes: 0, .. })),
        (&[Some(b"show run\r\nhostname gw\r\n% Authorization failed.\r\ngw#"), Some(b"\r\ngw#")], &refused),
        (&[Some(b"show run\r\nhostname gw\r\n")], &|e| matches!(e, SessionError::Closed { .. })),
        (&[Some(b"show run\r\nhostname gw\r\n"), None, None], &|e| matches!(e, SessionError::Silent { .. })),
        (&[Some(&[b'x'; 600])], &|e| matches!(e, SessionError::LongLine { .. })),
        (&[Some(b"show run\r\n\xff\r\n"), None, None], &|e| matches!(e, SessionError::Silent { .. })),
    ];
    for (i, (pieces, expected)) in cases.iter().enumerate() {
        let (answer, _) = answer(&ios(), pieces, &run);
        let error = answer.unwrap_err();
        assert!(expected(&error), "{i}: {error}");
        assert!(!error.to_string().contains("hostname"), "an error shows configuration: {error}");
    }
}

#[test]
fn an_endless_stream_ends_at_the_limit() {
    let run = command("run = 'show run'");
    let mut device = play(&[Some(b"\r\ngw#"), Some(b"\r\ngw#")]);
    device.forever = Some(b"flood\r\n");
    let error = Session::open(&mut device, &ios(), limits(), &Lab).and_then(|mut s| s.run(&run)).unwrap_err();
    assert!(matches!(error, SessionError::Flood { limit: 4096, .. }), "{error}");
}

#[test]
fn enable_is_asked_for_once() {
    let good = [Some(&b"\r\ngw>"[..]), None, Some(b"enable\r\nPassword: "), None, Some(b"\r\ngw#"), Some(b"\r\ngw#")];
    let mut device = play(&good);
    assert_eq!(Session::open(&mut device, &ios(), limits(), &Lab).unwrap().prompt(), "gw#");
    assert_eq!(device.written, b"enable\ns3cret\n\n");
    for bad in [&b"\r\nPassword: "[..], b"\r\n% Access denied\r\ngw>"] {
        let mut pieces = good[..4].to_vec();
        pieces.extend([Some(bad), None]);
        let mut device = play(&pieces);
        let error = Session::open(&mut device, &ios(), limits(), &Lab).err().unwrap();
        assert!(matches!(error, SessionError::LoginRefused { .. }), "{error}");
        assert_eq!(device.written, b"enable\ns3cret\n", "a refused password was sent again");
    }
}

#[test]
fn a_slow_start_is_waited_for_and_no_longer() {
    let mut script = script("prompt = '^admin:$'\nstart-ms = 400");
    let mut device =
        play(&[Some(b"Command Line Interface is starting up, please wait ...\r\n"), None, Some(b"admin:"), Some(b"\r\nadmin:")]);
    script.start_ms = 150;
    let error = Session::open(&mut device, &script, limits(), &Lab).err().unwrap();
    assert!(matches!(&error, SessionError::NoPrompt { .. }), "{error}");
    let mut device = play(&[Some(b"please wait ...\r\n"), Some(b"admin:"), Some(b"\r\nadmin:")]);
    assert_eq!(Session::open(&mut device, &script, limits(), &Lab).unwrap().prompt(), "admin:");
}

#[test]
fn other_spellings_are_tried_after_a_refusal() {
    let run = command("run = 'show running-config view full'\nor = ['show running-config']\nend = '^end$'");
    let pieces = [
        Some(&b"show running-config view full\r\n                ^\r\n% Invalid input detected at '^' marker.\r\n\r\ngw#"[..]),
        Some(b"\r\ngw#"),
        Some(b"show running-config\r\na\r\nend\r\ngw#"),
    ];
    let (answer, _) = answer(&ios(), &pieces, &run);
    assert_eq!(answer.unwrap().bytes, b"a\nend\n");
}
