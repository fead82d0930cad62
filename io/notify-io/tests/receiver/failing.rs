//! What the other side answers; a channel that fails, and the one that tells of it: the router with real receivers, in the router's own time.

use super::*;
use mainstay_alerting::{Receiver, Router, Routing};

#[test]
fn what_the_other_side_answers_is_told_without_the_secret() {
    let server =
        Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\nhello /hook and s3cret");
    let kind = ChannelKind::Webhook(Webhook {
        url: inline(server.url("/hook")),
        key: None,
        bearer: Some(Secret::Named("key".into())),
        alerts_max: 0,
    });
    let sent = send_with(&notifier(None), kind, true);
    assert_eq!(sent.answer, "HTTP 200: hello /… and …");
    let authority = Authority::localhost();
    let mail = Smtp::new(&authority, SmtpTls::Start, &[]);
    let kind = ChannelKind::Email(email(&mail, SmtpTls::Start));
    let sent = send_with(&notifier(Some(&authority)), kind, true);
    assert!(sent.answer.starts_with("250 "), "{sent:?}");
}

/// One channel that fails and one that works; whoever watches hears of the first over the second.
fn told_instead(failing: ChannelKind, deadline: Duration) -> serde_json::Value {
    let other = Http::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let receiver = |name: &str, kind| Receiver {
        name: name.to_owned(),
        channels: vec![Channel {
            kind,
            send_resolved: true,
            title: None,
            text: None,
            turn: Turn::default(),
        }],
    };
    let mut routing = Routing::single(receiver("first", failing));
    let other_one = receiver("second", hook(other.url("/second")));
    routing.receivers.insert("second".to_owned(), other_one);
    let notifier = notifier(None).with_deadline(deadline);
    let mut router = Router::new(routing);
    let start = At::both(1_790_000_000_000);
    let alert = notification(hook(String::new()), true).alerts.remove(0);
    router.ingest([alert.notice], start);
    for second in 0..180 {
        let at = start.plus(second * 1000);
        for message in router.due(at) {
            let sent = notifier.send(&message, &Message::of(&message, &around(), at));
            router.done(message.id, &sent.outcome, at);
            if message.receiver == "second" {
                assert_eq!(sent.outcome, Outcome::Accepted);
                return serde_json::from_str(&other.request().body).unwrap();
            }
        }
    }
    panic!("nobody was told within three minutes of the router's time");
}

#[test]
fn a_channel_that_fails_is_told_over_another_one() {
    let broken = Http::answering("HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\ndown");
    let hanging = Http::hanging();
    let there =
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let redirects = Http::answering(there);
    for (kind, expected) in [
        (hook(broken.url("/")), "it answered 500: down"),
        (hook(hanging.url("/")), "the time is up"),
        (hook(redirects.url("/")), "redirects are not followed"),
        (hook("http://169.254.169.254/latest".into()), "link-local"),
    ] {
        let told = told_instead(kind, Duration::from_millis(200));
        let alert = &told["alerts"][0];
        assert_eq!(alert["labels"]["alertname"], "ChannelFailing", "{told}");
        assert_eq!(alert["labels"]["receiver"], "first");
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        assert!(summary.contains(expected), "{summary}");
    }
}
