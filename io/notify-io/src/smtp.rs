//! SMTP (RFC 5321) with STARTTLS (RFC 3207) or TLS from the start, and AUTH (RFC 4954).

use crate::stream::{Fault, Stream, told};
use crate::{Attempt, mail, secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mainstay_alerting::{Email, Message};
use mainstay_atoms::Authority;
use std::io::{Read as _, Write as _};

/// Longest answer to one command, in bytes.
const ANSWER_MAX: usize = 16 << 10;

/// What a server said: its code and its lines.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

struct Dialogue {
    stream: Option<Stream>,
    server: String,
    /// What was read beyond the last answer.
    rest: Vec<u8>,
    is_secure: bool,
}

/// Where mail is handed over; port 25 where none is said.
fn server(email: &Email) -> Option<Authority> {
    Authority::parse(&email.server, Some(25))
}

/// Sends a mail; a remark says which addresses were not taken while others were.
pub(crate) fn send(
    attempt: &Attempt<'_>,
    email: &Email,
    message: &Message,
) -> Result<Option<String>, Fault> {
    let server = server(email).ok_or_else(|| {
        Fault::Refused(format!(
            "`{}` is not a mail server such as `mail.example.org:587`",
            email.server
        ))
    })?;
    let from = mail::bare(&email.from).ok_or_else(|| {
        Fault::Refused(format!(
            "`{}` cannot be a sender's address",
            email.from.escape_debug()
        ))
    })?;
    let mut dialogue = begin(attempt, email, &server.host, server.port)?;
    authenticate(attempt, email, &mut dialogue)?;
    dialogue
        .say(&format!("MAIL FROM:<{from}>"))?
        .expect(250, "the sender")?;
    let remark = recipients(email, &mut dialogue)?;
    dialogue.say("DATA")?.expect(354, "the message")?;
    let text = stuffed(&mail::compose(email, message, attempt.now_ms));
    let taken = dialogue.hand_over(&text);
    taken
        .map_err(Fault::after_handing_over)
        .inspect(|reply| attempt.heard.hear(reply.said()))?
        .expect(250, "the message")?;
    // It is taken: how the farewell goes does not matter.
    dialogue.say("QUIT").ok();
    Ok(remark)
}

fn begin(attempt: &Attempt<'_>, email: &Email, host: &str, port: u16) -> Result<Dialogue, Fault> {
    let mut stream = Stream::connect(attempt, host, port)?;
    if email.implicit_tls {
        stream = stream.secure(attempt, host)?;
    }
    let mut dialogue = Dialogue {
        stream: Some(stream),
        server: email.server.clone(),
        rest: Vec::new(),
        is_secure: email.implicit_tls,
    };
    dialogue.hear()?.expect(220, "the connection")?;
    let hello = hello(email);
    let abilities = dialogue.say(&hello)?.expect(250, "the greeting")?;
    if email.implicit_tls {
        return Ok(dialogue);
    }
    if !abilities.has("STARTTLS") {
        if email.require_tls {
            return Err(Fault::Refused(format!(
                "`{}` offers no TLS; set `require_tls: false` to send in the clear",
                email.server
            )));
        }
        return Ok(dialogue);
    }
    dialogue.say("STARTTLS")?.expect(220, "TLS")?;
    // What came before TLS began is not of the server's own (CVE-2011-0411).
    dialogue.rest.clear();
    let stream = dialogue
        .stream
        .take()
        .ok_or_else(|| Fault::failed("the connection is gone".into()))?;
    dialogue.stream = Some(stream.secure(attempt, host)?);
    dialogue.is_secure = true;
    dialogue.say(&hello)?.expect(250, "the greeting")?;
    Ok(dialogue)
}

fn hello(email: &Email) -> String {
    let clean = |name: &str| {
        name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'[' | b']' | b':')
        })
    };
    let name = if email.hello.is_empty() {
        mail::domain(&email.from)
    } else {
        &email.hello
    };
    format!(
        "EHLO {}",
        if clean(name) && !name.is_empty() {
            name
        } else {
            "localhost"
        }
    )
}

fn authenticate(
    attempt: &Attempt<'_>,
    email: &Email,
    dialogue: &mut Dialogue,
) -> Result<(), Fault> {
    if email.user.is_empty() {
        return Ok(());
    }
    let Some(password) = &email.password else {
        return Err(Fault::Refused(format!(
            "user `{}` has no password",
            email.user
        )));
    };
    let is_local = server(email)
        .is_some_and(|server| matches!(&*server.host, "localhost" | "127.0.0.1" | "[::1]"));
    if !dialogue.is_secure && !is_local {
        return Err(Fault::Refused(format!(
            "`{}` would read the password in the clear",
            email.server
        )));
    }
    let password = secret::read(attempt, password)?;
    let plain = STANDARD.encode(format!("\0{}\0{password}", email.user));
    let reply = dialogue.say_hidden(&format!("AUTH PLAIN {plain}"))?;
    if !matches!(reply.code, 500..=504 | 534) {
        return reply.expect(235, "user and password").map(drop);
    }
    // Some know LOGIN alone.
    dialogue.say("AUTH LOGIN")?.expect(334, "the user")?;
    dialogue
        .say_hidden(&STANDARD.encode(&email.user))?
        .expect(334, "the user")?;
    dialogue
        .say_hidden(&STANDARD.encode(&password))?
        .expect(235, "user and password")
        .map(drop)
}

fn recipients(email: &Email, dialogue: &mut Dialogue) -> Result<Option<String>, Fault> {
    let (mut taken, mut refused) = (0, Vec::new());
    let mut last = Fault::Refused("nobody is named under `to`".into());
    for address in &email.to {
        let Some(bare) = mail::bare(address) else {
            refused.push(format!("`{}` is not an address", address.escape_debug()));
            continue;
        };
        match dialogue
            .say(&format!("RCPT TO:<{bare}>"))?
            .within(&[250, 251, 252], bare)
        {
            Ok(_) => taken += 1,
            Err(fault) => {
                refused.push(fault.to_string());
                last = fault;
            }
        }
    }
    if taken == 0 {
        return Err(if email.to.iter().any(|one| mail::bare(one).is_some()) {
            last
        } else {
            Fault::Refused(refused.first().cloned().unwrap_or_else(|| last.to_string()))
        });
    }
    Ok((!refused.is_empty()).then(|| refused.join("; ")))
}

/// Lines that begin with a dot get another one (RFC 5321, 4.5.2), and the end is added.
fn stuffed(mail: &str) -> String {
    let mut text = String::with_capacity(mail.len() + 64);
    for line in mail.split("\r\n") {
        if line.starts_with('.') {
            text.push('.');
        }
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str(".\r\n");
    text
}

impl Dialogue {
    fn failed(&self, why: &str) -> Fault {
        Fault::failed(format!("mail server `{}`: {why}", self.server))
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        let stream = self.stream.as_mut();
        let sent = stream.map(|stream| {
            stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush())
        });
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(fault)) => Err(self.failed(&told(&fault))),
            None => Err(self.failed("the connection is gone")),
        }
    }

    fn say(&mut self, command: &str) -> Result<Reply, Fault> {
        self.write(&format!("{command}\r\n"))?;
        self.hear()
    }

    /// The same for a command that holds a secret; a server that repeats it is not quoted.
    fn say_hidden(&mut self, command: &str) -> Result<Reply, Fault> {
        let mut reply = self.say(command)?;
        if reply.code >= 400 {
            reply.lines = vec!["not repeated here, it may hold the password".into()];
        }
        Ok(reply)
    }

    fn hand_over(&mut self, text: &str) -> Result<Reply, Fault> {
        self.write(text)?;
        self.hear()
    }

    /// Reads one answer: lines `250-…`, the last one `250 …`.
    fn hear(&mut self) -> Result<Reply, Fault> {
        let mut lines = Vec::new();
        let mut size = 0;
        loop {
            let line = self.line()?;
            size += line.len();
            let code = line
                .get(..3)
                .and_then(|code| code.parse::<u16>().ok())
                .filter(|code| (200..600).contains(code));
            let Some(code) = code.filter(|_| size <= ANSWER_MAX) else {
                return Err(self.failed("what it says is not SMTP"));
            };
            let text = line.get(4..).unwrap_or_default().to_owned();
            let goes_on = line.as_bytes().get(3) == Some(&b'-');
            lines.push(text);
            if !goes_on {
                return Ok(Reply { code, lines });
            }
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        let mut chunk = [0; 1024];
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.rest.len() > ANSWER_MAX {
                return Err(self.failed("what it says is too long"));
            }
            let read = match self.stream.as_mut() {
                Some(stream) => stream.read(&mut chunk),
                None => return Err(self.failed("the connection is gone")),
            };
            match read {
                Ok(0) => return Err(self.failed("it closed the connection")),
                Ok(count) => self.rest.extend_from_slice(&chunk[..count]),
                Err(fault) if fault.kind() == std::io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(self.failed(&told(&fault))),
            }
        }
    }
}

impl Reply {
    /// The code and what it says, on one line.
    fn said(&self) -> String {
        let words = self.lines.join(" ");
        let words = words.chars().filter(|one| !one.is_control());
        format!("{} {}", self.code, words.take(200).collect::<String>())
    }

    fn has(&self, ability: &str) -> bool {
        let mut words = self
            .lines
            .iter()
            .filter_map(|line| line.split_whitespace().next());
        words.any(|word| word.eq_ignore_ascii_case(ability))
    }

    fn expect(self, code: u16, what: &str) -> Result<Self, Fault> {
        self.within(&[code], what)
    }

    fn within(self, codes: &[u16], what: &str) -> Result<Self, Fault> {
        if codes.contains(&self.code) {
            return Ok(self);
        }
        let why = format!("the mail server does not take {what}: {}", self.said());
        // 4xx passes, 5xx does not.
        Err(if self.code < 500 {
            Fault::failed(why)
        } else {
            Fault::Refused(why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_dot_does_not_end_the_message() {
        assert_eq!(stuffed("a\r\n.\r\n..b"), "a\r\n..\r\n...b\r\n.\r\n");
    }
}
