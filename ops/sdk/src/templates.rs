//! Plug-ins in Rust to begin from: the examples, under a name of one's own.

/// A plug-in's source with a name to be replaced.
pub struct Template {
    source: &'static str,
    /// What the type is called in it.
    type_name: &'static str,
    /// What the operator, iterator or reduction is called in it: a string literal.
    name: &'static str,
    /// What the plug-in is called in it: a string literal.
    plugin: &'static str,
}

/// An operator with its gradient.
pub const OPERATOR: Template = Template {
    source: include_str!("../examples/swish.rs"),
    type_name: "Swish",
    name: "\"Swish\"",
    plugin: "\"swish\"",
};
/// A data iterator.
pub const ITERATOR: Template = Template {
    source: include_str!("../examples/synthetic_stream.rs"),
    type_name: "SyntheticStream",
    name: "\"SyntheticStream\"",
    plugin: "\"synthetic_stream\"",
};
/// A kvstore reduction.
pub const REDUCTION: Template = Template {
    source: include_str!("../examples/mean_reduction.rs"),
    type_name: "Mean",
    name: "\"mean\"",
    plugin: "\"mean_reduction\"",
};

impl Template {
    /// The source with what it brings called `name`, its type `type_name` and the plug-in `plugin`.
    #[must_use]
    pub fn named(&self, name: &str, type_name: &str, plugin: &str) -> String {
        let source = self.source.replace(self.name, &format!("\"{name}\""));
        let source = source.replace(self.plugin, &format!("\"{plugin}\""));
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let mut out = String::new();
        let mut rest = source.as_str();
        while let Some(at) = rest.find(self.type_name) {
            let (before, after) = (&rest[..at], &rest[at + self.type_name.len()..]);
            let stands_alone = !is_word(before.chars().next_back()) && !is_word(after.chars().next());
            let is_quoted = before.ends_with('"');
            out.push_str(before);
            out.push_str(if stands_alone && !is_quoted { type_name } else { self.type_name });
            rest = after;
        }
        out + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_example_has_the_new_names() {
        for template in [OPERATOR, ITERATOR, REDUCTION] {
            let source = template.named("my_own", "MyOwn", "other");
            assert!(source.contains("const NAME: &'static str = \"my_own\""), "{source}");
            assert!(source.contains("name: \"other\"") && source.contains(": [MyOwn]"), "{source}");
            [template.name, template.plugin].iter().for_each(|word| assert!(!source.contains(word), "{word}"));
            assert!(!source.contains(&format!("for {} ", template.type_name)), "{source}");
        }
    }

    #[test]
    fn only_whole_words_are_renamed() {
        let source = REDUCTION.named("m", "M", "m");
        assert!(source.contains("for (i, mean)") && source.contains("struct M;"), "{source}");
    }
}
