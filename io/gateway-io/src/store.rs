//! The last table, on disk.

use mainstay_routing::Table;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the table; `None` when there is no file.
pub(crate) fn load(path: &Path) -> io::Result<Option<Table>> {
    match std::fs::read(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::from),
    }
}

/// Writes the table, beside the thread that calls: a disk may take seconds.
pub(crate) async fn save(path: PathBuf, table: Arc<Table>) -> io::Result<()> {
    tokio::task::spawn_blocking(move || write(&path, &table)).await?
}

/// Writes it so that a crash at any point leaves the old one or the new one, whole.
fn write(path: &Path, table: &Table) -> io::Result<()> {
    let bytes = serde_json::to_vec(table)?;
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&bytes)?;
    file.sync_data()?;
    std::fs::rename(&fresh, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_data()
}
