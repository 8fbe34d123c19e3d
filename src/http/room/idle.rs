//! Connections that serve nobody, and which of them is the least worth keeping.
//!
//! Two groups share what is left: strangers, who never showed a key, and those who did. The larger gives one up, so a
//! stranger only goes once half of all of these came after it, and whoever has a key has that time to show it. Among
//! keys the one with the most gives one up, so a key that renews its connections pays for them itself.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A key's name.
pub(super) type Key = Arc<str>;

/// All of them.
#[derive(Debug)]
pub(super) struct Idle<T> {
    /// Of each key by the time since when, and of strangers.
    queues: HashMap<Option<Key>, BTreeMap<u64, T>>,
    next: u64,
}

/// Where one of them stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The key that it showed last; none of a stranger.
    key: Option<Key>,
    /// A number that grows: since when.
    since: u64,
}

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self { queues: HashMap::new(), next: 0 }
    }
}

impl<T> Idle<T> {
    /// The place of one that is idle from now on, for [`Self::insert`].
    pub(super) fn place(&mut self, key: Option<Key>) -> Place {
        self.next += 1;
        Place { key, since: self.next }
    }

    pub(super) fn insert(&mut self, place: Place, occupant: T) {
        self.queues.entry(place.key).or_default().insert(place.since, occupant);
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<T> {
        let queue = self.queues.get_mut(&place.key)?;
        let removed = queue.remove(&place.since);
        if queue.is_empty() {
            self.queues.remove(&place.key);
        }
        removed
    }

    /// Takes out the one that is least worth keeping: of its group and key the one that is idle the longest.
    pub(super) fn take_least(&mut self) -> Option<T> {
        let least = self.least()?;
        self.remove(&least)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    fn least(&self) -> Option<Place> {
        let strangers = self.queues.get(&None).map_or(0, BTreeMap::len);
        let known = self.queues.values().map(BTreeMap::len).sum::<usize>() - strangers;
        let larger = self.queues.iter().filter(|(key, _)| key.is_none() == (strangers >= known));
        let first = |queue: &BTreeMap<u64, T>| queue.first_key_value().map(|(since, _)| *since);
        let (key, queue) = larger.max_by_key(|(_, queue)| (queue.len(), Reverse(first(queue))))?;
        Some(Place { key: key.clone(), since: first(queue)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is in a room, one letter each: a key, or `-` for a stranger. They came in this order.
    fn idle(who: &str) -> Idle<char> {
        let mut idle = Idle::default();
        who.chars().for_each(|one| _ = come(&mut idle, one));
        idle
    }

    fn come(idle: &mut Idle<char>, one: char) -> Place {
        let place = idle.place((one != '-').then(|| one.to_string().into()));
        idle.insert(place.clone(), one);
        place
    }

    /// Who goes, one after another.
    fn order(mut idle: Idle<char>) -> String {
        std::iter::from_fn(|| idle.take_least()).collect()
    }

    #[test]
    fn the_larger_group_gives_one_up_and_in_it_the_key_with_the_most() {
        assert_eq!(order(idle("")), "");
        assert_eq!(order(idle("---")), "---");
        assert_eq!(order(idle("bcaa")), "abca");
        assert_eq!(order(idle("aaaa-b")), "aaaa-b");
        assert_eq!(order(idle("ab-----")), "----a-b");
    }

    /// How many come into a full room after somebody who has shown no key yet, until that one goes: strangers who
    /// stay so, or such as show this key at once. A thousand is as good as no end.
    fn outlasted(mut idle: Idle<char>, later: char) -> usize {
        let newcomer = idle.place(None);
        idle.insert(newcomer.clone(), '?');
        let stays = |_: &usize| {
            let stays = idle.least().as_ref() != Some(&newcomer);
            idle.take_least();
            come(&mut idle, later);
            stays
        };
        (0..1000).take_while(stays).count()
    }

    #[test]
    fn a_newcomer_outlasts_half_of_the_room_whoever_fills_it() {
        let crowd = |who: &str| idle(&who.repeat(31 / who.len()));
        assert_eq!(outlasted(crowd("-"), '-'), 31);
        assert_eq!(outlasted(crowd("a"), '-'), 15);
        assert_eq!(outlasted(crowd("a"), 'a'), 1000);
        assert_eq!(outlasted(crowd("-"), 'a'), 1000);
        assert_eq!(outlasted(idle(&('A'..='_').collect::<String>()), '-'), 15, "31 keys with one each");
    }

    #[test]
    fn a_key_has_no_more_than_the_others_when_they_are_many() {
        let mut idle = idle(&("bb".to_owned() + &"a".repeat(30)));
        for _ in 0..1000 {
            idle.take_least();
            come(&mut idle, 'a');
        }
        assert_eq!(order(idle).matches('b').count(), 2);
    }
}
