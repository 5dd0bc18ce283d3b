//! The networks of the zoo: shapes, names, sizes as in the literature, and what is said of networks that there are not.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use varflow::ops::{Error, PartialShape, Shape};
use varflow::symbol::{Graph, Summary, infer_shapes, summary};
use varflow::zoo::{self, Model, Spec};

/// The graph and its shapes for so many samples.
fn inferred(model: &Model, samples: usize) -> (Graph, Vec<Vec<Shape>>) {
    let rt = varflow::runtime(1).unwrap();
    let graph = model.symbol.resolve(&rt.registry).unwrap_or_else(|e| panic!("{}: {e}", model.name));
    let batch: Shape = std::iter::once(samples).chain(model.data_shape.dims().iter().copied()).collect();
    let shapes = infer_shapes(&graph, &[("data", PartialShape::from(batch))]);
    let shapes = shapes.unwrap_or_else(|e| panic!("{}: {e}", model.name));
    (graph, shapes)
}

fn sizes(spec: &Spec) -> Summary {
    let (graph, shapes) = inferred(&spec.build().unwrap(), 1);
    summary(&graph, &shapes, &["data"])
}

#[test]
fn every_network_follows_from_the_shape_of_its_data() {
    let mut names = HashSet::new();
    for name in zoo::names() {
        let model = zoo::by_name(&name).unwrap();
        assert_eq!(model.name, name);
        assert!(names.insert(name.clone()) && !model.about.is_empty());
        let (graph, shapes) = inferred(&model, 2);
        let mut variables = graph.list_arguments();
        assert_eq!((variables[0], *variables.last().unwrap()), ("data", "softmax_label"), "{name}");
        variables.extend(graph.list_auxiliaries());
        assert_eq!(variables.iter().collect::<HashSet<_>>().len(), variables.len(), "{name}");
        assert_eq!(graph.list_outputs(), ["softmax_output"]);
        // A language model says something about each word, other networks about each sample.
        let rows = if let [words] = model.data_shape.dims() { 2 * words } else { 2 };
        let output = graph.outputs[0];
        assert_eq!(shapes[output.node][output.output].dims(), [rows, model.num_classes], "{name}");
    }
    assert!(names.len() > 60, "{names:?}");
}

#[test]
fn every_parameter_has_two_axes_or_a_value_of_its_own() {
    // So that the initialisers which programs name for weights, which want fans, suit every network.
    for name in zoo::names() {
        let (graph, shapes) = inferred(&zoo::by_name(&name).unwrap(), 2);
        for i in graph.arguments() {
            let of = &graph.nodes[i];
            let is_input = of.name == "data" || of.name == "softmax_label" || of.attrs.contains_key("__init__");
            let has_role = ["_bias", "_gamma", "_beta"].iter().any(|role| of.name.ends_with(role));
            assert!(is_input || has_role || shapes[i][0].rank() >= 2, "{name}: {}", of.name);
        }
    }
}

/// Elements of all trained parameters, for 1000 classes.
#[test]
fn parameters_are_as_many_as_in_the_literature() {
    // Where the papers round, the numbers are those of torchvision's models, which have the same layers; where MXNet's form
    // has more, its own part stands beside.
    let data_norm = 2 * 3;
    // The first stage's shortcut, which others leave as it is: a convolution of 64 × 64 and its normalisation.
    let projection = 64 * 64 + 2 * 64;
    for (name, wanted) in [
        ("vgg-11", 132_863_336),
        ("vgg-16", 138_357_544),
        ("vgg-19", 143_667_240),
        ("vgg-16-bn", 138_365_992),
        ("inception-v3", 23_834_568),
        ("resnet-v1-18", 11_689_512 + projection),
        ("resnet-v1-34", 21_797_672 + projection),
        ("resnet-v1-50", 25_557_032),
        ("resnet-v1-101", 44_549_160),
        ("resnet-v1-152", 60_192_808),
        ("resnext-50", 25_028_904 + data_norm),
        ("squeezenet-1.0", 1_248_424),
        ("squeezenet-1.1", 1_235_496),
        ("mobilenet-1.0", 4_231_976),
        // MXNet's form expands in the first unit too, one to one: a convolution of 32 × 32 and its normalisation.
        ("mobilenet-v2-1.0", 3_504_872 + 32 * 32 + 2 * 32),
        ("densenet-121", 7_978_856 + data_norm),
        ("densenet-161", 28_681_000 + data_norm),
        ("densenet-169", 14_149_480 + data_norm),
        ("densenet-201", 20_013_928 + data_norm),
        ("lenet", 431_080),
    ] {
        assert_eq!(sizes(&name.parse().unwrap()).params, wanted, "{name}");
    }
    // He et al. 2016 count in tenths of millions.
    for (name, millions) in [("resnet-20", 0.27), ("resnet-56", 0.85), ("resnet-110", 1.7), ("resnet-164", 1.7)] {
        let found = sizes(&name.parse().unwrap()).params as f64 / 1e6;
        assert!((found - millions).abs() < 0.04 * millions, "{name}: {found}");
    }
    let found = sizes(&"resnet-50".parse().unwrap()).params as f64 / 1e6;
    assert!((found - 25.6).abs() < 0.06, "{found}");
}

#[test]
fn work_is_as_much_as_in_the_literature() {
    for (name, giga) in [
        ("resnet-v1-50", 3.86),
        ("resnet-50", 4.09),
        ("vgg-16", 15.47),
        ("squeezenet-1.1", 0.349),
        ("mobilenet-1.0", 0.569),
        ("inception-v3", 5.71),
        ("densenet-121", 2.83),
    ] {
        let found = sizes(&name.parse().unwrap()).multiply_adds as f64 / 1e9;
        assert!((found - giga).abs() < 0.02 * giga, "{name}: {found}");
    }
}

#[test]
fn layers_are_called_as_in_mxnets_programs() {
    let parameters = |name: &str| {
        let (graph, _) = inferred(&zoo::by_name(name).unwrap(), 1);
        let all = graph.list_arguments().into_iter().chain(graph.list_auxiliaries());
        all.map(String::from).collect::<Vec<_>>()
    };
    for (network, names) in [
        ("alexnet", "data conv1_weight conv1_bias conv5_bias fc1_weight fc3_bias"),
        ("vgg-16-bn", "conv1_1_weight bn5_3_gamma bn5_3_moving_var fc6_weight fc8_bias"),
        ("googlenet", "conv_conv1_weight conv_in3a_5x5_reduce_bias conv_in5b_proj_weight fullyconnected0_weight"),
        ("inception-bn", "conv_2_red_weight bn_3c_double_3x3_1_moving_mean conv_5b_proj_bias fullyconnected0_bias"),
        ("inception-bn-28-small", "conv_1_weight conv_in3c_conv_weight bn_in5b_3x3_moving_var"),
        ("inception-bn-full", "conv_conv2red_weight bn_3a_1x1_gamma conv_4d_double_3x3_1_weight fc1_weight"),
        (
            "inception-v3",
            "conv_conv2d_weight conv_4_batchnorm_gamma mixed_tower_1_conv_2_conv2d_weight mixed_3_tower_conv_2_conv2d_weight \
             mixed_7_tower_1_conv_4_batchnorm_beta mixed_8_tower_1_conv_3_conv2d_weight \
             mixed_10_tower_1_mixed_conv_1_conv2d_weight fc1_weight",
        ),
        (
            "resnet-50",
            "bn_data_gamma conv0_weight bn0_beta stage1_unit1_sc_weight stage4_unit3_bn3_moving_var bn1_gamma",
        ),
        ("resnet-20", "conv0_weight stage3_unit3_conv2_weight stage3_unit1_sc_weight fc1_bias"),
        ("resnet-v1-50", "bn0_gamma stage1_unit1_conv1sc_weight stage1_unit1_sc_gamma stage4_unit3_bn3_moving_mean"),
        ("resnext-50", "bn_data_beta stage1_unit1_sc_weight stage1_unit1_sc_bn_gamma stage3_unit6_conv2_weight"),
        ("mobilenet-1.0", "conv_1_conv2d_weight conv_14_dw_batchnorm_moving_mean conv_14_conv2d_weight fc_weight"),
        (
            "mobilenet-v2-1.0",
            "first-3x3-conv-conv2d_weight seq-0-block0-exp-conv2d_weight seq-6-block0-linear-batchnorm_gamma \
             last-1x1-conv-batchnorm_moving_var fc_bias",
        ),
        ("squeezenet-1.1", "conv1_weight fire2_squeeze1x1_weight fire9_expand3x3_bias conv10_bias"),
        ("densenet-121", "bn_data_gamma DBstage1_unit1_bn1_gamma TBstage3_conv1_weight DBstage4_unit16_conv2_weight"),
        ("lstm-lm", "embed_weight lstm_l0_i2h_weight lstm_l1_h2h_bias pred_weight pred_bias"),
        ("gru-lm", "gru_l0_i2h_bias gru_l1_h2h_weight"),
    ] {
        let found = parameters(network);
        for name in names.split_whitespace() {
            assert!(found.iter().any(|n| n == name), "{network} has no {name}: {found:?}");
        }
    }
    let first = &parameters("lstm-lm")[..6];
    let wanted = "data embed_weight lstm_l0_i2h_weight lstm_l0_i2h_bias lstm_l0_h2h_weight lstm_l0_h2h_bias";
    assert_eq!(first.join(" "), wanted);
}

#[test]
fn the_wide_inception_is_as_its_checkpoint_has_it() {
    let (graph, shapes) = inferred(&zoo::by_name("inception-bn-full").unwrap(), 1);
    let shape = |name: &str| {
        let node = graph.nodes.iter().position(|n| n.name == name).unwrap();
        shapes[node][0].dims().to_vec()
    };
    assert_eq!(shape("conv_conv1_weight"), [96, 3, 7, 7]);
    assert_eq!(shape("conv_conv2_weight"), [288, 128, 3, 3]);
    assert_eq!(shape("ch_concat_3c_chconcat"), [1, 240 + 144 + 480, 14, 14]);
    assert_eq!(shape("fc1_weight"), [21_841, 1024]);
}

#[test]
fn sizes_may_be_others() {
    let spec = Spec { num_layers: Some(56), image_shape: Some([1, 32, 32]), ..Spec::new("resnet") };
    let model = spec.build().unwrap();
    assert_eq!((model.name.as_str(), model.data_shape.dims(), model.num_classes), ("resnet-56", &[1, 32, 32][..], 10));
    inferred(&model, 3);
    let spec = Spec { num_classes: Some(7), image_shape: Some([3, 64, 64]), ..Spec::new("squeezenet-1.1") };
    assert_eq!(spec.build().unwrap().num_classes, 7);
    let small = Spec { image_shape: Some([3, 28, 28]), num_classes: Some(10), ..Spec::new("inception-bn") };
    let names = |spec: &Spec| inferred(&spec.build().unwrap(), 1).0.list_arguments().join(" ");
    assert_eq!(names(&small), names(&Spec::new("inception-bn-28-small")));
    let tiny = Spec {
        num_layers: Some(1),
        num_classes: Some(50),
        seq_len: Some(3),
        num_hidden: Some(8),
        num_embed: Some(6),
        ..Spec::new("gru-lm")
    };
    // Embedding; three gates from below and from behind; the words.
    let parameters = 50 * 6 + 24 * 6 + 24 + 24 * 8 + 24 + 50 * 8 + 50;
    assert_eq!(sizes(&tiny).params, parameters);
    for text in ["vgg-16-bn", "mobilenet-v2-0.5", "resnet-v1-101", "inception-bn-28-small", "squeezenet-1.0"] {
        assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
    }
}

#[test]
fn what_there_is_not_is_told_with_what_there_is() {
    let refused = |spec: Result<Model, Error>| spec.unwrap_err().to_string();
    for (name, wanted) in [
        ("nothing", "wanted mlp, lenet, alexnet"),
        ("", "there is no network \"\""),
        ("resnetx", "there is no network"),
        ("resnet", "num_layers is missing: wanted 6n + 2"),
        ("resnet-51", "num_layers is 51: wanted 6n + 2"),
        ("resnet-50-18", "\"18\" after resnet"),
        ("resnet-99999999999999999999", "\"99999999999999999999\" after resnet"),
        ("vgg-12", "wanted 11, 13, 16 or 19"),
        ("lenet-5", "\"5\" after lenet says nothing: wanted nothing"),
        ("mobilenet-0.0", "multiplier is 0, wanted a number from"),
        ("mobilenet-v2-1.0.0", "\"1.0.0\" after mobilenet-v2"),
        ("squeezenet", "squeezenet-1.0, squeezenet-1.1"),
        ("densenet-122", "wanted 121, 161, 169 or 201"),
    ] {
        let told = refused(zoo::by_name(name));
        assert!(told.contains(wanted), "{name}: {told}");
    }
    let told = refused(Spec { num_layers: Some(3), ..Spec::new("lenet") }.build());
    assert!(told.contains("no option num_layers, only num_classes, image_shape"), "{told}");
    let told = refused(Spec { num_classes: Some(0), ..Spec::new("lenet") }.build());
    assert!(told.contains("wanted at least 1"), "{told}");
    let told = refused(Spec { multiplier: Some(f64::NAN), ..Spec::new("mobilenet") }.build());
    assert!(told.contains("multiplier is NaN"), "{told}");
    let told = refused(Spec { seq_len: Some(usize::MAX), ..Spec::new("lstm-lm") }.build());
    assert!(told.contains("wanted a product of at most 100000"), "{told}");
    let told = refused(Spec { num_hidden: Some(usize::MAX), ..Spec::new("lstm-lm") }.build());
    assert!(told.contains("num_hidden is"), "{told}");
}
