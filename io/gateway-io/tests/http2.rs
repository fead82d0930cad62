//! HTTP/2 by prior knowledge.

mod support;

use http::{Request, StatusCode};
use http_body_util::Full;
use support::Gateway;
use support::instance::Instance;
use support::two::{ask, block_on, connect};

#[test]
fn requests_become_http1_for_the_instance() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    block_on(async {
        let mut sender = connect(gateway.address).await;
        let request = Request::post("http://localhost/a/../b?c")
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let answer = ask(&mut sender, request, "hello").await;
        assert_eq!(
            (answer.status(), answer.body().as_str()),
            (StatusCode::OK, "web")
        );
        let request = &web.requests()[0];
        assert!(
            request.starts_with("POST /b?c HTTP/1.1\r\n") && request.ends_with("hello"),
            "{request}"
        );
        assert!(
            request.contains("cookie: a=1; b=2\r\n") && request.contains("host: localhost\r\n"),
            "{request}"
        );
        assert_eq!(gateway.status().instances[0].requests, 1);
    });
}

#[test]
fn the_rules_of_heads_hold_here_too() {
    let web = Instance::start("web");
    let gateway = Gateway::serving(&["workers=1"], &[web.address]);
    block_on(async {
        let mut sender = connect(gateway.address).await;
        for (request, status) in [
            (Request::get("http://other.example/"), 404),
            (Request::get("http://localhost/").header("x_y", "1"), 400),
            (
                Request::get("http://localhost/").header("host", "other"),
                400,
            ),
            (Request::get("http://localhost/a%00"), 400),
            (
                Request::builder().method("TRACE").uri("http://localhost/"),
                405,
            ),
        ] {
            assert_eq!(ask(&mut sender, request, "").await.status(), status);
        }
        assert_eq!(web.bytes(), 0);
    });
}

#[test]
fn a_gateway_that_stops_finishes_streams_under_way() {
    let web = Instance::start("web");
    let mut gateway = Gateway::serving(&["workers=1"], &[web.address]);
    block_on(async {
        let mut sender = connect(gateway.address).await;
        let request = Request::get("http://localhost/slow")
            .body(Full::default())
            .unwrap();
        let answer = tokio::spawn(sender.send_request(request));
        while gateway.status().instances[0].in_flight == 0 {
            tokio::task::yield_now().await;
        }
        gateway.terminate();
        while std::net::TcpStream::connect(gateway.address).is_ok() {
            tokio::task::yield_now().await;
        }
        web.release();
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    });
    assert!(support::eventually("the end", || gateway.has_ended()));
}
