//! Plug-ins in C to begin from: the examples, under a name of one's own.

/// A plug-in's source with a name to be replaced.
pub struct Template {
    source: &'static str,
    /// What the operator, iterator or reduction is called in it.
    name: &'static str,
    /// What the plug-in is called in it, also the file's name.
    plugin: &'static str,
}

/// An operator with its gradient.
pub const OPERATOR: Template =
    Template { source: include_str!("../examples/hard_sigmoid.c"), name: "HardSigmoid", plugin: "hard_sigmoid" };
/// A data iterator.
pub const ITERATOR: Template =
    Template { source: include_str!("../examples/ramp_stream.c"), name: "RampStream", plugin: "ramp_stream" };
/// A kvstore reduction.
pub const REDUCTION: Template =
    Template { source: include_str!("../examples/mean_reduction.c"), name: "\"mean\"", plugin: "mean_reduction" };

impl Template {
    /// The source with what it brings called `name`, and the plug-in `plugin`.
    #[must_use]
    pub fn named(&self, name: &str, plugin: &str) -> String {
        let name = if self.name.starts_with('"') { format!("\"{name}\"") } else { name.to_string() };
        let build = Self::build_command(&format!("lib{plugin}.so"));
        let source = self.source.replace(&self.build_line(), &build);
        source.replace(self.name, &name).replace(self.plugin, plugin)
    }

    /// How a plug-in of one's own is built, in a folder with `plugin.c` and the header.
    #[must_use]
    pub fn build_command(file: &str) -> String {
        format!("cc -O2 -shared -fPIC plugin.c -o {file}")
    }

    /// How the example says that it is built.
    fn build_line(&self) -> String {
        let plugin = self.plugin;
        format!("cc -O2 -shared -fPIC -I ops/abi/include ops/abi/examples/{plugin}.c -o lib{plugin}.so")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_example_is_left_in_a_renamed_one() {
        for template in [OPERATOR, ITERATOR, REDUCTION] {
            let source = template.named("Other", "other");
            assert!(template.source.contains(&template.build_line()), "{}", template.plugin);
            assert!(
                source.contains("\"Other\"") && source.contains(" *   cc -O2 -shared -fPIC plugin.c -o libother.so"),
                "{source}"
            );
            [template.name, template.plugin, "ops/abi"]
                .iter()
                .for_each(|word| assert!(!source.contains(word), "{word}"));
        }
    }
}
