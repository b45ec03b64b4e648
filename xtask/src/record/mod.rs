//! The rows of `results/`: what stands in them, when they move, and how they
//! get in and out of CSV files.
//!
//! `row` says what a row is and `cell` what stands in it; `exact`, `capabilities`,
//! `cost` and `timings` are the files' columns; `table` reads and writes a file; `keep` and
//! `session` decide whether a committed row stays; `summarise` makes the rows of
//! a session from its samples, and `limits` those that hold its times against
//! what the machine could do at best. `machine` names the folder
//! of the timings and states what they were measured on, and `dictionary`
//! explains every column to the reader.

pub mod capabilities;
pub mod cell;
pub mod cost;
pub mod dictionary;
pub mod exact;
pub mod facts;
pub mod keep;
pub mod limits;
pub mod machine;
pub mod paths;
pub mod row;
pub mod session;
pub mod summarise;
pub mod table;
pub mod timings;

#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
pub mod testing;
