//! An absolute path without `.`, `..`, doubled slashes or NUL.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// An absolute path in its shortest lexical form: `/srv/work`, never `/srv//work/` or `/srv/x/../work`.
///
/// It says nothing about the file system: symbolic links are the kernel's to follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsPath(String);

/// Why a text is not an absolute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AbsPathError {
    /// It does not start with `/`.
    #[error("the path is not absolute: it must start with `/`")]
    Relative,
    /// It holds a NUL byte, which no path can.
    #[error("the path holds a NUL byte")]
    Nul,
}

impl AbsPath {
    /// Reads an absolute path and shortens it.
    pub fn parse(text: &str) -> Result<Self, AbsPathError> {
        match text {
            _ if text.contains('\0') => Err(AbsPathError::Nul),
            _ if text.starts_with('/') => Ok(Self(shortened("", text))),
            _ => Err(AbsPathError::Relative),
        }
    }

    /// `text` as seen from this directory: itself if absolute, else appended; shortened, never above `/`.
    #[must_use]
    pub fn resolve(&self, text: &str) -> Self {
        if text.starts_with('/') { Self(shortened("", text)) } else { Self(shortened(&self.0, text)) }
    }

    /// What follows `ancestor` in this path (empty for the ancestor itself), compared by whole components.
    pub fn beneath(&self, ancestor: &Self) -> Option<&str> {
        if ancestor.0 == "/" {
            return Some(&self.0[1..]);
        }
        match self.0.strip_prefix(ancestor.0.as_str())? {
            "" => Some(""),
            rest => rest.strip_prefix('/'),
        }
    }

    /// The directory that holds it; `/` holds itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        self.resolve("..")
    }

    /// The last component; empty for `/`.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a path of the standard library.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

fn shortened(base: &str, text: &str) -> String {
    let mut components: Vec<&str> = Vec::new();
    for component in base.split('/').chain(text.split('/')) {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()),
            name => components.push(name),
        }
    }
    format!("/{}", components.join("/"))
}

impl TryFrom<String> for AbsPath {
    type Error = AbsPathError;

    fn try_from(text: String) -> Result<Self, AbsPathError> {
        Self::parse(&text)
    }
}

impl From<AbsPath> for String {
    fn from(path: AbsPath) -> Self {
        path.0
    }
}

impl AsRef<Path> for AbsPath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl fmt::Display for AbsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> AbsPath {
        AbsPath::parse(text).unwrap()
    }

    #[test]
    fn a_path_is_shortened() {
        assert_eq!(path("/srv//work/./a/../b/").as_str(), "/srv/work/b");
        assert_eq!(path("/../..").as_str(), "/");
    }

    #[test]
    fn a_relative_path_is_refused() {
        assert_eq!(AbsPath::parse("srv"), Err(AbsPathError::Relative));
        assert_eq!(AbsPath::parse("/a\0b"), Err(AbsPathError::Nul));
    }

    #[test]
    fn beneath_compares_whole_components() {
        assert_eq!(path("/srv/work/a/b").beneath(&path("/srv/work")), Some("a/b"));
        assert_eq!(path("/srv/work").beneath(&path("/srv/work")), Some(""));
        assert_eq!(path("/srv/work-evil").beneath(&path("/srv/work")), None);
        assert_eq!(path("/srv").beneath(&path("/")), Some("srv"));
    }

    #[test]
    fn a_relative_word_is_seen_from_the_directory() {
        assert_eq!(path("/srv/work").resolve("../x").as_str(), "/srv/x");
        assert_eq!(path("/srv/work").resolve("/etc").as_str(), "/etc");
    }
}
