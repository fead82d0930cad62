//! What people say about the count of a service.

use crate::engine::Engine;
use crate::request::Refusal;
use crate::world::World;
use mainstay_atoms::{Actor, ServiceName, Wall};
use mainstay_plan::Event;
use mainstay_spec::Scale;
use std::time::Duration;

/// Why a count is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaleRefusal {
    /// No such service.
    #[error("the serving release has no service `{service}`")]
    Unknown {
        /// What was asked for.
        service: ServiceName,
        /// Services that are scaled.
        known: Vec<ServiceName>,
    },
    /// Its count is fixed.
    #[error("`{service}` has a fixed count")]
    Fixed {
        /// The service.
        service: ServiceName,
    },
    /// The file allows another number.
    #[error("{asked} instances of `{service}` are out of its bounds, {min} to {max}")]
    Bounds {
        /// The service.
        service: ServiceName,
        /// What was asked for.
        asked: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Nobody set it.
    #[error("nobody set the count of `{service}`")]
    Free {
        /// The service.
        service: ServiceName,
    },
}

impl Engine {
    /// Sets how many instances of a service run, for a time; until when.
    pub fn set_scale(
        &mut self,
        service: &ServiceName,
        wish: (u32, Duration),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Wall, Refusal> {
        self.set_scale_with(vec![], (service, wish), by, world)
    }

    /// The same, recorded together with these events.
    pub(crate) fn set_scale_with(
        &mut self,
        mut events: Vec<Event>,
        (service, (instances, lasts)): (&ServiceName, (u32, Duration)),
        by: &Actor,
        world: &mut impl World,
    ) -> Result<Wall, Refusal> {
        let Scale { min, max, .. } = *self.scaled(service)?;
        if !(min..=max).contains(&instances) {
            return Err(Refusal::Scale(ScaleRefusal::Bounds {
                service: service.clone(),
                asked: instances,
                min,
                max,
            }));
        }
        let (_, now) = world.now();
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = Wall(now.0.saturating_add(lasts));
        events.push(Event::ScaleSet {
            service: service.clone(),
            instances,
            until,
        });
        self.hand_changed(service, events, by, world)?;
        Ok(until)
    }

    /// Leaves the count of a service to what is measured again.
    pub fn free_scale(
        &mut self,
        service: &ServiceName,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        self.scaled(service)?;
        let (_, now) = world.now();
        if self.history.counts.hand(service, now).is_none() {
            let service = service.clone();
            return Err(Refusal::Scale(ScaleRefusal::Free { service }));
        }
        let freed = Event::ScaleFreed {
            service: service.clone(),
        };
        self.hand_changed(service, vec![freed], by, world)
    }

    fn hand_changed(
        &mut self,
        service: &ServiceName,
        events: Vec<Event>,
        by: &Actor,
        world: &mut impl World,
    ) -> Result<(), Refusal> {
        self.record(world, by, events).map_err(Refusal::Record)?;
        if let Some(group) = self.scaling.groups.get_mut(service) {
            group.looked = None;
        }
        // What was said is recorded; what cannot be recorded of its effect now is with the next look.
        drop(self.scale(world));
        Ok(())
    }

    /// How a service of the serving release is scaled.
    fn scaled(&self, service: &ServiceName) -> Result<&Scale, Refusal> {
        if self.history.down {
            return Err(Refusal::GoingDown);
        }
        let record = self.serving_record().ok_or(Refusal::NothingServes)?;
        let services = &record.contents.platform.services;
        let scaled = services.iter().filter(|(_, one)| one.scale.is_some());
        let found = services.get(service).ok_or_else(|| {
            Refusal::Scale(ScaleRefusal::Unknown {
                service: service.clone(),
                known: scaled.map(|(name, _)| name.clone()).collect(),
            })
        })?;
        let service = service.clone();
        let fixed = Refusal::Scale(ScaleRefusal::Fixed { service });
        found.scale.as_ref().ok_or(fixed)
    }
}
