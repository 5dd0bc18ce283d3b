//! What residual networks have in common: how many units of which width a number of layers means.

use super::layers::{NEAR, Norm, Window};
use super::spec::{Images, Spec};
use varflow_ops::Result;
use varflow_symbol::{Symbol, sym};

/// The usual forms: those for ImageNet, then those for CIFAR.
pub(super) const FORMS: &[&str] = &["18", "34", "50", "101", "152", "200", "269", "20", "32", "44", "56", "110", "164"];

/// Units in each stage, by number of layers, for images of more than 32 pixels.
const IMAGENET: [(usize, [usize; 4]); 7] = [
    (18, [2, 2, 2, 2]),
    (34, [3, 4, 6, 3]),
    (50, [3, 4, 6, 3]),
    (101, [3, 4, 23, 3]),
    (152, [3, 8, 36, 3]),
    (200, [3, 24, 36, 3]),
    (269, [3, 30, 48, 8]),
];

/// The normalisation of residual networks.
pub(super) const NORM: Norm = Norm { eps: 2e-5, fix_gamma: false };

/// The shape of a residual network.
pub(super) struct Plan {
    pub(super) images: Images,
    /// Whether a unit has three convolutions, of which the first makes the channels fewer and the last more again.
    pub(super) bottleneck: bool,
    /// Filters of the first convolution.
    stem: usize,
    /// Units and filters of each stage.
    stages: Vec<(usize, usize)>,
}

/// One unit.
pub(super) struct Unit {
    pub(super) filters: usize,
    pub(super) stride: usize,
    /// Whether the shortcut has a convolution because sizes change.
    pub(super) projects: bool,
    pub(super) bottleneck: bool,
    pub(super) name: String,
}

impl Plan {
    /// Images of up to 32 pixels get three stages of a third each of the layers, as He et al. have it for CIFAR; larger ones,
    /// four.
    pub(super) fn of(spec: &Spec) -> Result<Plan> {
        let layers = spec.num_layers.unwrap_or(0);
        let units = IMAGENET.iter().find(|(n, _)| *n == layers).map(|(_, units)| units);
        let is_small = spec.image_shape.map_or(units.is_none(), |[_, height, _]| height <= 32);
        if is_small {
            let images = spec.images([3, 28, 28], 10);
            let bottleneck = layers >= 164;
            let per_unit = if bottleneck { 9 } else { 6 };
            if layers < 8 || !(layers - 2).is_multiple_of(per_unit) || layers > 2000 {
                return Err(spec.refuse_layers(
                    "6n + 2 (below 164) or 9n + 2 (from 164 to 2000) for images of up to 32 pixels, else 18, 34, 50, 101, \
                     152, 200 or 269",
                ));
            }
            let units = (layers - 2) / per_unit;
            let filters = if bottleneck { [64, 128, 256] } else { [16, 32, 64] };
            return Ok(Plan { images, bottleneck, stem: 16, stages: filters.map(|f| (units, f)).to_vec() });
        }
        let images = spec.images([3, 224, 224], 1000);
        let Some(units) = units else { return Err(spec.refuse_layers("18, 34, 50, 101, 152, 200 or 269")) };
        let bottleneck = layers >= 50;
        let filters = if bottleneck { [256, 512, 1024, 2048] } else { [64, 128, 256, 512] };
        Ok(Plan { images, bottleneck, stem: 64, stages: units.iter().copied().zip(filters).collect() })
    }

    /// The units in order: the first of each stage but the first halves the size.
    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.stages.iter().enumerate().flat_map(move |(stage, (units, filters))| {
            (0..*units).map(move |unit| Unit {
                filters: *filters,
                stride: if stage > 0 && unit == 0 { 2 } else { 1 },
                projects: unit == 0,
                bottleneck: self.bottleneck,
                name: format!("stage{}_unit{}", stage + 1, unit + 1),
            })
        })
    }

    /// Whether the network begins as for ImageNet: 7×7 pixels, then pooling.
    pub(super) fn is_large(&self) -> bool {
        self.images.height() > 32
    }

    /// The first convolution; for large images, normalised and pooled.
    pub(super) fn stem(&self, x: Symbol) -> Symbol {
        if !self.is_large() {
            return NEAR.convolution(x, self.stem).no_bias(true).name("conv0").build();
        }
        let x = Window { kernel: 7, stride: 2, pad: 3 }.convolution(x, self.stem).no_bias(true).name("conv0");
        let x = sym::relu(NORM.of(x, "bn0")).name("relu0");
        Window { kernel: 3, stride: 2, pad: 1 }.pooling(x, "max").name("pooling0").build()
    }
}

/// The data, each channel normalised.
pub(super) fn normalised_data(data: impl Into<Symbol>) -> Symbol {
    Norm { fix_gamma: true, ..NORM }.of(data, "bn_data")
}

/// A convolution without bias.
pub(super) fn conv(x: &Symbol, window: Window, filters: usize, name: String) -> Symbol {
    window.convolution(x, filters).no_bias(true).name(name).build()
}
