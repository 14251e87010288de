//! The table of consent, written again by hand, and what two parties can make of it.

use super::*;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;

const DAY: u64 = 86_400;
const NOW: UnixTime = UnixTime(100 * DAY);
/// Long enough ago to be over.
const LONG_AGO: UnixTime = UnixTime(69 * DAY);
/// When the halves of the table were set.
const BEFORE: UnixTime = UnixTime(80 * DAY);

const LOW: Party = Party::Account(Cid(1));
const HIGH: Party = Party::Account(Cid(2));

const ACTS: [&str; 6] = ["ask", "accept", "decline", "remove", "block", "unblock"];

fn act(number: usize) -> Act {
    match ACTS[number] {
        "ask" => Act::Ask(b"new ask".to_vec()),
        "accept" => Act::Accept(b"new acceptance".to_vec()),
        "decline" => Act::Decline,
        "remove" => Act::Remove,
        "block" => Act::Block,
        _ => Act::Unblock,
    }
}

/// A half: . silent, a asked, y accepted, n declined, b silent and blocks.
fn half(letter: char, at: UnixTime) -> Half {
    let (stance, statement): (_, &[u8]) = match letter {
        'a' => (Stance::Asked, b"old ask"),
        'y' => (Stance::Accepted, b"old acceptance"),
        'n' => (Stance::Declined, b""),
        _ => (Stance::Silent, b""),
    };
    Half { stance, at, statement: statement.to_vec(), blocks: letter == 'b' }
}

const LETTERS: [char; 5] = ['.', 'a', 'y', 'n', 'b'];

fn letter(half: &Half) -> char {
    match (half.stance, half.blocks) {
        (Stance::Silent, true) => 'b',
        (Stance::Silent, false) => '.',
        (Stance::Asked, false) => 'a',
        (Stance::Accepted, false) => 'y',
        (Stance::Declined, false) => 'n',
        (_, true) => '?',
    }
}

/// The pair of `LOW` and `HIGH`.
fn pair(mine: char, theirs: char) -> Pair {
    Pair { lower: half(mine, BEFORE), upper: half(theirs, BEFORE) }
}

fn mirror(pair: &Pair) -> Pair {
    Pair { lower: pair.upper.clone(), upper: pair.lower.clone() }
}

/// Own half and the other's; what each act of the own party makes of both, or why it does not (P they are peers, N no request,
/// B blocked); what the own party is shown (- nothing, > asked by you, < asked by them, x declined by them, = peers).
const TABLE: [(&str, [&str; 6], char); 25] = [
    //      ask   accept decline remove block unblock
    ("..", ["a.", "!N", "!N", "..", "b.", ".."], '-'),
    (".a", ["aa", "ya", "n.", "..", "ba", ".a"], '<'),
    (".y", ["a.", "!N", "!N", "..", "b.", ".y"], '-'),
    (".n", ["a.", "!N", "!N", "..", "b.", ".n"], 'x'),
    (".b", ["ab", "!N", "!N", ".b", "bb", ".b"], '-'),
    ("a.", ["a.", "!N", "!N", "..", "b.", "a."], '>'),
    ("aa", ["aa", "ya", "n.", "..", "ba", "aa"], '<'),
    ("ay", ["!P", "ay", "!P", "..", "b.", "ay"], '='),
    ("an", ["a.", "!N", "!N", "..", "b.", "an"], 'x'),
    ("ab", ["ab", "!N", "!N", ".b", "bb", "ab"], '>'),
    ("y.", ["a.", "!N", "!N", "..", "b.", "y."], '-'),
    ("ya", ["!P", "ya", "!P", "..", "b.", "ya"], '='),
    ("yy", ["!P", "yy", "!P", "..", "b.", "yy"], '='),
    ("yn", ["a.", "!N", "!N", "..", "b.", "yn"], 'x'),
    ("yb", ["ab", "!N", "!N", ".b", "bb", "yb"], '-'),
    ("n.", ["a.", "!N", "!N", "..", "b.", "n."], '-'),
    ("na", ["aa", "ya", "n.", "..", "ba", "na"], '<'),
    ("ny", ["a.", "!N", "!N", "..", "b.", "ny"], '-'),
    ("nn", ["a.", "!N", "!N", "..", "b.", "nn"], 'x'),
    ("nb", ["ab", "!N", "!N", ".b", "bb", "nb"], '-'),
    ("b.", ["!B", "!B", "!B", "b.", "b.", ".."], '-'),
    ("ba", ["!B", "!B", "!B", "ba", "ba", ".a"], '-'),
    ("by", ["!B", "!B", "!B", "by", "by", ".y"], '-'),
    ("bn", ["!B", "!B", "!B", "bn", "bn", ".n"], '-'),
    ("bb", ["!B", "!B", "!B", "bb", "bb", ".b"], '-'),
];

/// The rows of pairs that two parties can come to, seen from either side.
const REACHABLE: [&str; 13] = ["..", ".a", ".n", ".b", "a.", "aa", "ay", "ab", "ya", "n.", "b.", "ba", "bb"];

fn halves_of(row: &str) -> (char, char) {
    let mut letters = row.chars();
    (letters.next().unwrap(), letters.next().unwrap())
}

fn refusal(cell: &str) -> Option<ConsentError> {
    match cell {
        "!P" => Some(ConsentError::AlreadyPeers),
        "!N" => Some(ConsentError::NoRequest),
        "!B" => Some(ConsentError::Blocked),
        _ => None,
    }
}

fn shown_letter(shown: &Shown) -> char {
    match shown {
        Shown::None => '-',
        Shown::AskedByYou => '>',
        Shown::AskedByThem { .. } => '<',
        Shown::DeclinedByThem => 'x',
        Shown::Peers { .. } => '=',
    }
}

#[test]
fn every_act_on_every_pair_does_what_the_table_says() {
    let rows = LETTERS.iter().flat_map(|mine| LETTERS.map(|theirs| format!("{mine}{theirs}")));
    assert!(rows.eq(TABLE.map(|(row, ..)| row.to_owned())), "the table has every pair once");
    for (row, cells, shown) in TABLE {
        let (mine, theirs) = halves_of(row);
        let before = pair(mine, theirs);
        for (number, cell) in cells.into_iter().enumerate() {
            let at = format!("{row}: {}", ACTS[number]);
            let after = apply(&before, LOW, HIGH, act(number), NOW);
            let after = match (after, refusal(cell)) {
                (Err(error), expected) => {
                    assert_eq!(Some(error), expected, "{at}");
                    continue;
                }
                (Ok(after), None) => after,
                (after, expected) => panic!("{at}: {after:?} instead of {expected:?}"),
            };
            assert_eq!(format!("{}{}", letter(&after.lower), letter(&after.upper)), cell, "{at}");
            says_what_it_should(&before, &after, number, &at);
        }
        assert_eq!(shown_letter(&before.shown_to(LOW, HIGH, NOW)), shown, "{row}");
    }
}

/// The statement of who acted is the new one; what else did not change stays, and what is silent has none.
fn says_what_it_should(before: &Pair, after: &Pair, number: usize, at: &str) {
    let is_said = number < 2 && !before.is_agreed();
    let new: &[u8] = if number == 0 { b"new ask" } else { b"new acceptance" };
    if is_said {
        assert_eq!((after.lower.statement.as_slice(), after.lower.at), (new, NOW), "{at}");
    }
    for (is_own, before, after) in [(true, &before.lower, &after.lower), (false, &before.upper, &after.upper)]
    {
        if letter(before) == letter(after) && !(is_own && is_said) && !(is_own && ACTS[number] == "decline") {
            assert_eq!(before, after, "{at}");
        }
        if after.stance == Stance::Silent {
            assert_eq!(after.statement, b"", "{at}");
        }
    }
}

#[test]
fn statements_are_shown_to_the_one_whom_they_concern() {
    let old = |text: &[u8]| text.to_vec();
    let peers = pair('y', 'a');
    let [mine, theirs] = [old(b"old acceptance"), old(b"old ask")];
    assert_eq!(peers.shown_to(LOW, HIGH, NOW), Shown::Peers { mine: mine.clone(), theirs: theirs.clone() });
    assert_eq!(peers.shown_to(HIGH, LOW, NOW), Shown::Peers { mine: theirs, theirs: mine });
    let asked = Shown::AskedByThem { statement: old(b"old ask") };
    assert_eq!(pair('.', 'a').shown_to(LOW, HIGH, NOW), asked);
    assert_eq!(pair('a', '.').shown_to(HIGH, LOW, NOW), asked);
}

#[test]
fn what_is_over_is_as_if_it_had_not_been_said() {
    let now_silent = |pair: &Pair| {
        let mut pair = pair.clone();
        for half in [&mut pair.lower, &mut pair.upper] {
            if matches!(half.stance, Stance::Asked | Stance::Declined) && half.at == LONG_AGO {
                *half = Half { at: NOW, ..Half::default() };
            }
        }
        pair
    };
    let mut over = 0;
    for (mine, theirs) in LETTERS.iter().flat_map(|mine| LETTERS.map(|theirs| (*mine, theirs))) {
        for (lower, upper) in [(LONG_AGO, LONG_AGO), (LONG_AGO, BEFORE), (BEFORE, LONG_AGO)] {
            let old = Pair { lower: half(mine, lower), upper: half(theirs, upper) };
            let silent = if old.is_agreed() { old.clone() } else { now_silent(&old) };
            let mut lapsed = old.clone();
            assert_eq!(lapsed.lapse(NOW), silent != old, "{mine}{theirs}");
            assert_eq!(lapsed, silent, "{mine}{theirs}");
            over += usize::from(silent != old);
            assert_eq!(old.shown_to(LOW, HIGH, NOW), silent.shown_to(LOW, HIGH, NOW), "{mine}{theirs}");
            for (number, name) in ACTS.iter().enumerate() {
                let results = [&old, &silent].map(|pair| apply(pair, LOW, HIGH, act(number), NOW));
                assert_eq!(results[0], results[1], "{mine}{theirs}: {name}");
            }
        }
    }
    assert_eq!(over, 32, "pairs of which something was over");
}

#[test]
fn an_ask_waits_for_thirty_days_and_no_longer() {
    let asked = apply(&Pair::default(), LOW, HIGH, act(0), UnixTime(1_000)).unwrap();
    let (last, after) = (UnixTime(1_000 + 30 * DAY), UnixTime(1_001 + 30 * DAY));
    assert_eq!(shown_letter(&asked.shown_to(HIGH, LOW, last)), '<');
    assert!(apply(&asked, HIGH, LOW, act(1), last).unwrap().is_agreed());
    assert_eq!(asked.shown_to(HIGH, LOW, after), Shown::None);
    assert_eq!(asked.shown_to(LOW, HIGH, after), Shown::None);
    assert_eq!(apply(&asked, HIGH, LOW, act(1), after), Err(ConsentError::NoRequest));
    let mut lapsed = asked;
    assert!(lapsed.lapse(after) && lapsed.is_nothing());
    // A clock that was set back does not make it old.
    let asked = apply(&Pair::default(), LOW, HIGH, act(0), NOW).unwrap();
    assert!(apply(&asked, HIGH, LOW, act(1), UnixTime(0)).unwrap().is_agreed());
}

#[test]
fn the_same_request_again_changes_nothing_and_another_one_renews_it() {
    let later = UnixTime(NOW.0 + DAY);
    let asked = apply(&Pair::default(), LOW, HIGH, act(0), NOW).unwrap();
    assert_eq!(apply(&asked, LOW, HIGH, act(0), later), Ok(asked.clone()));
    let other = apply(&asked, LOW, HIGH, Act::Ask(b"another".to_vec()), later).unwrap();
    assert_eq!((other.lower.at, other.lower.statement.as_slice()), (later, &b"another"[..]));
    let over = UnixTime(NOW.0 + 31 * DAY);
    assert_eq!(apply(&asked, LOW, HIGH, act(0), over).unwrap().lower.at, over);
}

#[test]
fn nobody_acts_about_itself() {
    for number in 0..ACTS.len() {
        for pair in [Pair::default(), pair('a', 'a'), pair('b', '.')] {
            assert_eq!(apply(&pair, LOW, LOW, act(number), NOW), Err(ConsentError::Yourself));
        }
    }
}

#[test]
fn codes_are_stable() {
    use ConsentError::{AlreadyPeers, Blocked, NoRequest, Yourself};
    assert_eq!([Yourself, AlreadyPeers, NoRequest, Blocked].map(ConsentError::code), [1, 2, 3, 4]);
}

#[test]
fn the_higher_party_has_the_mirror_image() {
    let transient = Party::Transient(PeerId([0; 32]));
    for (row, ..) in TABLE {
        let (mine, theirs) = halves_of(row);
        let (low, high) = (pair(mine, theirs), mirror(&pair(mine, theirs)));
        for (lower, higher) in [(LOW, HIGH), (LOW, transient)] {
            assert_eq!(low.shown_to(lower, higher, NOW), high.shown_to(higher, lower, NOW), "{row}");
            for (number, name) in ACTS.iter().enumerate() {
                let as_lower = apply(&low, lower, higher, act(number), NOW);
                let as_higher = apply(&high, higher, lower, act(number), NOW);
                assert_eq!(as_lower.map(|pair| mirror(&pair)), as_higher, "{row}: {name}");
            }
        }
    }
}

/// A half that blocks and says something is none that an act leaves behind; what it says counts for nothing.
#[test]
fn what_a_half_that_blocks_says_is_never_heard() {
    let silent = |pair: &Pair| {
        let mut pair = pair.clone();
        for half in [&mut pair.lower, &mut pair.upper] {
            if half.blocks {
                *half = Half { blocks: true, ..Half::default() };
            }
        }
        pair
    };
    let halves = || ['.', 'a', 'y', 'n'].into_iter().flat_map(|said| [(said, false), (said, true)]);
    for ((mine, own_blocks), (theirs, other_blocks)) in
        halves().flat_map(|mine| halves().map(move |theirs| (mine, theirs)))
    {
        let mut loud = pair(mine, theirs);
        (loud.lower.blocks, loud.upper.blocks) = (own_blocks, other_blocks);
        let at = format!("{mine} {own_blocks}, {theirs} {other_blocks}");
        assert_eq!(loud.shown_to(LOW, HIGH, NOW), silent(&loud).shown_to(LOW, HIGH, NOW), "{at}");
        for (number, name) in ACTS.iter().enumerate() {
            let [said, unsaid] = [&loud, &silent(&loud)].map(|pair| apply(pair, LOW, HIGH, act(number), NOW));
            assert_eq!(said.as_ref().map(silent), unsaid.as_ref().map(silent), "{at}: {name}");
        }
    }
}

/// A pair in the hands of two parties, and which of them wants it, kept by rules of its own: who asks or accepts wants it;
/// a removal, a decline and a block of a peer end that for both, a block for who blocks; 31 days end what nobody answered.
#[derive(Clone, PartialEq, Debug)]
struct Scene {
    pair: Pair,
    wants: [bool; 2],
}

const SIDES: [(Party, Party); 2] = [(LOW, HIGH), (HIGH, LOW)];

impl Scene {
    fn shown(&self, side: usize) -> Shown {
        self.pair.shown_to(SIDES[side].0, SIDES[side].1, NOW)
    }

    fn act(&self, side: usize, number: usize) -> Result<Self, ConsentError> {
        let pair = apply(&self.pair, SIDES[side].0, SIDES[side].1, act(number), NOW)?;
        let mut wants = self.wants;
        let blocked = [self.pair.lower.blocks, self.pair.upper.blocks][side];
        match ACTS[number] {
            "ask" | "accept" => wants[side] = true,
            "decline" => wants = [false; 2],
            "remove" if !blocked => wants = [false; 2],
            "block" if self.pair.is_agreed() => wants = [false; 2],
            "block" if !blocked => wants[side] = false,
            _ => {}
        }
        Ok(Self { pair, wants })
    }

    /// 31 days later, when what was set now was set long ago.
    fn wait(&self) -> Self {
        let mut later = self.clone();
        for half in [&mut later.pair.lower, &mut later.pair.upper] {
            half.at = LONG_AGO;
        }
        if !later.pair.is_agreed() {
            later.wants = [false; 2];
        }
        later
    }

    /// What either party can make of it, or time.
    fn next(&self) -> Vec<Self> {
        let acts = (0..2).flat_map(|side| (0..ACTS.len()).map(move |number| (side, number)));
        acts.filter_map(|(side, number)| self.act(side, number).ok()).chain([self.wait()]).collect()
    }
}

/// Everything that comes of `first`, once.
fn explored<T: Clone + PartialEq>(first: T, next: impl Fn(&T) -> Vec<T>) -> Vec<T> {
    let (mut seen, mut looked_at) = (vec![first], 0);
    while looked_at < seen.len() {
        for found in next(&seen[looked_at]) {
            if !seen.contains(&found) {
                seen.push(found);
            }
        }
        looked_at += 1;
    }
    seen
}

fn all_scenes() -> Vec<Scene> {
    explored(Scene { pair: Pair::default(), wants: [false; 2] }, Scene::next)
}

#[test]
fn whatever_two_parties_do_they_are_peers_only_while_both_want_it() {
    let scenes = all_scenes();
    let mut rows: Vec<_> = Vec::new();
    for scene in &scenes {
        let Scene { pair, wants } = scene;
        rows.push(format!("{}{}", letter(&pair.lower), letter(&pair.upper)));
        let stances = [pair.lower.stance, pair.upper.stance];
        if pair.is_agreed() {
            assert_eq!(*wants, [true; 2], "{scene:?}");
            assert!(stances.contains(&Stance::Asked) && stances.contains(&Stance::Accepted), "{scene:?}");
        }
        match (scene.shown(0), scene.shown(1)) {
            (Shown::Peers { mine: a, theirs: b }, Shown::Peers { mine: c, theirs: d }) => {
                assert!(pair.is_agreed() && a == d && b == c, "{scene:?}");
            }
            (Shown::Peers { .. }, _) | (_, Shown::Peers { .. }) => panic!("peers on one side: {scene:?}"),
            (shown, _) if pair.lower.blocks => assert_eq!(shown, Shown::None, "{scene:?}"),
            (_, shown) if pair.upper.blocks => assert_eq!(shown, Shown::None, "{scene:?}"),
            _ => {}
        }
        for side in 0..2 {
            let removed = scene.act(side, 3).unwrap();
            assert!(!removed.pair.is_agreed() && removed.shown(side) == Shown::None, "{scene:?}");
        }
    }
    rows.sort();
    rows.dedup();
    let mut reachable = REACHABLE.map(str::to_owned);
    reachable.sort();
    assert_eq!(rows, reachable);
    assert!(scenes.iter().any(|scene| scene.pair.is_agreed()), "{} scenes", scenes.len());
}

/// From when the lower party blocks until it unblocks, the higher one is shown and answered what it would be by one who said
/// nothing and never looks.
#[test]
fn nobody_can_tell_that_it_is_blocked() {
    type Worlds = (Scene, Scene);
    let quiet = |scene: &Scene| letter(&scene.pair.lower) == '.';
    let mut compared = 0;
    for ignoring in all_scenes().into_iter().filter(quiet) {
        let blocking = ignoring.act(0, 4).unwrap();
        let both = |worlds: &Worlds, number: usize| match (worlds.0.act(1, number), worlds.1.act(1, number)) {
            (Ok(blocking), Ok(ignoring)) => Some((blocking, ignoring)),
            (blocking, ignoring) => {
                assert_eq!(blocking.err(), ignoring.err(), "{}: {worlds:?}", ACTS[number]);
                None
            }
        };
        let next = |worlds: &Worlds| {
            let mut next: Vec<_> = (0..ACTS.len()).filter_map(|number| both(worlds, number)).collect();
            let blocker = (0..5).filter_map(|number| worlds.0.act(0, number).ok());
            next.extend(blocker.map(|blocking| (blocking, worlds.1.clone())));
            next.push((worlds.0.wait(), worlds.1.wait()));
            next
        };
        for worlds in explored((blocking, ignoring), next) {
            assert_eq!(worlds.0.shown(1), worlds.1.shown(1), "{worlds:?}");
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} compared");
}
