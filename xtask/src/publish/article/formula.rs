//! What a marker asks for: a cell, the ratio or difference of two, or whether
//! one is smaller than the other.

use std::{collections::BTreeSet, fmt};

use super::{
    cell::{Cell, Number, Wrong, look_up},
    unit::{Quantity, Unit},
};
use crate::publish::{Evidence, Lang};

/// The word before the unit that asks for both ends of the interval.
const INTERVAL: &str = "interval";
/// The unit of what is no number: a version, a name.
const TEXT: &str = "text";
const RATIO: &str = "/";
const OPERATORS: [&str; 2] = [RATIO, "-"];
/// Between a cell and the words that it says.
const IS: &str = "is";

/// The text of `n: words`.
///
/// # Errors
/// When a cell is not there or empty, the unit is not one of it, or two times
/// do not compare because they are of two sessions.
pub fn number(words: &str, evidence: &Evidence, lang: Lang) -> Result<String, Wrong> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let (unit, formula) = words
        .split_last()
        .ok_or_else(|| Wrong::new("`n:` names nothing", "write: n: CELL UNIT"))?;
    if *unit == TEXT {
        return look_up(evidence, formula).map(|cell| cell.text);
    }
    let unit = unit_named(unit)?;
    if let Some((&INTERVAL, formula)) = formula.split_last() {
        let (name, number) = numeric(look_up(evidence, formula)?)?;
        let (low, high) = number.interval.ok_or_else(|| {
            Wrong::new(
                format!("`{name}` has no interval"),
                "name a median of node.csv or start.csv",
            )
        })?;
        fits(unit, number.quantity, &name)?;
        return Ok(unit.write_range(low, high, lang));
    }
    let number = evaluate(formula, evidence)?;
    fits(unit, number.quantity, &formula.join(" "))?;
    Ok(unit.write(number.value, lang))
}

/// What contradicts `holds: words`, if anything does: `A < B < C`, or `A ~ B ~ C`
/// for intervals that overlap, or `A is WORDS`. Two times differ only where theirs
/// lie apart.
///
/// # Errors
/// As [`number`].
pub fn contradiction(words: &str, evidence: &Evidence) -> Result<Option<String>, Wrong> {
    let words: Vec<&str> = words.split_whitespace().collect();
    if let Some(at) = words.iter().position(|&word| word == IS) {
        let (cell, said) = (&words[..at], words[at + 1..].join(" "));
        let text = look_up(evidence, cell)?.text;
        return Ok((text != said).then(|| format!("`{}` is {text}", cell.join(" "))));
    }
    let is_sign = |word: &&str| ["<", "~"].contains(word);
    let signs: BTreeSet<&str> = words.iter().copied().filter(|word| is_sign(word)).collect();
    if signs.len() != 1 {
        return Err(Wrong::new(
            "a claim compares with `<`, with `~` or with `is`",
            "write: holds: CELL < CELL, or CELL ~ CELL for intervals that overlap, or CELL is WORDS",
        ));
    }
    let sides = words.split(is_sign).map(|side| Side::of(side, evidence));
    let sides = sides.collect::<Result<Vec<_>, _>>()?;
    for pair in sides.windows(2) {
        compare(&pair[0], &pair[1])?;
    }
    let said = |pair: &[Side]| format!("{}, and {}", pair[0], pair[1]);
    if signs.contains("<") {
        let wrong = sides.windows(2).find(|pair| pair[0].high >= pair[1].low);
        return Ok(wrong.map(said));
    }
    let below = sides.iter().min_by(|a, b| a.high.total_cmp(&b.high));
    let above = sides.iter().max_by(|a, b| a.low.total_cmp(&b.low));
    let apart = below
        .zip(above)
        .filter(|(below, above)| below.high < above.low);
    Ok(apart.map(|(below, above)| said(&[below.clone(), above.clone()])))
}

/// One side of a comparison: a cell, or a formula of exact ones.
#[derive(Clone, Debug)]
struct Side {
    named: String,
    low: f64,
    high: f64,
    quantity: Quantity,
    session: Option<String>,
}

impl Side {
    fn of(words: &[&str], evidence: &Evidence) -> Result<Self, Wrong> {
        let named = words.join(" ");
        if !words.iter().any(|word| OPERATORS.contains(word)) {
            let (_, number) = numeric(look_up(evidence, words)?)?;
            let (low, high) = number.interval.unwrap_or((number.value, number.value));
            return Ok(Self {
                named,
                low,
                high,
                quantity: number.quantity,
                session: number.session,
            });
        }
        let value = evaluate(words, evidence)?;
        if value.session.is_some() {
            return Err(Wrong::new(
                format!("`{named}` has no interval"),
                "compare medians themselves; only exact numbers may be put together",
            ));
        }
        Ok(Self {
            named,
            low: value.value,
            high: value.value,
            quantity: value.quantity,
            session: None,
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}", self.named, self.low)?;
        if self.high > self.low {
            write!(f, " to {}", self.high)?;
        }
        Ok(())
    }
}

fn compare(left: &Side, right: &Side) -> Result<(), Wrong> {
    comparable(
        (&left.named, left.quantity, left.session.as_deref()),
        (&right.named, right.quantity, right.session.as_deref()),
    )
}

fn unit_named(word: &str) -> Result<Unit, Wrong> {
    Unit::named(word).ok_or_else(|| {
        let mut known: BTreeSet<String> = Unit::ALL
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        known.insert(TEXT.to_owned());
        Wrong::unknown("unit", word, &known)
    })
}

/// A cell, or what two of them give; that has no interval.
fn evaluate(words: &[&str], evidence: &Evidence) -> Result<Number, Wrong> {
    let Some(at) = words.iter().position(|word| OPERATORS.contains(word)) else {
        return numeric(look_up(evidence, words)?).map(|(_, number)| number);
    };
    let (left_name, left) = numeric(look_up(evidence, &words[..at])?)?;
    let (right_name, right) = numeric(look_up(evidence, &words[at + 1..])?)?;
    comparable(
        (&left_name, left.quantity, left.session.as_deref()),
        (&right_name, right.quantity, right.session.as_deref()),
    )?;
    let is_ratio = words[at] == RATIO;
    let wrong = |what: &str, mend: &str| {
        let mut wrong = Wrong::new(format!("`{}` {what}", words.join(" ")), mend);
        wrong.a_draft_goes_on = true;
        Err(wrong)
    };
    let (quantity, value) = match is_ratio {
        true if right.value == 0.0 => return wrong("divides by nought", "name another cell"),
        true => (Quantity::Permille, 1000.0 * left.value / right.value),
        false if left.value < right.value => {
            return wrong(
                "is less than nothing",
                "turn the cells round, and the sentence with them",
            );
        }
        false => (left.quantity, left.value - right.value),
    };
    Ok(Number {
        value,
        quantity,
        interval: None,
        session: left.session,
    })
}

/// Whether two numbers, each with its name, quantity and session, may stand in
/// one formula.
fn comparable(
    (left, quantity, session): (&str, Quantity, Option<&str>),
    (right, other_quantity, other_session): (&str, Quantity, Option<&str>),
) -> Result<(), Wrong> {
    if quantity != other_quantity {
        return Err(Wrong::new(
            format!("`{left}` and `{right}` count different things"),
            "name two cells of one quantity",
        ));
    }
    match session.zip(other_session) {
        Some((one, other)) if one != other => Err(Wrong::new(
            format!("`{left}` and `{right}` are of two sessions, which do not compare"),
            "name two cells of one suite and profile",
        )),
        _ => Ok(()),
    }
}

fn numeric(cell: Cell) -> Result<(String, Number), Wrong> {
    let Cell { named, number, .. } = cell;
    match number {
        Some(number) => Ok((named, number)),
        None => Err(Wrong::new(
            format!("`{named}` is no number"),
            format!("write `{TEXT}` for its unit"),
        )),
    }
}

fn fits(unit: Unit, quantity: Quantity, named: &str) -> Result<(), Wrong> {
    if unit.fits(quantity) {
        return Ok(());
    }
    let units: Vec<_> = Unit::ALL
        .iter()
        .filter(|(_, unit)| unit.fits(quantity))
        .map(|(name, _)| *name)
        .collect();
    Err(Wrong::new(
        format!("`{named}` is not counted in {}", unit.name()),
        format!("one of: {}", units.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::evidence;

    fn write(words: &str) -> String {
        match number(words, &evidence(), Lang::Ko) {
            Ok(text) => text,
            Err(wrong) => format!("{}; mend: {}", wrong.what, wrong.mend),
        }
    }

    #[test]
    fn cells_ratios_differences_and_intervals_are_written() {
        assert_eq!(write("sizes gin/scratch transfer MB"), "6.2 MB");
        assert_eq!(write("node_cold gin/scratch pull ms"), "113 ms");
        assert_eq!(
            write("node_cold gin/scratch pull interval ms"),
            "109–117 ms"
        );
        assert_eq!(
            write("sizes gin/single-stage transfer / sizes gin/scratch transfer times"),
            "72배"
        );
        assert_eq!(
            write("sizes gin/scratch transfer / sizes gin/single-stage transfer %"),
            "1.4%"
        );
        assert_eq!(
            write("node_cold gin/single-stage pull - node_cold gin/scratch pull s"),
            "8.66초"
        );
        assert_eq!(write("session gin kernel text"), "6.18.44");
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        insta::assert_snapshot!(write("sizes gin/scratch transfer ms"), @"`sizes gin/scratch transfer` is not counted in ms; mend: one of: kB, MB, GB");
        insta::assert_snapshot!(write("sizes gin/scratch transfer MBs"), @"there is no unit `MBs`; mend: write `MB`");
        insta::assert_snapshot!(
            write("node_cold@100mbit gin/scratch pull / node_cold gin/scratch pull times"),
            @"`node_cold@100mbit gin/scratch pull` and `node_cold gin/scratch pull` are of two sessions, which do not compare; mend: name two cells of one suite and profile"
        );
        insta::assert_snapshot!(
            write("node_cold gin/scratch pull - node_cold gin/single-stage pull s"),
            @"`node_cold gin/scratch pull - node_cold gin/single-stage pull` is less than nothing; mend: turn the cells round, and the sentence with them"
        );
    }

    #[test]
    fn a_claim_holds_only_beyond_the_intervals() {
        let against = |words| contradiction(words, &evidence()).unwrap();
        let smaller = "node_cold gin/scratch pull < node_cold gin/single-stage pull";
        assert_eq!(against(smaller), None);
        let same = "warm gin/scratch start_total ~ warm gin/single-stage start_total";
        assert_eq!(against(same), None);
        let smaller = "warm gin/single-stage start_total < warm gin/scratch start_total";
        assert_eq!(
            against(smaller).unwrap(),
            "`warm gin/single-stage start_total` is 120481 to 135954, \
             and `warm gin/scratch start_total` is 125500 to 133406"
        );
        let same = "node_cold gin/scratch pull ~ node_cold gin/single-stage pull";
        assert!(against(same).unwrap().contains("8709695 to 8923432"));
    }

    #[test]
    fn a_claim_on_a_word_holds_while_the_cell_says_it() {
        let against = |words| contradiction(words, &evidence()).unwrap();
        assert_eq!(against("sizes gin/scratch base is scratch"), None);
        assert_eq!(
            against("sizes gin/scratch base is alpine").unwrap(),
            "`sizes gin/scratch base` is scratch"
        );
    }

    #[test]
    fn exact_numbers_may_be_put_together_and_stand_in_a_row() {
        let against = |words| contradiction(words, &evidence());
        let row = "sizes gin/scratch transfer < sizes gin/alpine transfer < sizes gin/single-stage transfer";
        assert_eq!(against(row).unwrap(), None);
        let more = "sizes gin/alpine base_transfer < sizes gin/alpine transfer - sizes gin/scratch transfer";
        assert_eq!(against(more).unwrap(), None);
        let times = "node_cold gin/scratch pull < \
             node_cold gin/single-stage pull - node_cold gin/scratch pull";
        assert!(
            against(times).is_err(),
            "a difference of medians has no interval"
        );
        assert!(against("sizes gin/scratch transfer").is_err());
    }
}
