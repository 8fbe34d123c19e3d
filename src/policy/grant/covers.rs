//! Whether one grant allows all that another did: what decides if a key was narrowed.
//!
//! It compares what is written, not every call that there could be: a rule that says the same in other words counts
//! as narrower.

use super::{Grant, RootGrant};
use crate::policy::document::{Mode, Rate};
use crate::vocab::AbsPath;

impl Grant {
    /// Whether the bearer of `earlier` loses nothing by having this in its place.
    pub(in crate::policy) fn covers(&self, earlier: &Self) -> bool {
        earlier.tools.is_subset(&self.tools)
            && self.rules_cover(earlier)
            && roots_cover(&self.roots, &earlier.roots)
            && self.limits.cover(earlier.limits)
            && rate_covers(self.rate, earlier.rate)
    }

    fn rules_cover(&self, earlier: &Self) -> bool {
        earlier.rules.iter().all(|was| {
            let limits = was.limits.over(earlier.limits);
            self.rules.iter().any(|is| is.covers(was) && is.limits.over(self.limits).cover(limits))
        })
    }
}

/// A root within another decides for what lies beneath it, so that each place that either names is looked at in both.
fn roots_cover(roots: &[RootGrant], earlier: &[RootGrant]) -> bool {
    let mut places = roots.iter().chain(earlier).map(|root| &root.canonical);
    places.all(|place| mode_at(roots, place) >= mode_at(earlier, place))
}

fn mode_at(roots: &[RootGrant], place: &AbsPath) -> Option<Mode> {
    let around = roots.iter().filter(|root| place.beneath(&root.canonical).is_some());
    around.max_by_key(|root| root.canonical.as_str().len()).map(|root| root.mode)
}

fn rate_covers(rate: Option<Rate>, earlier: Option<Rate>) -> bool {
    let per_second = |rate: Rate| f64::from(rate.calls) / rate.per.as_secs_f64();
    match (rate, earlier) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(rate), Some(earlier)) => rate.calls >= earlier.calls && per_second(rate) >= per_second(earlier),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::testing::policy;

    /// A policy with one profile, in which one text stands in place of another.
    fn covers(from: &str, to: &str) -> bool {
        let tables = "[server]\nuser = \"kernos\"\nrun_as = \"kernos-run\"\nsandbox = \"best-effort\"\n[root.work]\npath = \"/srv/work\"\n\
            [root.inner]\npath = \"/srv/work/inner\"\n[command.cat]\noperands = \"path\"\nflags = [\"-n\", \"-s=int\"]\n\
            [command.ls]\n[profile.dev]\ntools = [\"shell_execute\"]\ncommands = [\"cat\", \"ls\"]\n\
            roots = { work = \"rw\" }\nrate = \"60/min\"\nlimits = { timeout = \"30s\" }\n\
            [key.alice]\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\
            profile = \"dev\"\n";
        assert!(tables.contains(from), "{from}");
        let grant = |text: &str| policy(text).profiles()[0].clone();
        grant(&tables.replace(from, to)).covers(&grant(tables))
    }

    #[test]
    fn the_same_in_another_place_covers() {
        assert!(covers("[root.work]", "# a comment moves every line\n\n[root.work]"));
    }

    #[test]
    fn more_covers() {
        for (from, to) in [
            ("[\"cat\", \"ls\"]", "[\"ls\", \"head\", \"cat\"]"),
            ("work = \"rw\"", "work = \"rwx\""),
            ("60/min", "120/min"),
            ("rate = \"60/min\"\n", ""),
            ("\"30s\"", "\"60s\""),
            ("\"-n\",", "\"-n\", \"-b\","),
            ("operands = \"path\"\n", ""),
            ("-s=int", "-s=text"),
            ("-s=int", "-s=secret"),
        ] {
            assert!(covers(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn less_in_any_respect_does_not() {
        for (from, to) in [
            ("[\"cat\", \"ls\"]", "[\"cat\"]"),
            ("[\"shell_execute\"]", "[]"),
            ("work = \"rw\"", "work = \"ro\""),
            ("work = \"rw\"", "inner = \"rw\""),
            ("work = \"rw\"", "work = \"rw\", inner = \"ro\""),
            ("60/min", "59/min"),
            ("60/min", "60/h"),
            ("\"30s\"", "\"29s\""),
            ("\"-n\",", ""),
            ("operands = \"path\"", "operands = \"path:rw\""),
            ("-s=int", "-s=1|2"),
            ("[command.ls]", "[command.ls]\nlimits = { output = \"1KiB\" }"),
        ] {
            assert!(!covers(from, to), "{from} -> {to}");
        }
    }
}
