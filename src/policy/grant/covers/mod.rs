//! Whether one grant allows all that another did: what decides if a key was narrowed.
//!
//! It compares what is written, not every call that there could be: a rule that says the same in other words counts
//! as narrower. What it says is covered, is; the property in its tests tries that with calls.

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use super::{Grant, RootGrant};
use crate::policy::document::{Mode, Rate};
use crate::policy::limits::Limits;
use crate::policy::rule::{Kind, Rule, View};
use crate::vocab::AbsPath;

impl Grant {
    /// Whether the bearer of `earlier` loses nothing by having this in its place.
    pub(in crate::policy) fn covers(&self, earlier: &Self) -> bool {
        earlier.tools.is_subset(&self.tools)
            && self.rules_cover(earlier)
            && roots_cover(&self.roots, &earlier.roots)
            && self.limits.cover(earlier.limits)
            && rate_covers(self.rate, earlier.rate)
            && self.variables().eq(earlier.variables())
            && self.umask & !earlier.umask == 0
    }

    fn rules_cover(&self, earlier: &Self) -> bool {
        let company = earlier.most_of_a_rule();
        let mut named: HashMap<&str, Vec<&Rule>> = HashMap::new();
        for rule in self.rules() {
            named.entry(rule.name()).or_default().push(rule);
        }
        earlier.rules.iter().enumerate().all(|(at, was)| {
            let rules = named.get(was.name()).map(Vec::as_slice).unwrap_or_default();
            // A program that the host lacked nobody could call.
            was.program.is_err() || self.covers_rule(rules, earlier, at, company)
        })
    }

    /// Whether these rules, which are all for its name, allow what the earlier one at this index did.
    ///
    /// Of several rules for one name the first that allows a call decides what it reaches, so that one that stands
    /// before the one that covers must either reach as far, or have had its calls before.
    fn covers_rule(&self, rules: &[&Rule], earlier: &Self, at: usize, company: Limits) -> bool {
        let was = &earlier.rules[at];
        let limits = was.limits.over(earlier.limits);
        for is in rules {
            let is_as_free = is.limits.over(self.limits).cover(limits)
                && is.limits.leave(was.limits, company)
                && is.reaches_as_far_as(was);
            if is_as_free && is.allows_all_of(was) {
                return true;
            }
            // More roots would make more calls its own.
            let is_unmoved = self.roots == earlier.roots || !is.kinds().any(Kind::is_of_paths);
            let had_them = is_unmoved && earlier.rules[..at].iter().any(|before| before.allows_all_of(is));
            if !is_as_free && !had_them {
                return false;
            }
        }
        false
    }

    /// The most that any of its commands may have: what another has that shares a line with it.
    fn most_of_a_rule(&self) -> Limits {
        self.rules().fold(self.limits, |most, rule| most.or_more(rule.limits.over(self.limits)))
    }

    /// What is set for every command, but for what follows from the roots. Whether another variable means more or less
    /// nobody can tell, so that any difference counts.
    fn variables(&self) -> impl Iterator<Item = &(String, String)> {
        let mut variables: Vec<_> = self.environment.iter().collect();
        variables.retain(|(name, _)| name != "HOME" && name != "TMPDIR");
        variables.sort();
        variables.into_iter()
    }
}

/// A root within another decides for what lies beneath it, so that each place that either names is looked at in both.
fn roots_cover(roots: &[RootGrant], earlier: &[RootGrant]) -> bool {
    let mut places = roots.iter().chain(earlier).flat_map(|root| [&root.written, &root.canonical]);
    places.all(|place| mode_at(roots, place) >= mode_at(earlier, place))
}

fn mode_at(roots: &[RootGrant], place: &AbsPath) -> Option<Mode> {
    let view = View { roots, directory: place.clone() };
    view.locate(place.as_str(), Mode::Read).map(|found| found.mode).ok()
}

fn rate_covers(rate: Option<Rate>, earlier: Option<Rate>) -> bool {
    let per_second = |rate: Rate| f64::from(rate.calls) / rate.per.as_secs_f64();
    match (rate, earlier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(rate), Some(earlier)) => rate.calls >= earlier.calls && per_second(rate) >= per_second(earlier),
    }
}
