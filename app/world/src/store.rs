//! Stores in the world: what starting a server or a user of one takes, and what stands in the way.

use crate::real::RealWorld;
use mainstay_atoms::{Launch, ServiceName};
use mainstay_execute::EffectFault;
use mainstay_faults::chain;
use mainstay_plan::{Contents, store_order};
use mainstay_process_io::{Here, RunsAs};
use mainstay_spec::StoreOrder;
use mainstay_store_io::{Done, Readiness, StoreFault};
use std::collections::BTreeMap;

/// Something that a release needs and this machine lacks, found before anything is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl RealWorld {
    /// What stands in the way of a release: servers that are not installed, data of another kind or
    /// version, secrets that nobody gave.
    pub fn obstacles(&self, contents: &Contents) -> Vec<Obstacle> {
        let platform = &contents.platform;
        let mut obstacles = Vec::new();
        for (name, store) in &platform.stores {
            if let Some(secret) = &store.external {
                if let Err(fault) = self.secrets.get(secret) {
                    obstacles.push(Obstacle {
                        message: format!("store `{name}`: {}", chain(&fault)),
                        hint: format!("give it: `mainstay secret set {secret} < FILE`"),
                    });
                }
                continue;
            }
            let fault = store_order(contents, name).and_then(|order| self.stores.obstacle(&order));
            if let Some(fault) = fault {
                obstacles.push(Obstacle {
                    message: format!("store `{name}`: {}", chain(&fault)),
                    hint: hint(name, &fault),
                });
            }
        }
        obstacles
    }

    /// A store's own part of a start: the server's command, or what its users are told.
    pub(crate) fn here(&self, launch: &Launch) -> Result<Here, EffectFault> {
        if launch.server.is_some() {
            let command = self
                .stores
                .command(launch)
                .map_err(|fault| effect(&fault))?;
            return Ok(Here {
                run: command.run,
                inside: command.folders.first().cloned(),
                folders: command.folders,
                ..Here::default()
            });
        }
        let mut here = Here::default();
        for (variable, told) in &launch.told {
            let value = self.stores.tell(told).map_err(|fault| effect(&fault))?;
            here.secrets
                .insert(variable.clone(), value.reveal().to_owned());
            if told.address.is_some() || told.external.is_some() {
                continue;
            }
            // Data without a server is opened by its users themselves.
            let folder = self.stores.folder(&told.store).join("data");
            if !here.folders.contains(&folder) {
                here.folders.push(folder);
                here.groups.extend(self.owner(&told.store)?);
            }
        }
        Ok(here)
    }

    /// The user that a store's data belongs to.
    fn owner(&self, store: &ServiceName) -> Result<Option<u32>, EffectFault> {
        match self.runtime().user_of(store) {
            Ok(RunsAs::Own { uid }) => Ok(Some(uid)),
            Ok(RunsAs::Caller { .. } | RunsAs::Root { .. }) => Ok(None),
            Err(fault) => Err(EffectFault::Never(chain(&fault))),
        }
    }

    pub(crate) fn prepare(&mut self, order: &StoreOrder) -> Result<(), EffectFault> {
        let owner = self.owner(&order.store)?;
        let formerly = match owner {
            Some(owner) if !self.stores.belongs_to(&order.store, owner) => self.formerly(order),
            _ => BTreeMap::new(),
        };
        done(
            self.stores.prepare(order, owner, formerly),
            "its data is being prepared",
        )
    }

    /// The users of a store as they were before the state was moved, and as they are. Where nobody wrote down
    /// who they were, all files are the store's.
    fn formerly(&self, order: &StoreOrder) -> BTreeMap<u32, u32> {
        let names: Vec<ServiceName> = order.users.iter().map(|user| user.name.clone()).collect();
        let known = self.runtime().formerly(&names).into_iter();
        known
            .filter_map(|(was, name)| Some((was, self.owner(&name).ok()??)))
            .collect()
    }

    /// Whether a store's data is there and its user's own. A state that was moved here has other users: its
    /// stores are prepared again.
    pub(crate) fn keeps_store(&self, store: &ServiceName) -> bool {
        let owner = self.owner(store).ok().flatten();
        self.stores.has(store) && owner.is_none_or(|owner| self.stores.belongs_to(store, owner))
    }

    pub(crate) fn provision(&mut self, order: &StoreOrder) -> Result<(), EffectFault> {
        let owner = self.owner(&order.store)?;
        done(
            self.stores.provision(order, owner),
            "its users are being let in",
        )
    }

    /// Why a store's server does not accept writes; nothing when it does.
    pub(crate) fn store_silence(&self, launch: &Launch) -> Option<String> {
        match self.stores.readiness(launch) {
            Readiness::Ready => None,
            Readiness::Unknown => Some("not asked yet".into()),
            Readiness::Silent { why } => Some(format!("it does not accept writes: {why}")),
        }
    }

    /// Servers that are to be asked from now on.
    pub(crate) fn watch_stores(&self, running: &[&Launch]) {
        let servers: Vec<&Launch> = running
            .iter()
            .copied()
            .filter(|launch| launch.server.is_some())
            .collect();
        self.stores.watch(&servers);
    }

    /// Where a store's data lies.
    pub fn store_folder(&self, store: &ServiceName) -> std::path::PathBuf {
        self.stores.folder(store)
    }
}

fn done(result: Result<Done, StoreFault>, meanwhile: &str) -> Result<(), EffectFault> {
    match result {
        Ok(Done::Yes) => Ok(()),
        Ok(Done::NotYet) => Err(EffectFault::Later(meanwhile.to_owned())),
        Err(fault) => Err(effect(&fault)),
    }
}

fn effect(fault: &StoreFault) -> EffectFault {
    if fault.passes() {
        EffectFault::Later(chain(fault))
    } else {
        EffectFault::Never(chain(fault))
    }
}

fn hint(store: &ServiceName, fault: &StoreFault) -> String {
    match fault {
        StoreFault::Program(missing) => format!("install it: `{}`", missing.install()),
        StoreFault::Data { found, .. } => format!(
            "say what is there (`{found}`), or move the data by the server's own tools into a store of another name; \
             `mainstay down --delete-data {store}` deletes it"
        ),
        StoreFault::Gone { .. } => format!(
            "mount its disk or restore it; `mainstay down --delete-data {store}` gives the data up"
        ),
        _ => "`mainstay doctor` looks at this machine".into(),
    }
}
