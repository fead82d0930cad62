//! One connection to the control socket: requests in, answers out, in order.

use crate::gateway::Gateway;
use crate::socket;
use crate::wire::{Refusal, Request, Response};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest request: a table of some hundred thousand routes.
const LINE: usize = 64 * 1024 * 1024;

/// The task of one connection.
pub(crate) struct Control {
    pub(crate) gateway: Rc<Gateway>,
    pub(crate) stream: UnixStream,
}

impl Control {
    /// Ends when the peer goes or says something that cannot be a request.
    pub(crate) async fn run(self) {
        let (mut buffer, mut fds) = (Vec::new(), Vec::new());
        while let Ok(Some(line)) = self.line(&mut buffer, &mut fds).await {
            let (answer, beside) = self.answer(&line, std::mem::take(&mut fds)).await;
            if self.say(&answer, &beside).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, line: &[u8], fds: Vec<OwnedFd>) -> (Response, Vec<OwnedFd>) {
        let request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(fault) => {
                let reason = Refusal::Invalid {
                    message: format!("the request cannot be read: {fault}"),
                };
                return (Response::Refused { reason }, Vec::new());
            }
        };
        let answered = match request {
            Request::Publish { table } => self
                .gateway
                .publish(table)
                .await
                .map(Response::Acknowledged),
            Request::Status => Ok(Response::Status(self.gateway.status())),
            Request::Metrics => Ok(Response::Metrics {
                text: self.gateway.metrics(),
            }),
            Request::Latencies => Ok(Response::Latencies {
                releases: self.gateway.latencies(),
            }),
            Request::Adopt { address } => self.gateway.adopt(address, fds).map(|()| Response::Done),
            Request::Begin => Ok(self.gateway.begin()),
            Request::Promote => self.gateway.promote().map(|()| Response::Done),
            Request::Show { page } => self.gateway.show(page).await.map(|()| Response::Done),
            Request::Handover { address } => {
                let sockets = self.gateway.handover(address);
                return (
                    Response::Sockets {
                        count: sockets.len(),
                    },
                    sockets,
                );
            }
        };
        (
            answered.unwrap_or_else(|reason| Response::Refused { reason }),
            Vec::new(),
        )
    }

    async fn line(
        &self,
        buffer: &mut Vec<u8>,
        fds: &mut Vec<OwnedFd>,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(found) = buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = buffer.split_off(searched + found + 1);
                return Ok(Some(std::mem::replace(buffer, rest)));
            }
            searched = buffer.len();
            let mut piece = vec![0; 16 * 1024];
            let read = || socket::receive(&self.stream, &mut piece, fds);
            let count = self.stream.async_io(Interest::READABLE, read).await?;
            if count == 0 || buffer.len() > LINE {
                return Ok(None);
            }
            buffer.extend_from_slice(&piece[..count]);
        }
    }

    async fn say(&self, answer: &Response, beside: &[OwnedFd]) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        let mut fds: Vec<_> = beside.iter().map(AsFd::as_fd).collect();
        let mut sent = 0;
        while sent < line.len() {
            let write = || socket::send(&self.stream, &line[sent..], &fds);
            sent += self.stream.async_io(Interest::WRITABLE, write).await?;
            fds.clear();
        }
        Ok(())
    }
}
