//! An error and its causes on one line.

use std::error::Error;
use std::fmt;

/// Prints an error and every source behind it, joined by `: `.
///
/// No error of this crate prints its own source, so that the chain is printed once, at the top.
#[derive(Debug)]
pub struct Chain<'e>(pub &'e dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the policy cannot be read")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn every_cause_is_printed_once() {
        assert_eq!(
            Chain(&Outer(fmt::Error)).to_string(),
            format!("the policy cannot be read: {}", fmt::Error)
        );
    }
}
