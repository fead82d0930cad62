//! Where values come from.

use crate::node::LayerId;

/// One layer of a resolved file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The file itself.
    Base,
    /// The overlay of this environment.
    Overlay(String),
    /// `--set` on the command line.
    CommandLine,
    /// The service of this name, by `extends`.
    Extends(String),
}

impl std::fmt::Display for Layer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base => out.write_str("base"),
            Self::Overlay(name) => write!(out, "overlay {name}"),
            Self::CommandLine => out.write_str("command line"),
            Self::Extends(name) => write!(out, "extends {name}"),
        }
    }
}

/// All layers of a resolved file.
#[derive(Debug, Clone)]
pub(crate) struct Layers(Vec<Layer>);

impl Layers {
    /// The base alone.
    pub(crate) fn new() -> Self {
        Self(vec![Layer::Base])
    }

    /// Adds a layer.
    pub(crate) fn add(&mut self, layer: Layer) -> LayerId {
        self.0.push(layer);
        LayerId(u32::try_from(self.0.len() - 1).expect("layers are fewer than nodes"))
    }

    /// The layer of this id.
    pub(crate) fn get(&self, id: LayerId) -> &Layer {
        &self.0[id.0 as usize]
    }

    /// Which comes first when values replace one another.
    pub(crate) fn rank(&self, id: LayerId) -> u8 {
        match self.get(id) {
            Layer::Extends(_) => 0,
            Layer::Base => 1,
            Layer::Overlay(_) => 2,
            Layer::CommandLine => 3,
        }
    }
}
