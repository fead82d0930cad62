//! A request outward while it is put together: points by resource, scope and metric.

use super::point::put_attribute;
use crate::metadata::{Meta, Metadata};
use crate::wire;
use mainstay_metrics::Labels;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who made the points of series that name no scope: whoever translates them.
const SCOPE: &str = "mainstay-signals";

/// What a metric becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    Gauge,
    /// A sum that only rises.
    Counter,
    /// A sum that may fall.
    Sum,
    Histogram,
    Exponential,
    Summary,
}

impl Shape {
    /// The field of `Metric`.
    fn field(self) -> u64 {
        match self {
            Self::Gauge => 5,
            Self::Counter | Self::Sum => 7,
            Self::Histogram => 9,
            Self::Exponential => 10,
            Self::Summary => 11,
        }
    }
}

/// Where a series' points belong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// `job` and `instance`.
    pub(crate) resource: (String, String),
    /// Name and version.
    scope: (String, String),
}

impl Origin {
    pub(crate) fn new(labels: &Labels) -> Self {
        let get = |name: &str| labels.get(name).to_owned();
        Self {
            resource: (get("job"), get("instance")),
            scope: (get("otel_scope_name"), get("otel_scope_version")),
        }
    }
}

/// Labels of `target_info` by job and instance.
pub(crate) type Targets = BTreeMap<(String, String), Labels>;

/// Points by name and shape of their metric.
type Metrics = BTreeMap<(String, Shape), Vec<u8>>;

/// A request.
#[derive(Debug)]
pub(crate) struct Sheet {
    metadata: Arc<Metadata>,
    targets: Targets,
    /// By origin, so that scopes of a resource stand together.
    points: BTreeMap<Origin, Metrics>,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

impl Sheet {
    pub(crate) fn new(metadata: Arc<Metadata>, targets: Targets) -> Self {
        Self {
            metadata,
            targets,
            points: BTreeMap::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Adds a point.
    pub(crate) fn put(&mut self, origin: &Origin, name: &str, shape: Shape, point: &[u8]) {
        if !self.points.contains_key(origin) {
            self.points.insert(origin.clone(), Metrics::new());
        }
        let Some(metrics) = self.points.get_mut(origin) else {
            return;
        };
        let points = metrics.entry((name.to_owned(), shape)).or_default();
        wire::put_bytes(points, 1, point);
        self.count += 1;
        self.bytes += point.len() + 4;
    }

    /// `ExportMetricsServiceRequest` with everything that was added; begins anew.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let points = std::mem::take(&mut self.points);
        (self.count, self.bytes) = (0, 0);
        let mut out = Vec::new();
        let mut origins = points.into_iter().peekable();
        while let Some((origin, metrics)) = origins.next() {
            let mut resource = Vec::new();
            wire::put_bytes(&mut resource, 1, &self.resource(&origin.resource));
            self.put_scope(&mut resource, &origin.scope, metrics);
            while let Some((other, metrics)) =
                origins.next_if(|(other, _)| other.resource == origin.resource)
            {
                self.put_scope(&mut resource, &other.scope, metrics);
            }
            wire::put_bytes(&mut out, 1, &resource);
        }
        out
    }

    fn resource(&self, key: &(String, String)) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in [("service.name", &key.0), ("service.instance.id", &key.1)] {
            if !value.is_empty() {
                put_attribute(&mut out, 1, name, value);
            }
        }
        let rest = self.targets.get(key).into_iter().flatten();
        for label in rest.filter(|label| !super::point::ELSEWHERE.contains(&&*label.name)) {
            put_attribute(&mut out, 1, &label.name, &label.value);
        }
        out
    }

    fn put_scope(&self, out: &mut Vec<u8>, scope: &(String, String), metrics: Metrics) {
        let (mut inner, mut scoped) = (Vec::new(), Vec::new());
        let name = if scope.0.is_empty() { SCOPE } else { &scope.0 };
        wire::put_bytes(&mut inner, 1, name.as_bytes());
        if !scope.1.is_empty() {
            wire::put_bytes(&mut inner, 2, scope.1.as_bytes());
        }
        wire::put_bytes(&mut scoped, 1, &inner);
        for ((name, shape), points) in metrics {
            let metric = self.metric(&name, shape, points);
            wire::put_bytes(&mut scoped, 2, &metric);
        }
        wire::put_bytes(out, 2, &scoped);
    }

    fn metric(&self, name: &str, shape: Shape, mut data: Vec<u8>) -> Vec<u8> {
        let meta = meta(&self.metadata, name).unwrap_or_default();
        let mut out = Vec::new();
        wire::put_bytes(&mut out, 1, name.as_bytes());
        if !meta.help.is_empty() {
            wire::put_bytes(&mut out, 2, meta.help.as_bytes());
        }
        if !meta.unit.is_empty() {
            wire::put_bytes(&mut out, 3, super::unit(&meta.unit).as_bytes());
        }
        if !matches!(shape, Shape::Gauge | Shape::Summary) {
            // What it has come to since it began.
            wire::put_number(&mut data, 2, 2);
        }
        if shape == Shape::Counter {
            wire::put_number(&mut data, 3, 1);
        }
        wire::put_bytes(&mut out, shape.field(), &data);
        let kind = match meta.kind.as_str() {
            "untyped" => "unknown",
            other => other,
        };
        if !kind.is_empty() {
            put_attribute(&mut out, 12, "prometheus.type", kind);
        }
        out
    }
}

/// What targets said of a metric: under its own name, or without the ending that `OpenMetrics` adds to it.
pub(crate) fn meta(metadata: &Metadata, name: &str) -> Option<Meta> {
    metadata.find(name).or_else(|| {
        let endings = ["_total", "_info"];
        let bare = endings.iter().find_map(|one| name.strip_suffix(one))?;
        metadata.find(bare)
    })
}
