//! The scanner's rules, one row each, and what holds for any bytes.

use super::*;
use proptest::prelude::*;

const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    "GET http://a:80/x?y HTTP/1.1\r\nHost: A:80\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\ta \t\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-custom\r\nUpgrade: h2c\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
];

/// Feeds `bytes` cut at the places in `cuts`; gives what passed and the final verdict.
fn feed(bytes: &[u8], cuts: &[usize]) -> (usize, Then) {
    let mut scanner = Scanner::new();
    let (mut passed, mut then) = (0, Then::More);
    let ends = cuts.iter().copied().chain([bytes.len()]);
    for end in ends {
        let scan = scanner.scan(&bytes[passed..end.max(passed)]);
        passed += scan.pass;
        then = scan.then;
        if then != Then::More {
            break;
        }
    }
    (passed, then)
}

fn verdict(text: &str) -> Then {
    feed(text.as_bytes(), &[]).1
}

#[test]
fn good_requests_pass_whole_alone_and_pipelined() {
    for text in GOOD {
        assert_eq!(
            feed(text.as_bytes(), &[]),
            (text.len(), Then::More),
            "{text}"
        );
    }
    let all = GOOD.concat();
    assert_eq!(feed(all.as_bytes(), &[]), (all.len(), Then::More));
}

const ROWS: &[(&str, Reason)] = &[
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", Reason::BareLineFeed),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", Reason::BareLineFeed),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reason::BareLineFeed),
    (
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Reason::RequestLine,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n",
        Reason::BareCarriageReturn,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n",
        Reason::ControlCharacter,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
        Reason::FoldedField,
    ),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Reason::FoldedField),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Reason::FieldName),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nnone\r\n\r\n",
        Reason::FieldName,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 1\r\n\r\n",
        Reason::UnderscoreName,
    ),
    ("GET /\r\n", Reason::RequestLine),
    ("GET  / HTTP/1.1\r\n", Reason::Target),
    ("GET / x HTTP/1.1\r\n", Reason::Target),
    ("GET / http/1.1\r\n", Reason::RequestLine),
    ("G(T / HTTP/1.1\r\n", Reason::RequestLine),
    ("GET /# HTTP/1.1\r\n", Reason::Target),
    ("GET /%00 HTTP/1.1\r\n", Reason::Target),
    ("GET /?%00 HTTP/1.1\r\n", Reason::Target),
    ("CONNECT a:1 HTTP/1.1\r\n", Reason::Method),
    ("TRACE / HTTP/1.1\r\n", Reason::Method),
    ("GET / HTTP/1.9\r\n", Reason::Version),
    ("GET / HTTP/2.0\r\n", Reason::Version),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Asterisk),
    ("GET / HTTP/1.1\r\n\r\n", Reason::NoHost),
    ("GET / HTTP/1.0\r\n\r\n", Reason::NoHost),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Reason::TwoHosts,
    ),
    ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Reason::OddHost),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Reason::OddHost),
    (
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Reason::HostMismatch,
    ),
    (
        "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Reason::HostMismatch,
    ),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Target),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
        Reason::Length,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        Reason::Length,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        Reason::Length,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n",
        Reason::Length,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        Reason::TwoLengths,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reason::LengthAndCoding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reason::TwoCodings,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        Reason::TwoCodings,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Reason::Coding,
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Reason::Coding,
    ),
    (
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        Reason::OldCoding,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Host\r\n\r\n",
        Reason::Nomination,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n",
        Reason::Nomination,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n",
        Reason::Nomination,
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
        Reason::Expectation,
    ),
];

#[test]
fn one_rule_a_row() {
    for (text, reason) in ROWS {
        assert_eq!(verdict(text), Then::Refuse(reason.refuse()), "{text}");
    }
}

#[test]
fn chunks_are_judged_to_their_end() {
    use Reason::*;
    let rows: &[(&str, Reason)] = &[
        ("3\nabc\r\n0\r\n\r\n", BareLineFeed),
        ("3;a\nb\r\nabc\r\n", BareLineFeed),
        ("3;a\rb\r\nabc\r\n", BareCarriageReturn),
        ("3 \r\nabc\r\n", ChunkSize),
        ("0x3\r\nabc\r\n", ChunkSize),
        ("-3\r\nabc\r\n", ChunkSize),
        ("\r\nabc\r\n", ChunkSize),
        ("fffffffffffffffff\r\n", ChunkSize),
        ("3\r\nabcd\r\n", ChunkEnd),
        ("3\r\nabc\n", ChunkEnd),
        ("3\r\nabc\rx", ChunkEnd),
        ("0\r\nHost: b\r\n\r\n", Trailer),
        ("0\r\nA: b\n\r\n", BareLineFeed),
        ("0\r\n a: b\r\n\r\n", FoldedField),
    ];
    for (body, reason) in rows {
        let text =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let refused = Then::Refuse(reason.refuse());
        assert_eq!(feed(text.as_bytes(), &[]), (0, refused), "{text}");
        let cuts: Vec<usize> = (1..text.len()).collect();
        assert_eq!(feed(text.as_bytes(), &cuts).1, refused, "{text}");
    }
}

#[test]
fn limits_hold() {
    let field = |count| "A: b\r\n".repeat(count);
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(verdict(&with(&field(99))), Then::More);
    assert_eq!(
        verdict(&with(&field(100))),
        Then::Refuse(Reason::FieldCount.refuse())
    );
    let long = |length| with(&format!("A: {}\r\n", "x".repeat(length)));
    let room = Scanner::HEAD_LIMIT - long(0).len();
    assert_eq!(verdict(&long(room)), Then::More);
    assert_eq!(
        verdict(&long(room + 1)),
        Then::Refuse(Reason::HeadLength.refuse())
    );
    assert_eq!(
        verdict(&"G".repeat(40_000)),
        Then::Refuse(Reason::HeadLength.refuse())
    );
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = |length| format!("{head}1;{}\r\na\r\n", "x".repeat(length));
    assert_eq!(verdict(&extension(252)), Then::More);
    assert_eq!(
        verdict(&extension(253)),
        Then::Refuse(Reason::ChunkLine.refuse())
    );
    let chunk = format!("1;{}\r\na\r\n", "x".repeat(200));
    let many = format!("{head}{}", chunk.repeat(100));
    assert_eq!(verdict(&many), Then::Refuse(Reason::ChunkLine.refuse()));
}

#[test]
fn a_request_behind_a_refused_one_never_passes_and_one_before_does() {
    let good = GOOD[0];
    let bad = "GET / HTTP/1.1\r\n\r\n";
    let text = format!("{good}{bad}{good}");
    let refused = Then::Refuse(Reason::NoHost.refuse());
    assert_eq!(feed(text.as_bytes(), &[]), (good.len(), refused));
    let mut scanner = Scanner::new();
    assert_eq!(scanner.scan(bad.as_bytes()).then, refused);
    assert_eq!(
        scanner.scan(good.as_bytes()),
        Scan {
            pass: 0,
            then: refused
        }
    );
}

#[test]
fn nothing_passes_behind_an_upgrade_before_its_answer() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
    let mut scanner = Scanner::new();
    let window = format!("{head}\u{1}frame");
    assert_eq!(
        scanner.scan(window.as_bytes()),
        Scan {
            pass: head.len(),
            then: Then::Hold
        }
    );
    let mut refused = scanner.clone();
    refused.resume();
    assert!(matches!(refused.scan(b"\x01frame\n").then, Then::Refuse(_)));
    scanner.tunnel();
    assert_eq!(
        scanner.scan(b"\x01frame"),
        Scan {
            pass: 6,
            then: Then::More
        }
    );
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&'static str> = vec![
        "GET / HTTP/1.1\r\n",
        "POST /a HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: websocket\r\n",
        "\r\n",
        "abc",
        "3\r\nabc\r\n",
        "0\r\n",
        "A: b\r\n",
        "\n",
        "\r",
        " ",
        "\0",
        "1;x\r\na\r\n",
        "HTTP/1.0\r\n",
    ];
    let text = prop::sample::select(parts).prop_map(|part| part.as_bytes().to_vec());
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    let piece = prop_oneof![9 => text, 1 => noise];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn cutting_the_bytes_changes_no_verdict(
        good in 0..GOOD.len(),
        tail in pieces(),
        cuts in prop::collection::vec(0_usize..600, 0..12),
    ) {
        for bytes in [tail.clone(), [GOOD[good].as_bytes(), &tail].concat()] {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(bytes.len())).collect();
            cuts.sort_unstable();
            let (whole, split) = (feed(&bytes, &[]), feed(&bytes, &cuts));
            prop_assert_eq!(whole.1, split.1);
            prop_assert!(split.0 >= whole.0);
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let (passed, _) = feed(&bytes, &[]);
        prop_assert!(passed <= bytes.len());
    }
}
