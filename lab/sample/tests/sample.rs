//! The application as a process: what it answers, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for an answer or an end.
const DEADLINE: Duration = Duration::from_secs(30);

struct Sample {
    child: Child,
    out: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Sample {
    fn start(env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mainstay-sample"))
            .envs([
                ("PORT", "0"),
                ("MAINSTAY_RELEASE", "v7"),
                ("MAINSTAY_INSTANCE", "web.v7.2"),
            ])
            .envs([("MAINSTAY_SERVICE", "web"), ("GREETING", "good morning")])
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self {
            child,
            out,
            address,
        }
    }

    fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        read(self.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )))
    }

    fn post(&self, path: &str) -> String {
        read(self.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )))
    }

    fn term(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn line(&mut self, wanted: &str) {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(
                self.out.read_line(&mut line).unwrap(),
                0,
                "it ended before `{wanted}`"
            );
        }
    }

    fn code(mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < DEADLINE, "it did not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // Fails only when it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_front_page_says_who_answers_and_what_the_api_says() {
    let api = Sample::start(&[("MAINSTAY_SERVICE", "api")]);
    let url = format!("http://{}/", api.address);
    let web = Sample::start(&[("API_URL", &url)]);
    let front = web.get("/");
    assert!(front.starts_with("HTTP/1.1 200"), "{front}");
    assert!(
        front.contains("\ngood morning from web v7 (web.v7.2)\napi says: good morning from api v7"),
        "{front}"
    );
    assert!(web.get("/version").ends_with("\nweb v7\n"));
    assert!(web.get("/bytes?n=5").ends_with("\r\n\r\nxxxxx"));
    assert!(web.get("/echo?a=1").contains("GET /echo?a=1\nhost: a\n"));
    assert!(
        web.get("/events?every_ms=1&count=2")
            .contains("id: 2\ndata: web.v7.2 2\n\n")
    );
    assert!(web.get("/metrics").contains("sample_requests_total 6\n"));
    assert!(web.get("/nothing").starts_with("HTTP/1.1 404"));
}

#[test]
fn faults_come_and_go_on_demand() {
    let sample = Sample::start(&[("FAULT_UNREADY", "1")]);
    assert!(sample.get("/ready").starts_with("HTTP/1.1 503"));
    assert!(
        sample
            .post("/fault?unready=0&error_rate=1")
            .starts_with("HTTP/1.1 200")
    );
    assert!(sample.get("/ready").starts_with("HTTP/1.1 200"));
    assert!(sample.get("/").starts_with("HTTP/1.1 500"));
    assert!(sample.get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(sample.post("/fault?nonsense=1").starts_with("HTTP/1.1 400"));
    // The connection stays open until the end: a client that leaves at once may take its request along.
    let _open = sample.send("POST /fault?exit=9 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(sample.code(), Some(9));
}

#[test]
fn it_finishes_requests_in_flight_before_it_ends() {
    let mut sample = Sample::start(&[]);
    let slow = sample.send("GET /slow?ms=300 HTTP/1.1\r\nhost: a\r\n\r\n");
    let idle = TcpStream::connect(sample.address).unwrap();
    let events = sample.send("GET /events?every_ms=1 HTTP/1.1\r\nhost: a\r\n\r\n");
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut socket = sample.send(&format!(
        "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n{key}\r\n\r\n"
    ));
    sample.line("GET /events");
    let mut head = [0; 256];
    let count = socket.read(&mut head).unwrap();
    assert!(String::from_utf8_lossy(&head[..count]).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    sample.term();
    sample.line("finishing requests in flight");
    assert!(read(slow).contains("slow\n"));
    assert!(read(events).contains("id: 1\n"));
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    assert!(
        String::from_utf8_lossy(&rest).contains("ending"),
        "{rest:?}"
    );
    drop(idle);
    assert_eq!(sample.code(), Some(0));
}

#[test]
fn it_can_be_told_to_ignore_term() {
    let mut sample = Sample::start(&[("FAULT_IGNORE_TERM", "1")]);
    sample.term();
    sample.line("ignored");
    assert!(sample.get("/healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn data_is_kept_where_it_is_told_and_what_is_not_told_is_named() {
    let folder = std::env::temp_dir().join(format!("mainstay-sample-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = format!("sqlite:{}", folder.join("visits.db").display());
    let uploads = folder.display().to_string();
    let sample = Sample::start(&[("VISITS_URL", &file), ("UPLOADS_DIR", &uploads)]);
    assert!(sample.get("/visits").ends_with("1 visits\n"));
    assert!(sample.get("/visits").ends_with("2 visits\n"));
    assert!(sample.post("/uploads/note.txt").contains("0 bytes kept"));
    assert!(folder.join("note.txt").exists());
    assert!(
        sample
            .post("/uploads/.hidden")
            .contains("a name is letters")
    );
    let orders = sample.get("/orders");
    assert!(orders.contains(" 503 ") && orders.contains("DATABASE_URL is not set"));
    assert!(sample.post("/orders").contains("what `item`?"));
    // Another one finds what the first kept.
    drop(sample);
    let sample = Sample::start(&[("VISITS_URL", &file)]);
    assert!(sample.get("/visits").ends_with("3 visits\n"));
    drop(sample);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_job_without_its_database_fails_and_says_so() {
    for word in ["migrate", "digest", "worker"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mainstay-sample"))
            .arg(word)
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{word}");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("_URL is not set"), "{word}: {text}");
    }
}
