//! Asking: what the images can do, as the rows of `capabilities.csv`.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    state::{Job, State},
    targets::Shelf,
    workbench::Workbench,
};
use crate::{
    capability::{self, Finding, Matrix, Witness},
    digest::Digest,
    engine::{LabEngine, Role, Store},
    measure::visit::Invalid,
    progress::Progress,
    record::{
        capabilities::CapabilityRow,
        cell::{Capability, Cell as _, ErrorWord, Id},
        keep::{Exact as _, Outcome, offer},
    },
};

impl State {
    /// The selected variants whose answers are not those of today's images.
    pub fn unasked(&self) -> Vec<Job<'_>> {
        let jobs = self.jobs().into_iter();
        jobs.filter(|job| !self.is_asked(*job)).collect()
    }

    fn is_asked(&self, job: Job<'_>) -> bool {
        let Some(inputs) = self.asked_inputs(job) else {
            return false;
        };
        let (suite, variant) = job.key();
        let platform = self.platform.to_string();
        Capability::ALL.iter().all(|(_, word, _)| {
            let capability = (*word).to_owned();
            let key = (suite.clone(), variant.clone(), platform.clone(), capability);
            let row = self.capabilities.get(&key);
            row.is_some_and(|row| row.is_current(&inputs))
        })
    }

    /// Asks the images of the variants that are out of date, on a subject of
    /// their own. What one has answered is written before the next is asked.
    ///
    /// # Errors
    /// When there is no engine to ask them on; a variant that fails is a row.
    pub fn ask(
        &mut self,
        bench: &Workbench,
        data_root: Option<&Path>,
        progress: &Progress,
    ) -> Result<()> {
        let unasked: Vec<_> = self.unasked().iter().map(Job::key).collect();
        if unasked.is_empty() {
            return Ok(());
        }
        let lab = bench.lab().context("images are asked in the lab")?;
        let shelf = Shelf::open(lab)?;
        let data_root = bench.data_root(data_root)?;
        let subject = lab.engine(Role::Subject, Store::Containerd, data_root)?;
        let witness = Witness::call(&self.project, &subject)?;
        let step = progress.step("capabilities", unasked.len() as u64);
        for key in unasked {
            let Some(job) = self.jobs().into_iter().find(|job| job.key() == key) else {
                continue;
            };
            let findings = self.ask_one(job, &shelf, &subject, &witness);
            if let Err(why) = &findings {
                progress.note(format_args!("error: {}: {why}", job.name()));
            }
            let rows = self.capability_rows(job, findings);
            self.keep_answers(key, rows, progress)?;
            step.advance(1);
        }
        step.done("asked");
        Ok(())
    }

    /// The rows of one image, on the disk.
    fn keep_answers(
        &mut self,
        key: (String, String),
        rows: Vec<CapabilityRow>,
        progress: &Progress,
    ) -> Result<()> {
        if let Some(word) = rows.iter().find_map(|row| row.error) {
            self.errors.entry(key).or_insert(word);
        }
        rows.into_iter().for_each(|row| self.take(row, progress));
        self.save_exact()
    }

    fn ask_one(
        &self,
        job: Job<'_>,
        shelf: &Shelf,
        subject: &LabEngine,
        witness: &Witness,
    ) -> Result<Vec<Finding>, Invalid> {
        if self.built(job).is_none() {
            let word = self.errors.get(&job.key()).copied();
            let word = word.unwrap_or(ErrorWord::BuildFailed).word();
            return Err(Invalid::new(word, "there is no image to ask"));
        }
        let target = shelf.image(self, job);
        let target = target.map_err(Invalid::because("pull_failed"))?;
        capability::ask(subject, witness, &target)
    }

    /// A row for each answer; or all of them without one.
    fn capability_rows(
        &self,
        job: Job<'_>,
        asked: Result<Vec<Finding>, Invalid>,
    ) -> Vec<CapabilityRow> {
        match asked {
            Ok(findings) => {
                let row = |it: Finding| CapabilityRow {
                    answer: Some(it.answer),
                    detail: it.detail,
                    ..self.capability_row(job, it.capability)
                };
                findings.into_iter().map(row).collect()
            }
            Err(why) => {
                let error = ErrorWord::parse(why.word).unwrap_or(ErrorWord::ProbeFailed);
                let row = |capability| CapabilityRow {
                    error: Some(error),
                    ..self.capability_row(job, capability)
                };
                Capability::ALL.iter().map(|it| row(it.0)).collect()
            }
        }
    }

    /// A row as yet without an answer.
    fn capability_row(&self, job: Job<'_>, capability: Capability) -> CapabilityRow {
        CapabilityRow {
            suite: job.suite.name.clone(),
            variant: job.variant.name.clone(),
            platform: self.platform.to_string(),
            capability: capability.word().to_owned(),
            inputs: self.asked_inputs(job),
            ..CapabilityRow::default()
        }
    }

    /// What the answers follow from; none while that of the image is not known.
    fn asked_inputs(&self, job: Job<'_>) -> Option<Id> {
        let (image, probe) = (self.inputs(job)?, &job.suite.probe);
        let (port, path, body) = (job.suite.port, &probe.path, &probe.body);
        let (status, questions) = (probe.status, capability::questions());
        let text =
            format!("image {image}\nquestions {questions}\nprobe {port} {path} {status} {body}\n");
        Some(Id::from(&Digest::of(text)))
    }

    fn take(&mut self, row: CapabilityRow, progress: &Progress) {
        let name = format!("{}/{} {}", row.suite, row.variant, row.capability);
        match offer(&mut self.capabilities, row) {
            Outcome::Drifted(drifts) => {
                for drift in drifts {
                    progress.note(format_args!(
                        "{name}: committed {} is {}, and {} was found for the same inputs; the committed row stays",
                        drift.column, drift.committed, drift.measured
                    ));
                }
            }
            Outcome::KeptDespite(word) => {
                progress.note(format_args!("{name}: {word}; its committed row stays"));
            }
            Outcome::Added | Outcome::Replaced | Outcome::Kept => {}
        }
    }

    /// The answers of what was selected.
    pub fn matrix(&self) -> Matrix<'_> {
        let selected: Vec<(String, String)> = self.jobs().iter().map(Job::key).collect();
        let platform = self.platform.to_string();
        let rows = self.capabilities.rows().filter(|row| {
            let key = (row.suite.clone(), row.variant.clone());
            row.platform == platform && selected.contains(&key)
        });
        Matrix(rows.collect())
    }
}
