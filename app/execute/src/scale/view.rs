//! How the services stand that are scaled.

use super::Looked;
use crate::engine::Engine;
use mainstay_atoms::{ServiceName, Wall};
use mainstay_plan::Count;
use mainstay_workload::{Floor, Override};

/// One service that is scaled.
#[derive(Debug, Clone, PartialEq)]
pub struct ScaleView {
    /// Which.
    pub service: ServiceName,
    /// How many instances are wanted.
    pub count: u32,
    /// The file's least, or the scheduled minimum of now where that is more.
    pub min: u32,
    /// The file's most.
    pub max: u32,
    /// A scheduled minimum holds now.
    pub scheduled: bool,
    /// What was recorded last.
    pub decided: Option<Count>,
    /// What a person set, while it holds.
    pub hand: Option<Override>,
    /// Why the count stands now whatever is measured.
    pub stands: Option<String>,
    /// What the last look came to; none: nobody looked since the control plane began.
    pub looked: Option<Looked>,
}

impl Engine {
    /// Every service of the serving release that is scaled.
    pub fn scales(&self, now: Wall) -> Vec<ScaleView> {
        let platform = self.serving.as_ref().map(|one| &one.contents.platform);
        let services = platform.into_iter().flat_map(|one| &one.services);
        let counts = &self.history.counts;
        let view = |(name, service): (&ServiceName, &mainstay_spec::Service)| {
            let scale = service.scale.as_ref()?;
            let decided = counts.decided.get(name);
            let floors = scale.at.iter().filter(|floor| {
                let floor = Floor {
                    begins: floor.begins.clone(),
                    lasts: floor.lasts,
                    least: floor.min,
                };
                floor.holds(now)
            });
            let floor = floors.map(|floor| floor.min).max().unwrap_or(0);
            let group = self.scaling.groups.get(name);
            Some(ScaleView {
                service: name.clone(),
                count: service.count(decided.map(|count| count.instances)),
                min: scale.min.max(floor).min(scale.max),
                max: scale.max,
                scheduled: floor > scale.min,
                decided: decided.cloned(),
                hand: counts.hand(name, now).cloned(),
                stands: self.stands(name).map(|still| still.why),
                looked: group.and_then(|group| group.last.clone()),
            })
        };
        services.filter_map(view).collect()
    }

    /// How many instances of a service of the serving release are wanted.
    pub fn wanted(&self, name: &ServiceName, service: &mainstay_spec::Service) -> u32 {
        service.count(self.counts().get(name).copied())
    }
}
