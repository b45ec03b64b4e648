//! One session: warm-ups, then blocks of visits in random order, until every
//! cell is known well enough or the blocks are used up.

use std::time::Duration;

use anyhow::Result;

use super::{
    protocol::{LONG_SAMPLE, Protocol},
    sample::Taker,
    scenario::Scenario,
    visit::Target,
};
use crate::{
    record::{cell::ErrorWord, timings::SampleRow},
    stats::Summary,
};

/// A cell that has failed this often without one sample that counts is given
/// up: its cause is not noise, and each failure may cost a time-out.
const FAILURES_MAX: usize = 2;

/// Disturbed samples that may be taken again in one block; a machine that is
/// noisier than that is not waited for.
const RETRIES_PER_BLOCK: u32 = 3;

/// What is visited once in every block.
#[derive(Clone, Debug)]
pub struct Item {
    pub target: Target,
    /// In their order; the first one brings the image.
    pub scenarios: Vec<Scenario>,
}

impl Item {
    /// Whether the session goes on for its sake. Others accompany it: they are
    /// there to be compared with, in every block that there is.
    fn decides(&self) -> bool {
        self.scenarios
            .iter()
            .any(|scenario| !scenario.goals().is_empty())
    }
}

/// What a session reports as it goes.
pub enum Event<'a> {
    /// A discarded visit is over.
    WarmedUp { target: &'a Target },
    /// A sample that an interrupted run of the same session has taken.
    Replayed { row: &'a SampleRow },
    /// Samples of a visit that was broken off: it is made again.
    Dropped { rows: &'a [&'a SampleRow] },
    /// A sample, which counts unless it is marked invalid; `why` is for the log.
    Sample {
        target: &'a Target,
        row: &'a SampleRow,
        why: Option<String>,
    },
    /// A visit is over.
    Visited { target: &'a Target },
    /// An item needs no more visits.
    Stopped { target: &'a Target, blocks: u32 },
}

/// Runs a session over `items`. Visits of which `kept` has every sample are
/// taken from there; one that was broken off is made again.
///
/// # Errors
/// Only what `on` returns: a variant that fails is a row, and the rest go on.
pub fn run(
    taker: Taker<'_>,
    protocol: &Protocol,
    items: &[Item],
    kept: &[SampleRow],
    on: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    let mut session = Session {
        taker,
        stride: items
            .iter()
            .map(|it| it.scenarios.len() as u64)
            .max()
            .unwrap_or(1),
        states: items.iter().map(State::of).collect(),
        on,
    };
    session.warm_up(protocol.warm_ups())?;
    let indices: Vec<usize> = (0..items.len()).collect();
    for block in 0..protocol.blocks_max() {
        let mut retries = RETRIES_PER_BLOCK;
        for (place, &index) in protocol.block(block, &indices).into_iter().enumerate() {
            let at = Place {
                block,
                order: place as u64 * session.stride,
            };
            session.visit(index, at, kept, &mut retries)?;
        }
        if session.stop_what_is_done(protocol, block + 1)? {
            break;
        }
    }
    Ok(())
}

struct Session<'a, 'b> {
    taker: Taker<'a>,
    /// Places that a visit takes in the order of its block.
    stride: u64,
    states: Vec<State<'a>>,
    on: &'b mut dyn FnMut(Event<'_>) -> Result<()>,
}

/// Where in the session a visit takes place.
#[derive(Clone, Copy)]
struct Place {
    block: u32,
    order: u64,
}

impl Session<'_, '_> {
    fn warm_up(&mut self, cycles: u32) -> Result<()> {
        for _ in 0..cycles {
            for state in &mut self.states {
                let Item { target, scenarios } = state.item;
                for &scenario in scenarios {
                    // Whatever a warm-up gives is discarded, its failure too:
                    // the first block will meet it again and record it.
                    if let Err(invalid) = self.taker.take(target, scenario).outcome {
                        if invalid.word == ErrorWord::NotCold.word() {
                            state.not_cold.push(scenario);
                        }
                        break;
                    }
                }
                (self.on)(Event::WarmedUp { target })?;
            }
        }
        Ok(())
    }

    fn visit(
        &mut self,
        index: usize,
        at: Place,
        kept: &[SampleRow],
        retries: &mut u32,
    ) -> Result<()> {
        let due: Vec<Scenario> = self.states[index].due().collect();
        if due.is_empty() {
            return Ok(());
        }
        let rows = at.rows(self.stride, kept);
        if is_whole(&due, &rows) {
            let retried = rows.iter().filter(|row| row.retry > 0).count();
            *retries = retries.saturating_sub(retried as u32);
            for row in rows {
                (self.on)(Event::Replayed { row })?;
                self.states[index].samples.push(row.clone());
            }
        } else {
            if !rows.is_empty() {
                (self.on)(Event::Dropped { rows: &rows })?;
            }
            for (number, scenario) in due.into_iter().enumerate() {
                let place = Place {
                    order: at.order + number as u64,
                    ..at
                };
                if !self.sample(index, scenario, place, retries)? {
                    break;
                }
            }
        }
        (self.on)(Event::Visited {
            target: &self.states[index].item.target,
        })
    }

    /// Takes one sample, and again while it was disturbed. False when the image
    /// cannot be there for what comes next.
    fn sample(
        &mut self,
        index: usize,
        scenario: Scenario,
        at: Place,
        retries: &mut u32,
    ) -> Result<bool> {
        let mut retry = 0;
        loop {
            let target = &self.states[index].item.target;
            let taken = self.taker.take(target, scenario);
            let worked = taken.outcome.is_ok();
            let (row, why) = taken.into_row(SampleRow {
                block: u64::from(at.block),
                order: at.order,
                retry,
                variant: target.variant.clone(),
                scenario: scenario.word().to_owned(),
                ..SampleRow::default()
            });
            let disturbed = row.invalid == Some(ErrorWord::Disturbed);
            let target = &self.states[index].item.target;
            (self.on)(Event::Sample {
                target,
                row: &row,
                why,
            })?;
            self.states[index].samples.push(row);
            if !disturbed || *retries == 0 {
                return Ok(worked);
            }
            *retries -= 1;
            retry += 1;
        }
    }

    /// Looks at what is known after `blocks` blocks; true when nothing is left
    /// that the session goes on for.
    fn stop_what_is_done(&mut self, protocol: &Protocol, blocks: u32) -> Result<bool> {
        for state in &mut self.states {
            if state.due().next().is_none() {
                continue;
            }
            state.stop_what_is_done(protocol, blocks);
            if state.due().next().is_none() {
                (self.on)(Event::Stopped {
                    target: &state.item.target,
                    blocks,
                })?;
            }
        }
        let mut deciding = self.states.iter().filter(|state| state.item.decides());
        Ok(deciding.all(|state| state.due().next().is_none()))
    }
}

impl Place {
    /// The samples of `kept` that were taken here.
    fn rows(self, stride: u64, kept: &[SampleRow]) -> Vec<&SampleRow> {
        let orders = self.order..self.order + stride;
        kept.iter()
            .filter(|row| row.block == u64::from(self.block) && orders.contains(&row.order))
            .collect()
    }
}

/// Whether a visit's samples are all there: those of every scenario, or of all
/// up to one that failed.
fn is_whole(due: &[Scenario], rows: &[&SampleRow]) -> bool {
    for scenario in due {
        let mut of_scenario = rows.iter().filter(|row| row.scenario == scenario.word());
        match of_scenario.next_back() {
            None => return false,
            // Without times there was no image for what comes next.
            Some(row) if row.invalid.is_some() && !row.has_times() => return true,
            Some(_) => {}
        }
    }
    true
}

struct State<'a> {
    item: &'a Item,
    samples: Vec<SampleRow>,
    stopped: Vec<Scenario>,
    /// Those that were not cold in a warm-up.
    not_cold: Vec<Scenario>,
}

impl<'a> State<'a> {
    fn of(item: &'a Item) -> Self {
        Self {
            item,
            samples: Vec::new(),
            stopped: Vec::new(),
            not_cold: Vec::new(),
        }
    }

    /// The scenarios that are still sampled. The one that brings the image is
    /// among them as long as any other is.
    fn due(&self) -> impl Iterator<Item = Scenario> + '_ {
        let all = self.item.scenarios.iter().copied();
        let going = all.clone().filter(|it| !self.stopped.contains(it));
        let any = going.count() > 0;
        all.enumerate()
            .filter(move |(place, it)| any && (*place == 0 || !self.stopped.contains(it)))
            .map(|(_, scenario)| scenario)
    }

    fn stop_what_is_done(&mut self, protocol: &Protocol, blocks: u32) {
        let over = blocks >= protocol.blocks_max();
        let is_look = protocol.is_look(blocks);
        let long = is_look && self.is_long();
        let first = self.item.scenarios[0];
        let without_image = self.is_hopeless(first);
        for &scenario in &self.item.scenarios {
            let done = over
                || long
                || without_image
                || self.is_hopeless(scenario)
                || is_look && self.is_precise(scenario);
            if done && !self.stopped.contains(&scenario) {
                self.stopped.push(scenario);
            }
        }
    }

    /// Noise passes; any other cause will come again, and may cost a time-out.
    fn is_hopeless(&self, scenario: Scenario) -> bool {
        // What a warm-up has found there already is there for the whole session.
        let failures_max = if self.not_cold.contains(&scenario) {
            1
        } else {
            FAILURES_MAX
        };
        let failed = |row: &SampleRow| row.invalid.is_some_and(|word| word != ErrorWord::Disturbed);
        let mut of_scenario = self
            .samples_of(scenario)
            .filter(|row| row.invalid != Some(ErrorWord::Disturbed));
        of_scenario.clone().count() >= failures_max && of_scenario.all(failed)
    }

    /// A cold start this long has a small spread beside its length, and its
    /// warm starts are not worth more of them.
    fn is_long(&self) -> bool {
        let total = self.summary(self.item.scenarios[0], |row| row.node_total_ns);
        total.is_some_and(|total| Duration::from_nanos(total.median) > LONG_SAMPLE)
    }

    /// A time that the probe does not see decides nothing, as long as another
    /// one does.
    fn is_precise(&self, scenario: Scenario) -> bool {
        let mut reached = scenario.goals().iter().filter_map(|(of, precision)| {
            let summary = self.summary(scenario, of)?;
            Some(precision.reached(&summary))
        });
        // Of none at all, all would be.
        reached.next().is_some_and(|first| first) && reached.all(|it| it)
    }

    fn samples_of(&self, scenario: Scenario) -> impl Iterator<Item = &SampleRow> + Clone {
        let word = scenario.word();
        self.samples.iter().filter(move |row| row.scenario == word)
    }

    fn summary(
        &self,
        scenario: Scenario,
        of: impl Fn(&SampleRow) -> Option<u64>,
    ) -> Option<Summary> {
        let counting = self
            .samples_of(scenario)
            .filter(|row| row.invalid.is_none());
        Summary::of(&counting.filter_map(of).collect::<Vec<_>>())
    }
}
