//! A file as a tree with lines, whatever its format. Texts are wiped on drop: they may be secrets.

use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// A value and the line it begins on (TOML only).
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) line: Option<usize>,
    pub(crate) value: Tree,
}

#[derive(Clone)]
pub(crate) enum Tree {
    Null,
    Text(Zeroizing<String>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or the like, which no key takes.
    Other,
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order they are written.
pub(crate) type Table = Vec<(String, Node)>;

/// Of what is written, wherever it stands.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.value).hash(state);
        match &self.value {
            Tree::Null | Tree::Other => {}
            Tree::Text(text) => text.as_str().hash(state),
            Tree::Integer(number) => number.hash(state),
            Tree::Float(number) => number.to_bits().hash(state),
            Tree::Boolean(value) => value.hash(state),
            Tree::List(items) => items.hash(state),
            Tree::Table(table) => table.hash(state),
        }
    }
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Tree::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self.value {
            #[expect(clippy::cast_precision_loss, reason = "seconds; far below 2^52")]
            Tree::Integer(number) => Some(number as f64),
            Tree::Float(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Tree::Table(table) => Some(table),
            _ => None,
        }
    }
}
