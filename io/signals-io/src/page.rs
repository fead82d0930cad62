//! One page asked once, for whoever judges something by what it says.

use crate::config::Place;
use crate::fetch::{Connection, FetchFault, Request};
use mainstay_atoms::{Url, UrlFault};
use std::io;
use std::time::Duration;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PageFault {
    /// The address does not read.
    #[error("its address is none: {0}")]
    Address(#[from] UrlFault),
    /// There is no thread or socket for it.
    #[error("it cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// It was not given in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Slow(Duration),
    /// It is longer than was asked for.
    #[error("the answer has more than {0} bytes")]
    Long(usize),
    /// It could not be fetched, in words.
    #[error("{0}")]
    Away(String),
    /// The answer is not a page.
    #[error("it answers {0}")]
    Status(u16),
}

impl From<FetchFault> for PageFault {
    fn from(fault: FetchFault) -> Self {
        match fault {
            FetchFault::Long { limit } => Self::Long(limit),
            other => Self::Away(other.to_string()),
        }
    }
}

/// Asks for a page and waits for it, at most so long and for so many bytes. A redirect is an answer like any
/// other, and no page.
pub fn page(url: &str, patience: Duration, bytes_max: usize) -> Result<Vec<u8>, PageFault> {
    let url = Url::parse(url)?;
    let place = Place::at(url.authority.to_string(), url.is_secure);
    let request = Request {
        method: "GET",
        host: &url.host_field(),
        path: &url.path,
        fields: "User-Agent: mainstay\r\nConnection: close\r\n",
        body: &[],
        bytes_max,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = async {
        let mut connection = Connection::open(&place, false).await?;
        connection.exchange(&request, &mut Vec::new()).await
    };
    let answer = runtime.block_on(async { tokio::time::timeout(patience, asked).await });
    let answer = answer.map_err(|_| PageFault::Slow(patience))??;
    match answer.status {
        200..300 => Ok(answer.body),
        status => Err(PageFault::Status(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// The address of a server that gives one answer, or hangs on none.
    fn server(answer: Option<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            match answer {
                Some(answer) => drop(stream.write_all(&answer)),
                None => drop(stream.read(&mut head[read..])),
            }
        });
        format!("http://{address}/x?y=1")
    }

    fn ask(answer: Option<&str>) -> Result<Vec<u8>, PageFault> {
        let url = server(answer.map(|text| text.as_bytes().to_vec()));
        page(&url, Duration::from_millis(500), 1000)
    }

    #[test]
    fn a_page_is_read_within_its_bounds() {
        let good = ask(Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        assert_eq!(good.unwrap(), b"ok");
        let long = format!("HTTP/1.1 200 OK\r\n\r\n{}", "9".repeat(10 << 20));
        assert!(matches!(ask(Some(&long)), Err(PageFault::Long(1000))));
        assert!(matches!(ask(None), Err(PageFault::Slow(_))));
        assert!(matches!(
            ask(Some("SSH-2.0\r\n\r\n")),
            Err(PageFault::Away(_))
        ));
        for (status, code) in [("302 Found", 302), ("503 Busy", 503)] {
            let answer = format!("HTTP/1.1 {status}\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
            assert!(matches!(ask(Some(&answer)), Err(PageFault::Status(seen)) if seen == code));
        }
        for url in ["ftp://x/", "x", "http://", "http://169.254.169.254/"] {
            assert!(page(url, Duration::from_secs(1), 1000).is_err(), "{url}");
        }
    }
}
