//! `[root.NAME]`: places.

use super::Compiler;
use crate::policy::document::{Span, Table};
use crate::vocab::AbsPath;

/// A place, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Root {
    pub(in crate::policy) name: String,
    pub(in crate::policy) written: AbsPath,
    pub(in crate::policy) canonical: AbsPath,
}

/// The places, and the names of all that were written, those that were refused included.
pub(super) struct Roots {
    pub(super) sound: Vec<Root>,
    pub(super) names: Vec<String>,
}

impl Roots {
    /// Whether each root of the file is there.
    pub(super) fn are_sound(&self) -> bool {
        self.sound.len() == self.names.len()
    }
}

impl Compiler<'_> {
    pub(super) fn roots(&self, top: &Table<'_, '_>) -> Roots {
        let mut names = Vec::new();
        let mut roots: Vec<(Root, Span)> = Vec::new();
        for (name, table) in top.tables("root") {
            let path = table.take::<AbsPath>("path");
            table.finish();
            names.push(name.get_ref().clone());
            let Some(path) = path else {
                if table.place("path").is_none() {
                    let message = format!("[{}] has no `path`", table.path);
                    self.notes.error(&table.span, message, "for example path = \"/srv/work\"");
                }
                continue;
            };
            let (span, written) = (path.span(), path.into_inner());
            match self.host.directory(&written) {
                Ok(canonical) => {
                    roots.push((Root { name: name.into_inner(), written, canonical }, span));
                }
                Err(missing) => {
                    let message = format!("[{}]: {missing}", table.path);
                    self.notes.error(&span, message, "create the directory, or name another");
                }
            }
        }
        self.overlaps(&roots);
        Roots { sound: roots.into_iter().map(|(root, _)| root).collect(), names }
    }

    fn overlaps(&self, roots: &[(Root, Span)]) {
        for (index, (inner, span)) in roots.iter().enumerate() {
            if inner.canonical.as_str() == "/" {
                self.notes.warning(
                    span,
                    "this root is the whole file system",
                    "name the directories that are meant",
                );
            }
            for (other, (outer, _)) in roots.iter().enumerate() {
                let within = inner
                    .canonical
                    .beneath(&outer.canonical)
                    .is_some_and(|rest| !rest.is_empty() || index > other);
                if index != other && within && outer.canonical.as_str() != "/" {
                    let message = format!("[root.{}] lies in [root.{}]", inner.name, outer.name);
                    self.notes.warning(span, message, "the inner one decides in a profile that has both");
                }
            }
        }
    }
}
