//! How pictures become a network's input: what the command line says, and what follows from the network where it says
//! nothing.

use clap::Args;
use std::path::Path;
use varflow::Error;
use varflow::io::{Array, Filter, Image, Preprocess, Resize};
use varflow::prelude::*;

/// The means of red, green and blue over the pictures of the ImageNet challenge, as MXNet's and Caffe's models have them.
const IMAGENET_MEAN: [f32; 3] = [123.68, 116.779, 103.939];
/// The sizes that networks for pictures are made for, the likeliest first.
const USUAL_SIDES: [usize; 5] = [224, 299, 227, 32, 28];

/// Pixels along a side, at most.
const MOST_PIXELS: usize = 1 << 16;

/// What to do with PNG and JPEG pictures.
#[derive(Args)]
pub(crate) struct PictureArgs {
    /// Bring the shorter side to N pixels, or height and width to H and W.
    #[arg(long, value_name = "N|HxW", value_parser = resize)]
    resize: Option<Resize>,
    /// Then keep H by W pixels (or N by N) around the centre.
    #[arg(long, value_name = "HxW", value_parser = crop)]
    crop: Option<(usize, usize)>,
    /// Subtract these from red, green and blue, which are 0 to 255.
    #[arg(long, value_name = "R,G,B", value_parser = three, allow_hyphen_values = true)]
    mean: Option<[f32; 3]>,
    /// Then divide by these.
    #[arg(long, value_name = "R,G,B", value_parser = divisors)]
    std: Option<[f32; 3]>,
    /// Then multiply by this.
    #[arg(long, value_name = "X", value_parser = finite)]
    scale: Option<f32>,
    /// Channels in the order blue, green, red.
    #[arg(long, conflicts_with = "rgb")]
    bgr: bool,
    /// Channels in the order red, green, blue, as is the default.
    #[arg(long)]
    rgb: bool,
    /// How pixels are found when resizing: nearest, bilinear, bicubic, area or lanczos.
    #[arg(long, default_value_t = Filter::default())]
    filter: Filter,
    /// Look at the nearest pixels only where a picture shrinks, as OpenCV does, not at all of them, as Pillow does.
    #[arg(long)]
    no_antialias: bool,
}

/// What one picture is for a network.
struct Form {
    is_grey: bool,
    /// Height and width.
    size: Option<(usize, usize)>,
}

impl PictureArgs {
    /// What is to be done with pictures for this input of a network.
    ///
    /// # Errors
    /// When the command line says no size, and no usual one fits the network.
    pub(crate) fn preprocess(&self, module: &Module, input: &str) -> Result<Preprocess, Error> {
        let form = self.form(module, input)?;
        let (resize, crop) = match (self.resize, self.crop, form.size) {
            (None, None, Some((height, width))) if form.is_grey => (Resize::Exact(height, width), None),
            // 256 pixels for 224, in these proportions for other sizes.
            (None, None, Some((height, width))) => (Resize::Short(height.max(width) * 8 / 7), form.size),
            (Some(Resize::Short(short)), None, size) => (Resize::Short(short), size),
            (resize, crop, _) => (resize.unwrap_or_default(), crop),
        };
        let says_values = self.mean.is_some() || self.std.is_some() || self.scale.is_some();
        let (mean, scale) = match (says_values, form.is_grey) {
            (false, true) => ([0.0; 3], 1.0 / 255.0),
            (false, false) => (IMAGENET_MEAN, 1.0),
            (true, _) => ([0.0; 3], 1.0),
        };
        Ok(Preprocess {
            resize,
            crop,
            filter: self.filter,
            antialias: !self.no_antialias,
            grey: form.is_grey,
            bgr: self.bgr,
            mean: self.mean.unwrap_or(mean),
            std: self.std.unwrap_or([1.0; 3]),
            scale: self.scale.unwrap_or(scale),
        })
    }

    /// What the network takes: of the size that the command line says, else of one of the usual sizes, whichever its
    /// parameters fit. Grey where the size said does not, so that the error says what there is and what is wanted.
    fn form(&self, module: &Module, input: &str) -> Result<Form, Error> {
        let said = match (self.crop, self.resize) {
            (Some(size), _) => Some(size),
            (None, Some(Resize::Exact(height, width))) => Some((height, width)),
            _ => None,
        };
        let is_open = said.is_none() && self.resize.is_none();
        let sizes = said.map_or_else(|| USUAL_SIDES.map(|n| (n, n)).to_vec(), |size| vec![size]);
        for (height, width) in sizes {
            for channels in [3, 1] {
                if module.check_inputs(&[(input, [1, channels, height, width].into())]).is_ok() {
                    return Ok(Form { is_grey: channels == 1, size: Some((height, width)) });
                }
            }
        }
        if is_open {
            let tried = USUAL_SIDES.map(|n| n.to_string()).join(", ");
            return Err(Error::Shape(format!(
                "pictures of none of the usual sizes, {tried}, fit the network's input {input} and its parameters: wanted its size \
                 by --crop or --resize HxW"
            )));
        }
        Ok(Form { is_grey: true, size: None })
    }
}

/// A picture from a file as a network's input, of shape (1, channels, height, width).
pub(crate) fn read(path: &Path, how: &Preprocess) -> Result<Array, Error> {
    how.apply(Image::read(path)?).map_err(|e| e.at(path.display().to_string()))
}

fn side(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|n| (1..=MOST_PIXELS).contains(n))
}

fn size(text: &str) -> Option<(usize, usize)> {
    let (height, width) = text.split_once(['x', '×'])?;
    Some((side(height)?, side(width)?))
}

fn resize(text: &str) -> Result<Resize, String> {
    let exact = size(text).map(|(height, width)| Resize::Exact(height, width));
    exact
        .or_else(|| side(text).map(Resize::Short))
        .ok_or_else(|| format!("wanted N or HxW, of 1 to {MOST_PIXELS} pixels"))
}

fn crop(text: &str) -> Result<(usize, usize), String> {
    size(text)
        .or_else(|| side(text).map(|n| (n, n)))
        .ok_or_else(|| format!("wanted HxW or N, of 1 to {MOST_PIXELS} pixels"))
}

fn finite(text: &str) -> Result<f32, String> {
    let value: Option<f32> = text.trim().parse().ok();
    value.filter(|v| v.is_finite()).ok_or_else(|| "wanted a number".to_string())
}

fn three(text: &str) -> Result<[f32; 3], String> {
    let values = text.split(',').map(finite).collect::<Result<Vec<_>, _>>().ok();
    let values: Option<[f32; 3]> = match values.as_deref() {
        Some([one]) => Some([*one; 3]),
        Some([r, g, b]) => Some([*r, *g, *b]),
        _ => None,
    };
    values.ok_or_else(|| "wanted three numbers R,G,B, or one for all".to_string())
}

fn divisors(text: &str) -> Result<[f32; 3], String> {
    three(text).and_then(|v| if v.contains(&0.0) { Err("wanted numbers other than 0".to_string()) } else { Ok(v) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        pictures: PictureArgs,
    }

    /// A module with a convolution over as many channels, and an output that takes pictures of this size only.
    fn module(channels: usize, side: usize) -> Module {
        let x = sym::convolution(sym::var("data")).kernel([1, 1]).num_filter(2).name("conv");
        let net = sym::fully_connected(x).num_hidden(2).name("fc").build();
        let mut module = Module::new(&varflow::runtime(1).unwrap(), net).unwrap();
        module.bind(&[("data", [1, channels, side, side].into())]).unwrap();
        module
    }

    fn preprocess(module: &Module, args: &[&str]) -> Preprocess {
        let line = Line::try_parse_from([&["x"], args].concat()).unwrap();
        line.pictures.preprocess(module, "data").unwrap()
    }

    #[test]
    fn what_follows_from_the_network() {
        let grey = preprocess(&module(1, 28), &[]);
        let wanted =
            Preprocess { resize: Resize::Exact(28, 28), grey: true, scale: 1.0 / 255.0, ..Preprocess::default() };
        assert_eq!(grey, wanted);
        let colour = preprocess(&module(3, 224), &["--bgr"]);
        let wanted = Preprocess {
            resize: Resize::Short(256),
            crop: Some((224, 224)),
            bgr: true,
            mean: IMAGENET_MEAN,
            ..Preprocess::default()
        };
        assert_eq!(colour, wanted);
    }

    #[test]
    fn what_is_said_goes_first() {
        let said = ["--resize", "40", "--crop", "20x30", "--std", "2", "--filter", "area", "--no-antialias"];
        let wanted = Preprocess {
            resize: Resize::Short(40),
            crop: Some((20, 30)),
            std: [2.0; 3],
            filter: Filter::Area,
            antialias: false,
            ..Preprocess::default()
        };
        // No size that its parameters fit is 20×30.
        assert_eq!(preprocess(&module(3, 32), &said), Preprocess { grey: true, ..wanted });
        let exact = preprocess(&module(3, 50), &["--resize", "50x50", "--mean", "1,-2,3"]);
        let wanted = Preprocess { resize: Resize::Exact(50, 50), mean: [1.0, -2.0, 3.0], ..Preprocess::default() };
        assert_eq!(exact, wanted);
    }

    #[test]
    fn a_network_of_no_usual_size_asks_for_it() {
        let line = Line::try_parse_from(["x"]).unwrap();
        let error = line.pictures.preprocess(&module(3, 50), "data").unwrap_err().to_string();
        assert!(error.contains("224, 299, 227, 32, 28") && error.contains("--crop or --resize HxW"), "{error}");
    }

    #[test]
    fn what_cannot_be_said() {
        let wrong: [&[&str]; 7] = [
            &["--resize", "0"],
            &["--resize", "2x"],
            &["--crop", "a"],
            &["--mean", "1,2"],
            &["--std", "1,0,1"],
            &["--filter", "cubic"],
            &["--bgr", "--rgb"],
        ];
        for args in wrong {
            assert!(Line::try_parse_from([&["x"], args].concat()).is_err(), "{args:?}");
        }
    }
}
