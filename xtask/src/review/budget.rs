//! What an image may weigh at most: the budgets of suite.toml, and the rules of
//! `--fail-on`.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;

use super::{
    Quote,
    changes::{Name, number, pairs},
    states::State,
};
use crate::{
    human,
    record::exact::SizeRow,
    suite::{Budget, budget_column},
};

const EXAMPLES: &str =
    "'transfer_bytes>+5%', 'transfer_bytes>+100_000' or 'transfer_bytes>12_000_000'";

/// Hundredths and thousandths of a per cent are asked for, finer shares are not.
const PERCENT_DECIMALS: usize = 3;

/// One `--fail-on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    written: String,
    column: &'static str,
    most: Most,
}

/// What a rule lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Most {
    /// The number itself.
    Value(u64),
    /// What came to it.
    Growth(u64),
    /// The same in thousandths of a per cent of what was there.
    Share(u64),
}

/// A number that is more than it may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trip {
    #[serde(flatten)]
    pub name: Name,
    pub column: &'static str,
    pub before: Option<u64>,
    /// Empty where the image could not be built: what is not known keeps no
    /// budget.
    pub after: Option<u64>,
    /// What suite.toml allows, where that is what was passed.
    pub budget: Option<u64>,
    /// The `--fail-on`, where that is what was passed.
    pub rule: Option<String>,
}

/// What came of all budgets and rules.
#[derive(Debug, Default, Serialize)]
pub struct Judgement {
    pub tripped: Vec<Trip>,
    /// Variants with a budget and without a row to hold it against.
    pub budgets_not_checked: Vec<String>,
}

/// Holds head against the budgets of its own suite.toml files and the rules.
///
/// # Errors
/// When a suite.toml is wrong.
pub fn judge(base: &State, head: &State, rules: &[Rule]) -> Result<Judgement> {
    let budgets = head.budgets()?;
    let none = Budget::new();
    let mut judgement = Judgement::default();
    for (old, new) in pairs(&base.sizes, &head.sizes) {
        let Some(new) = new else { continue };
        let key = (new.suite.clone(), new.variant.clone());
        let budget = budgets.get(&key).unwrap_or(&none);
        judgement.tripped.extend(over_budget(old, new, budget));
        judgement
            .tripped
            .extend(rules.iter().filter_map(|rule| rule.trip(old, new)));
    }
    judgement.budgets_not_checked = without_row(&budgets, head);
    Ok(judgement)
}

fn over_budget<'a>(
    old: Option<&'a SizeRow>,
    new: &'a SizeRow,
    budget: &'a Budget,
) -> impl Iterator<Item = Trip> {
    budget
        .iter()
        .map(|(column, most)| (*column, *most))
        .filter(move |(column, most)| number(new, column).is_none_or(|after| after > *most))
        .map(move |(column, most)| Trip {
            budget: Some(most),
            ..Trip::of(old, new, column)
        })
}

fn without_row(budgets: &BTreeMap<(String, String), Budget>, head: &State) -> Vec<String> {
    let has_row = |suite: &str, variant: &str| {
        let mut rows = head.sizes.rows();
        rows.any(|row| row.suite == suite && row.variant == variant)
    };
    budgets
        .iter()
        .filter(|((suite, variant), budget)| !budget.is_empty() && !has_row(suite, variant))
        .map(|((suite, variant), _)| format!("{suite}/{variant}"))
        .collect()
}

impl Trip {
    fn of(old: Option<&SizeRow>, new: &SizeRow, column: &'static str) -> Self {
        Self {
            name: Name::of(new),
            column,
            before: old.and_then(|old| number(old, column)),
            after: number(new, column),
            budget: None,
            rule: None,
        }
    }

    /// Why this is too much, after the name of the image.
    pub fn text(&self, quote: Quote) -> String {
        let column = quote(self.column);
        let grouped = |number: u64| human::grouped(number.into());
        let Some(after) = self.after else {
            return format!("{column} is not known, and has a budget");
        };
        let is = match self.before.filter(|before| *before != after) {
            Some(before) => format!(
                "{column} {} -> {} ({})",
                grouped(before),
                grouped(after),
                change(before, after)
            ),
            None => format!("{column} {}", grouped(after)),
        };
        match (&self.rule, self.budget) {
            (Some(rule), _) => format!("{is} fails on {}", quote(rule)),
            (None, budget) => format!(
                "{is} is above its budget of {}",
                grouped(budget.unwrap_or(0))
            ),
        }
    }
}

/// `+1,024, +5.00 %`, where there is a share.
fn change(before: u64, after: u64) -> String {
    let parts = [human::change(before, after), human::percent(before, after)];
    let said: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|it| !it.is_empty())
        .collect();
    said.join(", ")
}

impl Rule {
    fn trip(&self, old: Option<&SizeRow>, new: &SizeRow) -> Option<Trip> {
        let trip = Trip::of(old, new, self.column);
        self.is_passed(trip.before, trip.after?).then(|| Trip {
            rule: Some(self.written.clone()),
            ..trip
        })
    }

    /// Growth needs something to have grown from.
    fn is_passed(&self, before: Option<u64>, after: u64) -> bool {
        let grown = before.and_then(|before| after.checked_sub(before));
        match self.most {
            Most::Value(most) => after > most,
            Most::Growth(most) => grown.is_some_and(|grown| grown > most),
            Most::Share(thousandths) => grown.is_some_and(|grown| {
                let whole = u128::from(before.unwrap_or(0));
                u128::from(grown) * 100_000 > whole * u128::from(thousandths)
            }),
        }
    }
}

impl FromStr for Rule {
    type Err = anyhow::Error;

    fn from_str(written: &str) -> Result<Self> {
        let (column, most) = parse(written).with_context(|| format!("--fail-on {written}"))?;
        Ok(Self {
            written: written.to_owned(),
            column,
            most,
        })
    }
}

fn parse(written: &str) -> Result<(&'static str, Most)> {
    let form = || format!("this is not COLUMN>AMOUNT; mend: write for example {EXAMPLES}");
    let (column, amount) = written.split_once('>').with_context(form)?;
    let column = budget_column(column.trim())
        .map_err(|wrong| anyhow!("{}; mend: {}", wrong.what, wrong.mend))?;
    let amount = amount.trim();
    let most = match (amount.strip_prefix('+'), amount.strip_suffix('%')) {
        (None, Some(_)) => {
            bail!(
                "`{amount}` is a share of nothing; mend: growth has a plus sign, as in {EXAMPLES}"
            );
        }
        (None, None) => whole(amount).map(Most::Value),
        (Some(growth), None) => whole(growth).map(Most::Growth),
        (Some(growth), Some(_)) => growth
            .strip_suffix('%')
            .and_then(thousandths)
            .map(Most::Share),
    };
    let most = most
        .with_context(|| format!("`{amount}` is no amount; mend: write for example {EXAMPLES}"))?;
    Ok((column, most))
}

/// Digits, in groups if somebody likes.
fn whole(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// `5` and `0.125`, as 5000 and 125.
fn thousandths(percent: &str) -> Option<u64> {
    let percent = percent.trim();
    let (before, after) = percent.split_once('.').unwrap_or((percent, "0"));
    let fits = (1..=PERCENT_DECIMALS).contains(&after.len());
    let decimals = fits.then(|| format!("{after:0<PERCENT_DECIMALS$}"))?;
    whole(before)?
        .checked_mul(1_000)?
        .checked_add(whole(&decimals)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::cell::ErrorWord,
        review::{
            plain::as_it_is,
            testing::{size, sized, state, text_of},
        },
    };

    const SUITE: &str = "title = 'a'\ncontext = 'src'\nbudget.transfer_bytes = 10\nprobe.body = 'b'\n\
                         [[variant]]\nname = 'a'\nreason = 'r'\n\
                         [[variant]]\nname = 'b'\nreason = 'r'\nbudget = { transfer_bytes = 100, layers = 1 }\n";

    fn rule(written: &str) -> Rule {
        written.parse().unwrap()
    }

    fn budgeted(rows: impl IntoIterator<Item = SizeRow>) -> State {
        let files = [
            ("results/sizes.csv", text_of(rows)),
            ("experiments/gin/suite.toml", SUITE.to_owned()),
        ];
        state("head", &files)
    }

    fn said(judgement: &Judgement) -> Vec<String> {
        let trips = judgement.tripped.iter();
        trips
            .map(|trip| format!("{} {}", trip.name.variant, trip.text(as_it_is)))
            .collect()
    }

    #[test]
    fn rules_pass_what_they_say_and_not_a_byte_more() {
        let passed = |written: &str, before, after| rule(written).is_passed(before, after);
        assert!(!passed("transfer_bytes>+5%", Some(1_000), 1_050));
        assert!(passed("transfer_bytes>+5%", Some(1_000), 1_051));
        assert!(!passed("transfer_bytes>+0.125%", Some(100_000), 100_125));
        assert!(passed("transfer_bytes > +0.125%", Some(100_000), 100_126));
        assert!(
            passed("wasted_bytes>+5%", Some(0), 1),
            "any growth from nothing"
        );
        assert!(!passed("layers>+0", Some(3), 3));
        assert!(passed("layers>+0", Some(3), 4));
        assert!(!passed("transfer_bytes>+100_000", Some(1), 100_001));
        assert!(
            !passed("transfer_bytes>+1", Some(9), 1),
            "less is no growth"
        );
        assert!(
            !passed("transfer_bytes>+1", None, 9),
            "what is new has not grown"
        );
        assert!(passed("transfer_bytes>8", None, 9));
        assert!(passed("files>+0.001%", Some(u64::MAX / 2), u64::MAX));
    }

    #[test]
    fn a_rule_that_is_none_comes_with_examples() {
        let error = |written: &str| format!("{:#}", written.parse::<Rule>().unwrap_err());
        insta::assert_snapshot!(error("transfer_bytes"), @"--fail-on transfer_bytes: this is not COLUMN>AMOUNT; mend: write for example 'transfer_bytes>+5%', 'transfer_bytes>+100_000' or 'transfer_bytes>12_000_000'");
        insta::assert_snapshot!(error("transfer_byte>+5%"), @"--fail-on transfer_byte>+5%: `transfer_byte` is no number of sizes.csv; mend: did you mean `transfer_bytes`?");
        insta::assert_snapshot!(error("start_total>+5%"), @"--fail-on start_total>+5%: `start_total` is a time, and times of two sessions do not compare; mend: budgets on times belong to `cargo xtask compare BASE --fail-on-worse`");
        insta::assert_snapshot!(error("files>5%"), @"--fail-on files>5%: `5%` is a share of nothing; mend: growth has a plus sign, as in 'transfer_bytes>+5%', 'transfer_bytes>+100_000' or 'transfer_bytes>12_000_000'");
        for bad in [
            "files>",
            "files>+",
            "files>+%",
            "files>-5",
            "files>++5",
            "files>+0.1234%",
            "files>+5.%",
            "files>1.5",
        ] {
            assert!(
                error(bad).contains("is no amount; mend: write for example"),
                "{bad}"
            );
        }
    }

    #[test]
    fn budgets_are_those_of_head_and_the_suites_holds_for_all() {
        let base = sized("base", [size("a", 9), size("b", 9)]);
        let judgement = judge(&base, &budgeted([size("a", 10), size("b", 100)]), &[]).unwrap();
        assert!(judgement.tripped.is_empty(), "{judgement:?}");
        let two_layers = SizeRow {
            layers: Some(2),
            ..size("b", 11)
        };
        let judgement = judge(&base, &budgeted([size("a", 11), two_layers]), &[]).unwrap();
        assert_eq!(
            said(&judgement),
            [
                "a transfer_bytes 9 -> 11 (+2, +22.22 %) is above its budget of 10",
                "b layers 1 -> 2 (+1, +100.00 %) is above its budget of 1",
            ]
        );
    }

    #[test]
    fn what_is_not_known_keeps_no_budget_and_what_was_not_run_is_said() {
        let failed = SizeRow {
            error: Some(ErrorWord::BuildFailed),
            transfer_bytes: None,
            ..size("a", 0)
        };
        let judgement = judge(&sized("base", []), &budgeted([failed]), &[]).unwrap();
        assert_eq!(
            said(&judgement),
            ["a transfer_bytes is not known, and has a budget"]
        );
        assert_eq!(judgement.budgets_not_checked, ["gin/b"]);
    }

    #[test]
    fn a_rule_trips_by_its_name() {
        let (base, head) = (
            sized("base", [size("a", 100)]),
            sized("head", [size("a", 106)]),
        );
        let judgement = judge(
            &base,
            &head,
            &[rule("transfer_bytes>+5%"), rule("layers>+0")],
        )
        .unwrap();
        assert_eq!(
            said(&judgement),
            ["a transfer_bytes 100 -> 106 (+6, +6.00 %) fails on transfer_bytes>+5%"]
        );
    }
}
