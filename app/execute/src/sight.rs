//! What is read for a condition: of the gateway, of processes, and of others who are asked.

use crate::engine::Engine;
use crate::scale::millicores;
use crate::trial::Subject;
use crate::world::{Used, World};
use mainstay_atoms::{Actor, Generation, InstanceId, Moment, ServiceName, Size};
use mainstay_rollout::{Board, Condition, Metric, Reading, Sight, Tally, Trouble};
use mainstay_workload::Attempts;
use std::collections::BTreeMap;

/// What came since a step began.
pub(crate) struct Came {
    began: Moment,
    /// What was counted at the last look.
    last: Board,
    /// The gateway answered at the last look.
    counted: bool,
    /// Of services that conditions name.
    others: BTreeMap<ServiceName, Tally>,
    own: Arm,
    /// Of what the release is compared with.
    beside: Arm,
    /// What each instance used at the last look for that, and when it was.
    used: Option<(Moment, Uses)>,
    /// The run of a job that was asked for, by the job's name.
    runs: BTreeMap<String, u32>,
}

/// What instances use, with the run that it is of.
type Uses = BTreeMap<InstanceId, (Generation, Used)>;

/// One side of a comparison.
#[derive(Default)]
struct Arm {
    tally: Tally,
    ends: Ends,
    /// Means of the instances of which it is known: a share of the limit of cores, and bytes.
    cpu: Option<f64>,
    memory: Option<f64>,
}

impl Came {
    pub(crate) fn new(began: Moment, last: Board) -> Self {
        Self {
            began,
            last,
            counted: false,
            others: BTreeMap::new(),
            own: Arm::default(),
            beside: Arm::default(),
            used: None,
            runs: BTreeMap::new(),
        }
    }

    /// Takes in what instances use now, and what they used since the last look.
    fn use_up(&mut self, subject: &Subject<'_>, used: Uses, now: Moment) {
        let before = self.used.take();
        let over = before.as_ref().map(|(at, _)| now.since(*at));
        let share = |id: &InstanceId, size: &Size| {
            let before = before.as_ref().and_then(|(_, used)| used.get(id));
            let spent = millicores(before, used.get(id), over?)?;
            Some(ratio(spent, size.cpu?.limit.0))
        };
        let (own, beside) = (&mut self.own, &mut self.beside);
        for (arm, size, ours) in [
            (own, &subject.size, true),
            (beside, &subject.old_size, false),
        ] {
            let ids = used.keys().filter(|id| subject.is_new(id) == ours);
            arm.cpu = mean(ids.clone().filter_map(|id| share(id, size)));
            let memory = |id: &InstanceId| Some(used.get(id)?.1.memory.0);
            arm.memory = mean(ids.filter_map(memory).map(|bytes| ratio(bytes, 1)));
        }
        self.used = Some((now, used));
    }
}

impl Arm {
    fn reading(&self, metric: &Metric, began: Moment, now: Moment) -> Reading {
        let known = |value: Option<f64>| value.map_or(Reading::Nothing, Reading::Number);
        match metric {
            Metric::Restarts => Reading::Number(f64::from(self.ends.count)),
            Metric::Cpu => known(self.cpu),
            Metric::Memory => known(self.memory),
            _ => self.tally.reading(metric, now.since(began)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), one| (sum + one, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Ends of processes by themselves.
#[derive(Debug, Default)]
struct Ends {
    /// Ends in a row of each instance, at the last look.
    seen: BTreeMap<InstanceId, u32>,
    /// Those before the first look are not counted.
    looked: bool,
    count: u32,
}

impl Ends {
    /// Takes in how often each of these instances has ended in a row.
    fn look(
        &mut self,
        attempts: &BTreeMap<InstanceId, Attempts>,
        ours: impl Fn(&InstanceId) -> bool,
    ) {
        for (id, attempts) in attempts.iter().filter(|(id, _)| ours(id)) {
            let ends = attempts.ends;
            let before = self.seen.insert(id.clone(), ends).unwrap_or(0);
            // After a steady time they are counted anew.
            let came = if ends < before { ends } else { ends - before };
            let came = if self.looked { came } else { 0 };
            self.count = self.count.saturating_add(came);
        }
        self.looked = true;
    }
}

impl Engine {
    /// Adds what came since the last look, as far as these conditions ask for it.
    pub(crate) fn count_up(
        &self,
        came: &mut Came,
        subject: &Subject<'_>,
        conditions: &[Condition],
        world: &mut impl World,
    ) {
        if conditions.iter().all(|one| one.metric.is_provided()) {
            return;
        }
        let board = world.board();
        came.counted = board.is_some();
        if let Some(board) = board {
            let since = board.since(&came.last);
            let of = |ours: &dyn Fn(&InstanceId) -> bool| since.sum(subject.name, ours);
            came.own.tally.merge(&of(&|id| subject.is_new(id)));
            came.beside.tally.merge(&of(&|id| subject.is_compared(id)));
            for (service, tally) in &mut came.others {
                tally.merge(&since.sum(service, |_| true));
            }
            for service in conditions.iter().filter_map(|one| one.of.as_ref()) {
                let first = || since.sum(service, |_| true);
                came.others.entry(service.clone()).or_insert_with(first);
            }
            came.last = board;
        }
        let attempts = &self.history.attempts;
        came.own.ends.look(attempts, |id| subject.is_new(id));
        let compared = |id: &InstanceId| subject.is_compared(id);
        came.beside.ends.look(attempts, compared);
        let uses = |one: &Condition| matches!(one.metric, Metric::Cpu | Metric::Memory);
        if conditions.iter().any(uses) {
            let ours = |id: &InstanceId| subject.is_new(id) || subject.is_compared(id);
            let runs = self.alive().filter(|one| ours(&one.id));
            let runs: BTreeMap<InstanceId, Generation> =
                runs.map(|one| (one.id.clone(), one.generation)).collect();
            let ids: Vec<InstanceId> = runs.keys().cloned().collect();
            let used = world.used(&ids).into_iter();
            let used = used.filter_map(|(id, used)| Some((id.clone(), (*runs.get(&id)?, used))));
            came.use_up(subject, used.collect(), world.now().0);
        }
    }

    /// What is read for a condition; none while nobody has answered yet.
    pub(crate) fn sight(
        &mut self,
        came: &mut Came,
        subject: &Subject<'_>,
        condition: &Condition,
        compared: bool,
        world: &mut impl World,
    ) -> Option<Sight> {
        let alone = |own| Sight {
            own,
            baseline: None,
        };
        let (now, metric) = (world.now().0, &condition.metric);
        let processes = matches!(metric, Metric::Restarts | Metric::Cpu | Metric::Memory);
        match (metric, &condition.of) {
            (Metric::Promql(_) | Metric::Http { .. }, _) => {
                let mut ready = self.alive().filter(|one| subject.is_new(&one.id));
                let address = ready.find_map(|one| one.address);
                let address = address.map_or_else(String::new, |address| address.to_string());
                let question = metric.about(subject.name, subject.new, &address);
                world.provided(&question).map(alone)
            }
            (Metric::Job(name), _) => self.job_exit(came, name, world).map(alone),
            _ if !(came.counted || processes) => None,
            (_, Some(other)) if other != subject.name => {
                let over = now.since(came.began);
                Some(alone(came.others.get(other)?.reading(metric, over)))
            }
            _ => Some(Sight {
                own: came.own.reading(metric, came.began, now),
                baseline: compared.then(|| came.beside.reading(metric, came.began, now)),
            }),
        }
    }

    /// The exit code of a run of a job, which is asked for first; none while it runs.
    fn job_exit(&mut self, came: &mut Came, name: &str, world: &mut impl World) -> Option<Reading> {
        let away = |why: String| Some(Reading::Trouble(Trouble::Away { why }));
        let Ok(job) = name.parse::<ServiceName>() else {
            return away(format!("`{name}` is not the name of a job"));
        };
        let Some(number) = came.runs.get(name).copied() else {
            return match self.ask_run(&job, &Actor::itself(), world) {
                Ok(number) => {
                    came.runs.insert(name.to_owned(), number);
                    None
                }
                Err(refusal) => away(refusal.to_string()),
            };
        };
        let runs = self.history.jobs.get(&job)?;
        let run = runs
            .kept
            .iter()
            .find(|run| run.instance.ordinal == number)?;
        let exit = run.end?.exit;
        came.runs.remove(name);
        match exit.code {
            Some(code) => Some(Reading::Number(f64::from(code))),
            None => away(format!("{} {exit}", run.instance)),
        }
    }
}
