//! A PostgreSQL client whose every answer is bounded in time: a server that hangs (stopped, or its disk) holds
//! up nobody but its own store.

use std::future::Future;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Error, NoTls, Row};

/// Longest wait for one answer of the server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The connection failed, or the server said no.
    #[error("the server did not do it")]
    Server(#[source] Error),
    /// Nothing came in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    /// No runtime for the connection.
    #[error("no connection can be made")]
    Runtime(#[source] std::io::Error),
}

impl Unanswered {
    /// In one line; the server's own message, where it gave one.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Server(fault) => match std::error::Error::source(fault) {
                Some(cause) => cause.to_string(),
                None => fault.to_string(),
            },
            Self::Late => self.to_string(),
            Self::Runtime(fault) => fault.to_string(),
        }
    }

    /// Whether the server is away, and did not refuse.
    pub(crate) fn is_silence(&self) -> bool {
        match self {
            Self::Server(fault) => fault.is_closed(),
            Self::Late | Self::Runtime(_) => true,
        }
    }
}

/// A connection, good for questions one after the other.
pub(crate) struct Client {
    runtime: Runtime,
    client: tokio_postgres::Client,
}

impl Client {
    /// Connects by the socket in a folder.
    pub(crate) fn connect(
        folder: &Path,
        port: u16,
        (user, database): (&str, &str),
    ) -> Result<Self, Unanswered> {
        let mut config = Config::new();
        config
            .host_path(folder)
            .port(port)
            .user(user)
            .dbname(database);
        Self::with(config)
    }

    /// Connects to where a URL says, without TLS.
    pub(crate) fn by_url(url: &str) -> Result<Self, Unanswered> {
        Self::with(url.parse().map_err(Unanswered::Server)?)
    }

    fn with(mut config: Config) -> Result<Self, Unanswered> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Unanswered::Runtime)?;
        config
            .application_name("mainstay")
            .options(format!("-c statement_timeout={}", PATIENCE.as_millis()));
        let (client, connection) = within(&runtime, config.connect(NoTls))?;
        // It ends with the client; what went wrong is the answer to the question under way.
        runtime.spawn(async move { drop(connection.await) });
        Ok(Self { runtime, client })
    }

    pub(crate) fn batch_execute(&self, text: &str) -> Result<(), Unanswered> {
        within(&self.runtime, self.client.batch_execute(text))
    }

    pub(crate) fn query(
        &self,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Unanswered> {
        within(&self.runtime, self.client.query(text, values))
    }

    pub(crate) fn query_opt(
        &self,
        text: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Unanswered> {
        within(&self.runtime, self.client.query_opt(text, values))
    }

    pub(crate) fn query_one(&self, text: &str) -> Result<Row, Unanswered> {
        within(&self.runtime, self.client.query_one(text, &[]))
    }
}

fn within<T>(
    runtime: &Runtime,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unanswered> {
    let bounded = runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    match bounded {
        Ok(answer) => answer.map_err(Unanswered::Server),
        Err(_) => Err(Unanswered::Late),
    }
}
