//! The stores of one environment.

use crate::fault::StoreFault;
use crate::folder::Folder;
use crate::program::find;
use crate::readiness::{Asked, Readiness, Watch};
use crate::secret::{Secret, Secrets};
use crate::{postgres, redis, tell, waiting};
use mainstay_atoms::{Launch, Server, ServiceName, Told};
use mainstay_spec::{StoreKind, StoreOrder, Waiting};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCommand {
    /// Program and arguments.
    pub run: Vec<String>,
    /// Folders that it uses, the first of which it starts in.
    pub folders: Vec<PathBuf>,
}

/// Whether something that takes long is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is.
    Yes,
    /// It goes on; ask again.
    NotYet,
}

/// Work on a store that goes on.
struct Work {
    order: StoreOrder,
    what: What,
    answer: Receiver<Result<(), StoreFault>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Prepare,
    Provision,
}

/// The stores of one environment.
pub struct Stores {
    folder: PathBuf,
    secrets: Arc<dyn Secrets>,
    watch: Watch,
    work: BTreeMap<ServiceName, Work>,
}

impl Stores {
    /// Stores below `STATE/ENV/stores`; each server is asked on a thread of its own.
    pub fn start(folder: &Path, secrets: Arc<dyn Secrets>) -> Self {
        Self {
            folder: folder.to_owned(),
            watch: Watch::start(Arc::clone(&secrets)),
            secrets,
            work: BTreeMap::new(),
        }
    }

    /// Where a store's data lies.
    pub fn folder(&self, store: &ServiceName) -> PathBuf {
        self.folder.join(store.as_str())
    }

    /// Whether its data was made and is there.
    pub fn has(&self, store: &ServiceName) -> bool {
        self.folder(store).join("store.json").exists()
    }

    fn of(&self, store: &ServiceName, owner: Option<u32>) -> Folder {
        Folder {
            root: self.folder(store),
            owner,
        }
    }

    /// Whether the data that is there is of the kind and version that is wanted, and its server's
    /// program is on this machine.
    pub fn obstacle(&self, order: &StoreOrder) -> Option<StoreFault> {
        if let Some(server) = order.kind.server()
            && let Err(missing) = find(server)
        {
            return Some(StoreFault::Program(missing));
        }
        self.of(&order.store, None)
            .fits(&order.store, &order.kind)
            .err()
    }

    /// Whether its folder belongs to this user: that of a state that was moved does not.
    pub fn belongs_to(&self, store: &ServiceName, owner: u32) -> bool {
        let meta = std::fs::symlink_metadata(self.folder(store));
        meta.is_ok_and(|meta| meta.uid() == owner)
    }

    /// Makes what the store rests on, in the name of `owner`. Data that belongs to somebody else is given to
    /// `owner`, but for files of those in `formerly`, users as they were and as they are.
    pub fn prepare(
        &mut self,
        order: &StoreOrder,
        owner: Option<u32>,
        formerly: BTreeMap<u32, u32>,
    ) -> Result<Done, StoreFault> {
        let folder = self.of(&order.store, owner);
        let secrets = Arc::clone(&self.secrets);
        self.work(order, What::Prepare, move |order| {
            prepare(&folder, order, &formerly, &*secrets)
        })
    }

    /// Lets a running server take over its settings, and lets its users in.
    pub fn provision(
        &mut self,
        order: &StoreOrder,
        owner: Option<u32>,
    ) -> Result<Done, StoreFault> {
        let folder = self.of(&order.store, owner);
        let secrets = Arc::clone(&self.secrets);
        self.work(order, What::Provision, move |order| {
            provision(&folder, order, &*secrets)
        })
    }

    /// Begins work, or says what became of it.
    fn work(
        &mut self,
        order: &StoreOrder,
        what: What,
        doing: impl FnOnce(&StoreOrder) -> Result<(), StoreFault> + Send + 'static,
    ) -> Result<Done, StoreFault> {
        if let Some(work) = self.work.get(&order.store) {
            let answer = match work.answer.try_recv() {
                Err(TryRecvError::Empty) => return Ok(Done::NotYet),
                Ok(answer) => answer,
                Err(TryRecvError::Disconnected) => Err(StoreFault::Silent {
                    store: order.store.to_string(),
                    why: "work on it broke off".into(),
                }),
            };
            let same = work.order == *order && work.what == what;
            self.work.remove(&order.store);
            if same {
                return answer.map(|()| Done::Yes);
            }
            // What another plan began has ended, however it did.
        }
        let (send, answer) = sync_channel(1);
        let own = order.clone();
        let begun = std::thread::Builder::new()
            .name(format!("store-{}", order.store))
            .spawn(move || {
                // Nobody asks any more when the control plane ends.
                send.send(doing(&own)).ok();
            });
        begun.map_err(|fault| StoreFault::Silent {
            store: order.store.to_string(),
            why: fault.to_string(),
        })?;
        let order = order.clone();
        self.work.insert(
            order.store.clone(),
            Work {
                order,
                what,
                answer,
            },
        );
        Ok(Done::NotYet)
    }

    /// How the server of a store is started.
    pub fn command(&self, launch: &Launch) -> Result<ServerCommand, StoreFault> {
        let store = &launch.instance.service;
        let folder = self.of(store, None);
        let Some(server) = launch.server else {
            return Err(StoreFault::Silent {
                store: store.to_string(),
                why: "it has no server".into(),
            });
        };
        let program = find(server).map_err(StoreFault::Program)?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(match server {
            Server::Postgres(_) => ServerCommand {
                run: vec![
                    text(program.join("postgres")),
                    "-D".into(),
                    text(folder.data()),
                ],
                folders: vec![folder.data()],
            },
            Server::Redis(_) => ServerCommand {
                run: vec![text(program), text(folder.root.join("redis.conf"))],
                folders: vec![folder.root.clone()],
            },
        })
    }

    /// From now on the servers of these launches are asked whether they accept writes.
    pub fn watch(&self, servers: &[&Launch]) {
        let asked = servers.iter().filter_map(|launch| {
            let name = launch.instance.service.clone();
            let asked = Asked {
                server: launch.server?,
                folder: self.of(&name, None),
                address: launch.address?,
                run: launch.generation.0,
            };
            Some((name, asked))
        });
        self.watch.set(asked.collect());
    }

    /// The last answer of a store's server.
    pub fn readiness(&self, launch: &Launch) -> Readiness {
        self.watch.of(&launch.instance.service, launch.generation.0)
    }

    /// The value of one variable that a user of a store is told.
    pub fn tell(&self, told: &Told) -> Result<Secret, StoreFault> {
        tell::value(told, &self.folder(&told.store), &*self.secrets)
    }

    /// Asks, as the user that is told this URL, how much waits; in words why it cannot be said. To be called
    /// where something may wait: a server that hangs is given up after some 10 s.
    pub fn waiting(
        &self,
        told: &Told,
        what: &Waiting,
    ) -> impl FnOnce() -> Result<u64, String> + Send + use<> {
        let (told, what) = (told.clone(), what.clone());
        let (folder, secrets) = (self.folder(&told.store), Arc::clone(&self.secrets));
        move || {
            let url = tell::value(&told, &folder, &*secrets).map_err(|fault| fault.to_string())?;
            waiting::count(&url, &what)
        }
    }
}

fn prepare(
    folder: &Folder,
    order: &StoreOrder,
    formerly: &BTreeMap<u32, u32>,
    secrets: &dyn Secrets,
) -> Result<(), StoreFault> {
    folder.fits(&order.store, &order.kind)?;
    folder.inherit(formerly)?;
    folder.make()?;
    match (&order.kind, order.address) {
        (StoreKind::Postgres(settings), Some(address)) => {
            let programs = find(Server::Postgres(settings.version)).map_err(StoreFault::Program)?;
            let store = order.store.as_str();
            postgres::prepare(folder, &programs, store, (settings, address))?;
        }
        (StoreKind::Redis(settings), Some(address)) => {
            redis::prepare(folder, settings, order, address, secrets)?;
        }
        _ => folder.share(&folder.data())?,
    }
    folder.mark(&order.kind)
}

fn provision(folder: &Folder, order: &StoreOrder, secrets: &dyn Secrets) -> Result<(), StoreFault> {
    match (&order.kind, order.address) {
        (StoreKind::Postgres(settings), Some(address)) => {
            postgres::provision(folder, settings, order, address.port(), secrets)
        }
        (StoreKind::Redis(settings), Some(address)) => {
            redis::provision(settings, order, address, secrets)
        }
        _ => Ok(()),
    }
}
