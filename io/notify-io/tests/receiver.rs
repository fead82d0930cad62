//! Channels against real receivers on this machine: HTTP, SMTP with and without TLS, programs.

#[path = "receiver/failing.rs"]
mod failing;
mod server;

use mainstay_alerting::{
    At, Channel, ChannelKind, Email, Message, Notice, Notification, Outcome, Reason, Release,
    Secret, Surroundings, Told, Turn, Webhook,
};
use mainstay_metrics::Labels;
use mainstay_notify_io::{Allowed, Notifier, Sent, Trust};
use server::{Authority, Http, Smtp, SmtpTls};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn notification(kind: ChannelKind, fires: bool) -> Notification {
    let at = At::both(1_790_000_000_000);
    let notice = Notice {
        labels: Labels::new([
            ("alertname", "ErrorRate"),
            ("service", "web<b>"),
            ("severity", "critical"),
        ]),
        annotations: BTreeMap::from([
            (
                "summary".to_owned(),
                "5 % fail <script>&\r\n.\r\nQUIT <!channel> ü".to_owned(),
            ),
            ("runbook".to_owned(), "https://m.example/runbook".to_owned()),
        ]),
        value: 0.05,
        query: "a > 1".into(),
        starts_at: at,
        ended_at: (!fires).then(|| at.plus(60_000)),
        expires_at: None,
    };
    Notification {
        id: 7,
        receiver: "all".into(),
        place: 0,
        channel: Channel {
            kind,
            send_resolved: true,
            title: None,
            text: None,
            turn: Turn::default(),
        },
        group_key: "{}:{service=\"web\"}".into(),
        group_labels: Labels::new([("service", "web")]),
        alerts: vec![Told {
            notice,
            is_firing: fires,
        }],
        reason: Reason::First,
        made_at: at,
        attempts: 0,
    }
}

fn around() -> Surroundings {
    Surroundings {
        url: "https://m.example".into(),
        place: "shop/production".into(),
        releases: vec![Release {
            name: "v42".into(),
            services: Vec::new(),
            at_ms: 1_789_999_880_000,
        }],
    }
}

fn notifier(authority: Option<&Authority>) -> Notifier {
    let pem = authority.map_or(Authority::nobody().pem, |authority| authority.pem);
    let vault = |name: &str| (name == "key").then(|| "s3cret".to_owned());
    Notifier::new(
        Trust::of_pem(pem.as_bytes()).unwrap(),
        Box::new(vault),
        Allowed::default(),
    )
}

fn send_with(notifier: &Notifier, kind: ChannelKind, fires: bool) -> Sent {
    let notification = notification(kind, fires);
    let message = Message::of(&notification, &around(), At::both(1_790_000_030_000));
    notifier.send(&notification, &message)
}

fn send(kind: ChannelKind) -> Outcome {
    send_with(&notifier(None), kind, true).outcome
}

fn inline(text: impl Into<String>) -> Secret {
    Secret::Inline(text.into())
}

fn hook(url: String) -> ChannelKind {
    ChannelKind::Webhook(Webhook {
        url: inline(url),
        key: Some(Secret::Named("key".into())),
        bearer: None,
        alerts_max: 0,
    })
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Failed { why, .. } | Outcome::Refused { why } => why,
    }
}

#[test]
fn a_webhook_gets_signed_json_with_value_plot_runbook_and_release() {
    let server = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(send(hook(server.url("/hook?a=b"))), Outcome::Accepted);
    let request = server.request();
    assert!(request.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"));
    let signature = request.header("x-mainstay-signature").unwrap();
    let (seconds, signed) = signature
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s3cret");
    let tag: Vec<u8> = (0..signed.len() / 2)
        .map(|place| u8::from_str_radix(&signed[2 * place..2 * place + 2], 16).unwrap())
        .collect();
    aws_lc_rs::hmac::verify(&key, format!("{seconds}.{}", request.body).as_bytes(), &tag).unwrap();
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["version"], "4");
    assert_eq!(body["alerts"][0]["labels"]["service"], "web<b>");
    assert_eq!(body["alerts"][0]["startsAt"], "2026-09-21T14:13:20Z");
    assert_eq!(
        request.header("idempotency-key"),
        body["mainstay"]["key"].as_str()
    );
    let facts = &body["mainstay"]["alerts"][0];
    assert_eq!(facts["value"], "50m");
    assert_eq!(facts["release_before"], "v42 (2m 0s before)");
    assert_eq!(facts["runbook"], "https://m.example/runbook");
    assert!(
        facts["plot"]
            .as_str()
            .unwrap()
            .starts_with("https://m.example/graph?query=a")
    );
}

#[test]
fn answers_become_outcomes() {
    for (answer, refused, expected) in [
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops",
            false,
            "it answered 500: oops",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            true,
            "it answered 404",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            true,
            "redirects are not followed",
        ),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n",
            false,
            "it answered 429",
        ),
        ("HELLO\r\n\r\n", false, "not HTTP"),
        ("", false, "without an answer"),
    ] {
        let server = Http::answering(answer);
        let outcome = send(hook(server.url("/")));
        assert!(why(&outcome).contains(expected), "{outcome:?}");
        assert_eq!(
            matches!(outcome, Outcome::Refused { .. }),
            refused,
            "{outcome:?}"
        );
        if answer.contains("429") {
            assert!(matches!(
                outcome,
                Outcome::Failed {
                    wait_ms: Some(9000),
                    maybe_accepted: false,
                    ..
                }
            ));
        }
        if answer.is_empty() {
            assert!(matches!(
                outcome,
                Outcome::Failed {
                    maybe_accepted: true,
                    ..
                }
            ));
        }
    }
}

#[test]
fn one_that_hangs_costs_the_deadline_and_no_more() {
    let server = Http::hanging();
    let notifier = notifier(None).with_deadline(Duration::from_millis(300));
    let begun = Instant::now();
    let outcome = send_with(&notifier, hook(server.url("/")), true).outcome;
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                maybe_accepted: true,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    let drip = Http::dripping();
    let outcome = send_with(&notifier, hook(drip.url("/")), true).outcome;
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                maybe_accepted: true,
                ..
            }
        ),
        "{outcome:?}"
    );
}

#[test]
fn an_endless_answer_is_read_up_to_a_bound() {
    let server = Http::flooding();
    let outcome = send(hook(server.url("/")));
    assert_eq!(outcome, Outcome::Accepted);
}

#[test]
fn addresses_of_metadata_services_are_refused_and_dead_ones_fail() {
    for url in [
        "http://169.254.169.254/latest",
        "http://[fe80::1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://0.0.0.0/",
    ] {
        let outcome = send(hook(url.into()));
        assert!(
            matches!(&outcome, Outcome::Refused { .. }),
            "{url}: {outcome:?}"
        );
    }
    let outcome = send(hook("http://127.0.0.1:1/".into()));
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                maybe_accepted: false,
                ..
            }
        ),
        "{outcome:?}"
    );
    let outcome = send(hook("ftp://example.org/".into()));
    assert!(matches!(&outcome, Outcome::Refused { .. }));
}

#[test]
fn secrets_come_from_the_vault_or_a_file_and_never_show() {
    let server = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", server.url("/from-file"))).unwrap();
    let by_file = ChannelKind::Discord {
        url: Secret::File(file.path().to_string_lossy().into_owned()),
    };
    assert_eq!(send(by_file), Outcome::Accepted);
    assert!(server.request().head.starts_with("POST /from-file "));
    let absent = send(ChannelKind::Discord {
        url: Secret::Named("nope".into()),
    });
    assert!(why(&absent).contains("secret `nope` is not there"));
    let gone = Http::answering("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
    let outcome = send(ChannelKind::Discord {
        url: inline(gone.url("/api/webhooks/TOKEN")),
    });
    assert!(!why(&outcome).contains("TOKEN"), "{outcome:?}");
}

#[test]
fn slack_gets_blocks_without_mentions_and_its_api_is_listened_to() {
    let server = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let kind = ChannelKind::Slack {
        url: inline(server.url("/services/x")),
        token: None,
        channel: "#alerts".into(),
    };
    assert_eq!(send(kind), Outcome::Accepted);
    let request = server.request();
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["channel"], "#alerts");
    assert_eq!(body["attachments"][0]["color"], "#e01e5a");
    let text = body["attachments"][0]["blocks"][1]["text"]["text"]
        .as_str()
        .unwrap();
    assert!(
        text.contains("&lt;!channel&gt;") && !text.contains("<!channel>"),
        "{text}"
    );
    assert!(
        text.contains("release before: v42")
            && text.contains("runbook: <https://m.example/runbook>")
    );
    assert_eq!(request.header("authorization"), None);
    for (said, refused) in [
        ("{\"ok\":false,\"error\":\"channel_not_found\"}", true),
        ("{\"ok\":false,\"error\":\"ratelimited\"}", false),
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}",
            said.len()
        );
        let server = Http::answering(&answer);
        let kind = ChannelKind::Slack {
            url: inline(server.url("/api/chat.postMessage")),
            token: Some(Secret::Named("key".into())),
            channel: "C1".into(),
        };
        let outcome = send(kind);
        assert_eq!(
            matches!(outcome, Outcome::Refused { .. }),
            refused,
            "{outcome:?}"
        );
        assert_eq!(
            server.request().header("authorization"),
            Some("Bearer s3cret")
        );
    }
}

#[test]
fn pagerduty_opens_and_closes_one_incident() {
    let mut keys = Vec::new();
    for (fires, action) in [(true, "trigger"), (false, "resolve")] {
        let server = Http::answering("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
        let kind = ChannelKind::PagerDuty {
            routing_key: inline("R0"),
            url: server.url("/v2/enqueue"),
        };
        assert_eq!(
            send_with(&notifier(None), kind, fires).outcome,
            Outcome::Accepted
        );
        let body: serde_json::Value = serde_json::from_str(&server.request().body).unwrap();
        assert_eq!(
            (&body["event_action"], &body["routing_key"]),
            (&action.into(), &"R0".into())
        );
        assert_eq!(body["payload"]["severity"], "critical");
        assert_eq!(
            body["payload"]["custom_details"]["alerts"][0]["release before"],
            "v42 (2m 0s before)"
        );
        assert_eq!(body["links"][0]["text"], "plot");
        keys.push(body["dedup_key"].clone());
    }
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn discord_and_telegram_get_escaped_text() {
    let server = Http::answering("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        send(ChannelKind::Discord {
            url: inline(server.url("/w"))
        }),
        Outcome::Accepted
    );
    let body: serde_json::Value = serde_json::from_str(&server.request().body).unwrap();
    assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
    let text = body["embeds"][0]["description"].as_str().unwrap();
    assert!(text.contains("\\<!channel\\>"), "{text}");
    let server = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}");
    let kind = ChannelKind::Telegram {
        token: inline("123:abc"),
        chat: "-100200".into(),
        thread: Some("5".into()),
        url: server.url(""),
    };
    assert_eq!(send(kind), Outcome::Accepted);
    let request = server.request();
    assert!(request.head.starts_with("POST /bot123:abc/sendMessage "));
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["chat_id"], &body["message_thread_id"]),
        (&(-100_200).into(), &5.into())
    );
    assert!(body["text"].as_str().unwrap().contains("&lt;script&gt;"));
}

#[test]
fn https_is_checked_against_the_trusted_certificates() {
    let authority = Authority::localhost();
    let server = Http::secure(&authority, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let outcome = send_with(&notifier(Some(&authority)), hook(server.url("/")), true).outcome;
    assert_eq!(outcome, Outcome::Accepted);
    let outcome = send(hook(server.url("/")));
    assert!(
        matches!(&outcome, Outcome::Refused { why } if why.contains("TLS")),
        "{outcome:?}"
    );
}

fn email(server: &Smtp, tls: SmtpTls) -> Email {
    Email {
        to: vec!["Ada <ada@example.org>".into(), "bob@example.org".into()],
        from: "Mainstay <alerts@example.org>".into(),
        server: format!("localhost:{}", server.port),
        hello: "shop.example.org".into(),
        user: "alerts".into(),
        password: Some(Secret::Named("key".into())),
        implicit_tls: tls == SmtpTls::Implicit,
        require_tls: tls != SmtpTls::None,
        headers: vec![
            ("X-Team".into(), "ops\r\nBcc: evil@example.org".into()),
            ("Subject".into(), "taken".into()),
        ],
    }
}

#[test]
fn mail_goes_by_starttls_by_tls_and_in_the_clear_to_this_machine() {
    let authority = Authority::localhost();
    for tls in [SmtpTls::Start, SmtpTls::Implicit, SmtpTls::None] {
        let server = Smtp::new(&authority, tls, &[]);
        let kind = ChannelKind::Email(email(&server, tls));
        let sent = send_with(&notifier(Some(&authority)), kind, true);
        assert_eq!(
            (&sent.outcome, &sent.remark),
            (&Outcome::Accepted, &None),
            "{tls:?}"
        );
        let mail = server.mail();
        assert_eq!(mail.from, "MAIL FROM:<alerts@example.org>");
        assert_eq!(
            mail.to,
            ["RCPT TO:<ada@example.org>", "RCPT TO:<bob@example.org>"]
        );
        assert_eq!(mail.login.as_deref(), Some("\0alerts\0s3cret"));
        assert_eq!(mail.is_secure, tls != SmtpTls::None);
        assert!(
            mail.text
                .contains("Subject: [FIRING:1] ErrorRate web<b> (shop/production)\r\n")
        );
        assert!(
            mail.text.contains("X-Team: ops  Bcc: evil@example.org\r\n")
                && !mail.text.contains("\r\nBcc:")
        );
        let parts = mail.parts();
        assert!(
            parts[0].contains("release before: v42 (2m 0s before)")
                && parts[0].contains("\r\n.\r\nQUIT")
        );
        assert!(parts[1].contains("&lt;script&gt;") && !parts[1].contains("<script>"));
    }
}

#[test]
fn what_a_mail_server_refuses_is_said() {
    let authority = Authority::localhost();
    let trusted = notifier(Some(&authority));
    for (script, refused, expected) in [
        (("RCPT TO:<ada", "550 no such user"), false, "accepted"),
        (("MAIL", "451 later"), false, "451 later"),
        (("MAIL", "550 not you"), true, "550 not you"),
        (
            ("AUTH PLAIN", "535 s3cret is wrong"),
            true,
            "user and password",
        ),
        ((".", "554 spam"), true, "554 spam"),
    ] {
        let server = Smtp::new(&authority, SmtpTls::Start, &[script]);
        let sent = send_with(
            &trusted,
            ChannelKind::Email(email(&server, SmtpTls::Start)),
            true,
        );
        assert!(
            why(&sent.outcome).contains(expected),
            "{script:?}: {sent:?}"
        );
        assert_eq!(
            matches!(sent.outcome, Outcome::Refused { .. }),
            refused,
            "{sent:?}"
        );
        assert!(!format!("{sent:?}").contains("s3cret"), "{sent:?}");
        assert_eq!(sent.remark.is_some(), expected == "accepted", "{sent:?}");
    }
    let server = Smtp::new(&authority, SmtpTls::None, &[]);
    let mut strict = email(&server, SmtpTls::None);
    strict.require_tls = true;
    let outcome = send_with(&trusted, ChannelKind::Email(strict), true).outcome;
    assert!(
        matches!(&outcome, Outcome::Refused { why } if why.contains("offers no TLS")),
        "{outcome:?}"
    );
    let server = Smtp::new(&authority, SmtpTls::Start, &[(".", "")]);
    let outcome = send_with(
        &trusted,
        ChannelKind::Email(email(&server, SmtpTls::Start)),
        true,
    )
    .outcome;
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                maybe_accepted: true,
                ..
            }
        ),
        "cut off after the message: {outcome:?}"
    );
}

#[test]
fn a_command_gets_json_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let shell = |script: &str| ChannelKind::Command {
        arguments: vec!["/bin/sh".into(), "-c".into(), script.into()],
    };
    let script = format!("cat > {0}.json; env > {0}.env", seen.display());
    assert_eq!(send(shell(&script)), Outcome::Accepted);
    let body = std::fs::read_to_string(seen.with_extension("json")).unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body["mainstay"]["title"],
        "[FIRING:1] ErrorRate web<b> (shop/production)"
    );
    let environment = std::fs::read_to_string(seen.with_extension("env")).unwrap();
    assert!(!environment.contains("CARGO"), "{environment}");
    for (script, refused, expected) in [
        ("echo broken >&2; exit 1", false, "broken"),
        ("exit 78", true, "78"),
        ("exit 75", false, "75"),
    ] {
        let outcome = send(shell(script));
        assert!(why(&outcome).contains(expected), "{outcome:?}");
        assert_eq!(matches!(outcome, Outcome::Refused { .. }), refused);
    }
    let quick = notifier(None).with_deadline(Duration::from_millis(300));
    let outcome = send_with(
        &quick,
        shell("head -c 100000000 /dev/zero >&2; sleep 60"),
        true,
    )
    .outcome;
    assert!(
        matches!(
            &outcome,
            Outcome::Failed {
                maybe_accepted: true,
                ..
            }
        ),
        "{outcome:?}"
    );
    let absent = send(ChannelKind::Command {
        arguments: vec!["/nowhere/at/all".into()],
    });
    assert!(matches!(absent, Outcome::Failed { .. }));
}

#[test]
fn a_heartbeat_goes_out() {
    let server = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        notifier(None).beat(&inline(server.url("/ping/abc")), false),
        Outcome::Accepted
    );
    assert!(server.request().head.starts_with("POST /ping/abc "));
    assert_eq!(
        notifier(None).beat(&inline(server.url("/ping/abc")), true),
        Outcome::Accepted
    );
    assert!(server.request().head.starts_with("GET /ping/abc "));
    let broken = Http::answering("HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\ndown");
    let outcome = notifier(None).beat(&inline(broken.url("/")), false);
    assert!(why(&outcome).contains("500: down"), "{outcome:?}");
}
