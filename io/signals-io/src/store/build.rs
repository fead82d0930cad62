//! Building: a frozen window becomes a block, without holding anybody up.

use super::shelf::Volume;
use super::{Frost, Store, StoreFault, file, open};
use mainstay_metrics::{BlockWriter, Columns, PageReader, Select};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Finished bytes that are written at once.
const CHUNK: u64 = 256;

impl Store {
    /// Makes a block of the oldest frozen window; says whether there was one.
    pub(crate) fn build(&self) -> Result<bool, StoreFault> {
        let Some(frost) = self.live().frozen.first().cloned() else {
            return Ok(false);
        };
        let frozen = &frost.frozen;
        let name = Volume::name(frost.epoch, frozen.first_ms, frozen.last_ms);
        let path = self.0.folder.join(name);
        let fresh = path.with_extension("making");
        self.write_block(&frost, &fresh)?;
        std::fs::rename(&fresh, &path)
            .and_then(|()| file::sync_folder(&path))
            .map_err(|source| self.fault("put a block in place", source))?;
        let mut live = self.live();
        live.frozen.retain(|one| !Arc::ptr_eq(one, &frost));
        live.volumes.extend(Volume::of(&path));
        live.volumes.sort_by_key(|one| (one.first_ms, one.last_ms));
        live.counts.blocks += 1;
        drop(live);
        open::forget(&self.0.folder, frost.epoch)
            .map_err(|source| self.fault("remove the files of a window", source))?;
        Ok(true)
    }

    fn write_block(&self, frost: &Frost, path: &Path) -> Result<(), StoreFault> {
        let fault = |source| self.fault("write a block", source);
        let mut file = File::create(path).map_err(fault)?;
        let mut writer = BlockWriter::new()?;
        let mut reader = PageReader::new(frost.pages.clone());
        let all = Select {
            matchers: &[],
            after_ms: i64::MIN,
            until_ms: i64::MAX,
        };
        let mut columns = Columns::default();
        for (count, one) in (1u64..).zip(&frost.frozen.series) {
            columns.clear();
            for pages in &one.pages {
                // A damaged page is lost; everything else of the window is not.
                if reader.read(pages, one.number, &all, &mut columns).is_err() {
                    self.live().counts.quarantined += 1;
                }
            }
            columns.add(one.tail.view(&one.labels));
            writer.add(columns.view(&one.labels))?;
            if count % CHUNK == 0 {
                file.write_all(&writer.take()).map_err(fault)?;
            }
        }
        file.write_all(&writer.take()).map_err(fault)?;
        file.write_all(&writer.finish()?).map_err(fault)?;
        file.sync_data().map_err(fault)
    }
}
