//! Rust values as attribute texts.

use varflow_ops::{DType, Shape, Value};

/// A value that can be given to an attribute. The texts are those of symbol JSON: `20`, `(3, 3)`, `True`, `float32`.
pub trait AttrText {
    /// The text.
    fn attr_text(&self) -> String;
}

macro_rules! by_display {
    ($($t:ty),*) => { $(impl AttrText for $t {
        fn attr_text(&self) -> String {
            self.to_string()
        }
    })* };
}
by_display!(i32, i64, u32, u64, usize, f32, f64, str, String, DType, Shape, Value);

impl AttrText for bool {
    fn attr_text(&self) -> String {
        Value::Bool(*self).to_string()
    }
}

impl<T: AttrText + ?Sized> AttrText for &T {
    fn attr_text(&self) -> String {
        (**self).attr_text()
    }
}

impl<T: AttrText> AttrText for [T] {
    fn attr_text(&self) -> String {
        let items: Vec<_> = self.iter().map(AttrText::attr_text).collect();
        format!("({}{})", items.join(", "), if items.len() == 1 { "," } else { "" })
    }
}

impl<T: AttrText, const N: usize> AttrText for [T; N] {
    fn attr_text(&self) -> String {
        self[..].attr_text()
    }
}

impl<T: AttrText> AttrText for Vec<T> {
    fn attr_text(&self) -> String {
        self[..].attr_text()
    }
}
