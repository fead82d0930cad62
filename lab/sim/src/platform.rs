//! Small platforms to live in.

use mainstay_atoms::{
    Check, Digest, EnvironmentName, HostName, PlatformName, Probe, ServiceName, Size, Stop,
};
use mainstay_plan::Contents;
use mainstay_spec::{GatewayPorts, Platform, Rolling, Service};
use std::collections::BTreeMap;
use std::time::Duration;

/// A service with a port, a readiness probe and `replicas` instances.
pub fn service(replicas: u32, needs: &[&str]) -> Service {
    Service {
        build: None,
        run: vec!["./program".into()],
        artifact: vec!["program".into()],
        port: Some(8080),
        needs: needs
            .iter()
            .map(|name| ServiceName::new(*name).expect("a valid name"))
            .collect(),
        health: None,
        ready: Some(Probe::readiness(Check::Http("/ready".into()))),
        replicas,
        size: Size::default(),
        env: BTreeMap::new(),
        stop: Stop {
            drain: Duration::from_secs(5),
            streams: Duration::from_secs(2),
            ..Stop::default()
        },
        deploy: Rolling::default(),
    }
}

/// Contents of a platform with these services, the first of which answers for `localhost`; `version`
/// changes every service's environment.
pub fn contents(services: Vec<(&str, Service)>, version: u32) -> Contents {
    let mut routes = BTreeMap::new();
    let mut named = BTreeMap::new();
    let mut artifacts = BTreeMap::new();
    for (name, mut service) in services {
        let name = ServiceName::new(name).expect("a valid name");
        if routes.is_empty() && service.port.is_some() {
            routes.insert("/".to_owned(), name.clone());
        }
        service.env.insert("VERSION".into(), version.to_string());
        artifacts.insert(name.clone(), Digest::of(name.as_str().as_bytes()));
        named.insert(name, service);
    }
    let host = HostName::new("localhost").expect("a valid name");
    let platform = Platform {
        name: PlatformName::new("shop").expect("a valid name"),
        environment: EnvironmentName::default_environment(),
        gateway: GatewayPorts { http: 8080 },
        services: named,
        domains: BTreeMap::from([(host, routes)]),
    };
    Contents {
        platform,
        artifacts,
    }
}

/// What the instances of these contents are started from, service by service.
pub fn service_digests(contents: &Contents) -> Vec<Digest> {
    let names = contents.platform.services.keys();
    names
        .filter_map(|name| contents.service_digest(name))
        .collect()
}
