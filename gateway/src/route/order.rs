//! Which of several targets comes first. Pure: how they fare and one random number
//! are given.
//!
//! A session's calls should meet the same target again, whose prompt cache is warm.
//! So a weighted draw takes its randomness from session and target (rendezvous
//! hashing): a target that comes or goes moves no other's sessions.

use fastrand::Rng;

use crate::config::Pick;

/// What a draw sees of one target.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// Tells it from the others, in every snapshot.
    pub identity: u64,
    /// The least come first, and the others where all of those fail.
    pub priority: u32,
    /// Its share; with 0 it comes after all of its priority that have one, as it is written.
    pub weight: u32,
    /// How it fares.
    pub standing: Standing,
}

/// How a target fares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Calls that it is answering.
    pub busy: u32,
    /// Time to its first byte, the latest peak decaying, in ms; 0 if unknown.
    pub latency_ms: f64,
    /// It is left alone for a while.
    pub is_cooling: bool,
}

impl Standing {
    /// Of a target with several keys: it is as well off as the best of them.
    pub fn of_all(keys: impl IntoIterator<Item = Self>) -> Self {
        let both = |a: Self, b: Self| Self {
            busy: a.busy + b.busy,
            latency_ms: a.latency_ms.min(b.latency_ms),
            is_cooling: a.is_cooling && b.is_cooling,
        };
        keys.into_iter().reduce(both).unwrap_or_default()
    }
}

/// The order of `entrants` by priority, and among equals as `pick` has it, as positions;
/// `session` is drawn to one of each priority, if there is one.
pub fn order(pick: Pick, entrants: &[Entrant], session: Option<u64>, seed: u64) -> Vec<usize> {
    let mut rng = Rng::with_seed(seed);
    let mut order: Vec<usize> = (0..entrants.len()).collect();
    let priority = |i: &usize| entrants[*i].priority;
    order.sort_by_key(priority);
    for equals in order.chunk_by_mut(|a, b| priority(a) == priority(b)) {
        arrange(equals, pick, entrants, session, &mut rng);
    }
    order
}

fn arrange(
    order: &mut [usize],
    pick: Pick,
    entrants: &[Entrant],
    session: Option<u64>,
    rng: &mut Rng,
) {
    match pick {
        Pick::Ordered => return,
        Pick::Weighted => sort_by(order, |i| draw(&entrants[i], session, rng)),
        Pick::LeastBusy => {
            rng.shuffle(order);
            sort_by(order, |i| busy(&entrants[i]));
        }
        Pick::Latency => {
            rng.shuffle(order);
            // Power of two choices: the better of two at random comes first, so that
            // not everybody rushes to the one that was best a moment ago.
            if order.len() > 1 && cost(&entrants[order[1]]) < cost(&entrants[order[0]]) {
                order.swap(0, 1);
            }
            if let Some((_, rest)) = order.split_first_mut() {
                sort_by(rest, |i| cost(&entrants[i]));
            }
        }
    }
    if session.is_some() && pick != Pick::Weighted {
        let sharing = order.iter().filter(|i| entrants[**i].weight > 0);
        let preferred = sharing.copied().min_by(|a, b| {
            let draw = |i: &usize| draw(&entrants[*i], session, &mut Rng::with_seed(0));
            draw(a).total_cmp(&draw(b))
        });
        order.sort_by_key(|i| Some(*i) != preferred);
    }
    // Spares keep their own order among themselves.
    order.sort_by_key(|i| match entrants[*i].weight {
        0 => i + 1,
        _ => 0,
    });
}

/// Turns of `count` alike: `turn` says which one is first.
pub fn rotated(count: usize, turn: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| (i + turn % count.max(1)) % count)
}

fn sort_by(order: &mut [usize], mut key: impl FnMut(usize) -> f64) {
    order.sort_by_cached_key(|i| Sortable(key(*i)));
}

/// A number to sort by; none of ours is NaN.
#[derive(PartialEq)]
struct Sortable(f64);

impl Eq for Sortable {}

impl PartialOrd for Sortable {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sortable {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The smallest of these is first with a probability in proportion to its weight:
/// exponential variables with the weights as rates.
fn draw(entrant: &Entrant, session: Option<u64>, rng: &mut Rng) -> f64 {
    let uniform = match session {
        Some(session) => Rng::with_seed(session ^ entrant.identity.rotate_left(32)).f64(),
        None => rng.f64(),
    };
    // In (0, 1], whose logarithm is finite.
    -(1.0 - uniform).ln() / share(entrant)
}

fn busy(entrant: &Entrant) -> f64 {
    f64::from(entrant.standing.busy) / share(entrant)
}

/// Expected wait: the latency, once for each call that is there already.
fn cost(entrant: &Entrant) -> f64 {
    entrant.standing.latency_ms * f64::from(entrant.standing.busy + 1) / share(entrant)
}

fn share(entrant: &Entrant) -> f64 {
    f64::from(entrant.weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entrants(of: &[(u32, u32, f64)]) -> Vec<Entrant> {
        let entrant = |(i, (weight, busy, latency_ms)): (usize, &(u32, u32, f64))| Entrant {
            identity: (i as u64 + 1) * 0x9e37_79b9,
            priority: 1,
            weight: *weight,
            standing: Standing {
                busy: *busy,
                latency_ms: *latency_ms,
                is_cooling: false,
            },
        };
        of.iter().enumerate().map(entrant).collect()
    }

    /// How often of 1000 each of `of` comes first, in percent.
    fn firsts(pick: Pick, of: &[(u32, u32, f64)]) -> Vec<u32> {
        let entrants = entrants(of);
        let mut counts = vec![0; of.len()];
        for seed in 0..1000 {
            let order = order(pick, &entrants, None, seed);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..of.len()).collect::<Vec<_>>(), "each once");
            counts[order[0]] += 1;
        }
        counts.iter().map(|count| count / 10).collect()
    }

    #[track_caller]
    fn check(pick: Pick, of: &[(u32, u32, f64)], expected: &[u32]) {
        let got = firsts(pick, of);
        let near = got.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 5);
        assert!(near, "{pick:?} {of:?}: {got:?}, expected {expected:?}");
    }

    #[test]
    fn each_pick_has_its_order() {
        check(Pick::Ordered, &[(1, 9, 9.0), (9, 0, 0.0)], &[100, 0]);
        check(Pick::Weighted, &[(1, 0, 0.0), (3, 0, 0.0)], &[25, 75]);
        check(
            Pick::Weighted,
            &[(2, 9, 9.0), (1, 0, 0.0), (1, 0, 0.0)],
            &[50, 25, 25],
        );
        check(Pick::LeastBusy, &[(1, 2, 0.0), (1, 1, 0.0)], &[0, 100]);
        check(Pick::LeastBusy, &[(3, 2, 0.0), (1, 1, 0.0)], &[100, 0]);
        check(Pick::LeastBusy, &[(1, 1, 0.0), (1, 1, 0.0)], &[50, 50]);
        // The slowest of three is only ever the worse of two.
        check(
            Pick::Latency,
            &[(1, 0, 9.0), (1, 0, 5.0), (1, 0, 7.0)],
            &[0, 67, 33],
        );
        check(Pick::Latency, &[(1, 3, 5.0), (1, 0, 9.0)], &[0, 100]);
        check(Pick::Latency, &[(1, 0, 0.0), (1, 0, 9.0)], &[100, 0]);
        check(Pick::Latency, &[(1, 0, 1.0)], &[100]);
        // A spare is first only where there is nothing else.
        for pick in [Pick::Weighted, Pick::LeastBusy, Pick::Latency] {
            check(pick, &[(0, 0, 1.0), (1, 9, 9.0)], &[0, 100]);
            check(pick, &[(0, 9, 9.0), (0, 0, 1.0)], &[100, 0]);
        }
        assert!(order(Pick::Latency, &[], Some(1), 0).is_empty());
    }

    #[test]
    fn a_session_stays_and_others_move_no_session() {
        let all = entrants(&[(1, 0, 1.0), (1, 0, 1.0), (2, 0, 1.0)]);
        let first = |of: &[Entrant], pick, session| {
            of[order(pick, of, Some(session), session.wrapping_mul(31))[0]].identity
        };
        let mut at_last = 0;
        for session in 0..1000_u64 {
            let session = session.wrapping_mul(0x2545_f491_4f6c_dd1d);
            let home = first(&all, Pick::Weighted, session);
            for pick in [Pick::LeastBusy, Pick::Latency] {
                assert_eq!(first(&all, pick, session), home);
            }
            if home == all[2].identity {
                at_last += 1;
            } else {
                assert_eq!(first(&all[..2], Pick::Weighted, session), home);
            }
        }
        assert!((450..550).contains(&at_last), "{at_last} of 1000");
    }

    #[test]
    fn spares_come_last_as_they_are_written() {
        let entrants = entrants(&[(0, 0, 1.0), (1, 5, 9.0), (0, 0, 0.0), (3, 5, 9.0)]);
        for pick in [Pick::Weighted, Pick::LeastBusy, Pick::Latency] {
            for session in [None, Some(7), Some(99)] {
                let order = order(pick, &entrants, session, 3);
                assert_eq!(order[2..], [0, 2], "{pick:?} {session:?}");
            }
        }
    }

    #[test]
    fn priorities_come_before_everything_else() {
        let mut entrants = entrants(&[(9, 0, 0.0), (1, 5, 9.0), (9, 0, 0.0), (0, 0, 1.0)]);
        for (entrant, priority) in entrants.iter_mut().zip([2, 1, 2, 1]) {
            entrant.priority = priority;
        }
        for pick in [Pick::Weighted, Pick::LeastBusy, Pick::Latency] {
            let last = |seed| order(pick, &entrants, None, seed)[3];
            assert!((0..99).any(|seed| last(seed) == 0), "{pick:?}");
            assert!((0..99).any(|seed| last(seed) == 2), "{pick:?}");
            for session in [None, Some(7), Some(99)] {
                let order = order(pick, &entrants, session, 3);
                assert_eq!(order[..2], [1, 3], "{pick:?} {session:?}");
            }
            let of_session = |seed| order(pick, &entrants, Some(7), seed)[2];
            assert!((0..99).all(|seed| of_session(seed) == of_session(0)));
        }
        assert_eq!(order(Pick::Ordered, &entrants, None, 0), [1, 3, 0, 2]);
    }

    #[test]
    fn turns_go_round() {
        let turns = |count, turn| rotated(count, turn).collect::<Vec<_>>();
        assert_eq!(turns(3, 0), [0, 1, 2]);
        assert_eq!(turns(3, 4), [1, 2, 0]);
        assert_eq!(turns(1, 7), [0]);
        assert_eq!(turns(0, 7), Vec::<usize>::new());
    }
}
