//! A file as a tree with lines, whatever its format. Texts are wiped on drop: they may be secrets.

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
