//! Counting: what was built, as the exact rows.

use anyhow::{Context, Result};

use super::state::{ImageRecord, Job, State, method};
use crate::{
    bases::provide::Provided,
    image::{
        Layout, Walk,
        distinct::{distinct_files, largest},
        paths, sizes,
        walk::layer_number,
    },
    progress::Progress,
    record::{
        cell::{ErrorWord, Id, Origin},
        exact::{
            BaseRow, FILES_OF_IMAGE_MAX, FileRow, ImageRows, LayerRow, SizeRow,
            difference_permille, one_line,
        },
        keep::{Outcome, offer, offer_image},
    },
};

/// What was counted, before any of it is held against the committed files.
#[derive(Default)]
pub struct Counted {
    pub bases: Vec<BaseRow>,
    pub images: Vec<ImageRows>,
}

impl State {
    /// Writes the exact files.
    ///
    /// # Errors
    /// When an image or a file cannot be read or written.
    pub fn size(&mut self, progress: &Progress) -> Result<()> {
        let counted = self.count(progress, |base| !self.is_recorded(base))?;
        for row in counted.bases {
            offer(&mut self.base_rows, row);
        }
        for image in counted.images {
            let name = format!("{}/{}", image.size.suite, image.size.variant);
            match offer_image(&mut self.sizes, &mut self.layers, &mut self.files, image) {
                Outcome::Drifted(drifts) => {
                    for drift in drifts {
                        progress.note(format_args!(
                            "{name}: committed {} is {}, and {} came out of the same inputs; the committed row stays",
                            drift.column, drift.committed, drift.measured
                        ));
                    }
                }
                Outcome::KeptDespite(word) => {
                    progress.note(format_args!("{name}: {word}; its committed row stays"))
                }
                Outcome::Added | Outcome::Replaced | Outcome::Kept => {}
            }
        }
        self.save_exact()
    }

    /// Counts the images of the selected variants, and those of the bases in
    /// hand that are `wanted`.
    ///
    /// # Errors
    /// When an image cannot be read.
    pub fn count(
        &self,
        progress: &Progress,
        wanted: impl Fn(&Provided) -> bool,
    ) -> Result<Counted> {
        let step = progress.step("sizes", (self.variants() + self.provided.len()) as u64);
        let mut counted = Counted::default();
        for base in &self.provided {
            if wanted(base) {
                counted.bases.push(self.base_row(base)?);
            }
            step.advance(1);
        }
        for job in self.jobs() {
            counted.images.push(self.image_rows(job)?);
            step.advance(1);
        }
        step.done("counted");
        Ok(counted)
    }

    /// Whether the committed row of the base is about these very bytes.
    fn is_recorded(&self, base: &Provided) -> bool {
        let key = (base.name.context_key(), self.platform.to_string());
        let row = self.base_rows.get(&key);
        row.is_some_and(|row| row.digest.as_ref() == Some(base.layout.digest()))
    }

    fn base_row(&self, provided: &Provided) -> Result<BaseRow> {
        let base = self
            .bases
            .get(&provided.name)
            .context("bases come from bases.toml")?;
        let sizes = sizes::measure(&provided.layout, &Default::default())?;
        let published = (base.published_transfer_bytes, base.published_unpacked_bytes);
        let notes = [base.published_source.as_deref(), base.note.as_deref()];
        Ok(BaseRow {
            base: provided.name.context_key(),
            platform: self.platform.to_string(),
            source: provided.source.to_owned(),
            transfer_bytes: Some(sizes.transfer_bytes),
            unpacked_bytes: Some(sizes.unpacked_bytes),
            published_transfer_bytes: published.0,
            published_unpacked_bytes: published.1,
            transfer_difference_permille: difference_permille(
                Some(sizes.transfer_bytes),
                published.0,
            ),
            unpacked_difference_permille: difference_permille(
                Some(sizes.unpacked_bytes),
                published.1,
            ),
            layers: Some(sizes.layers.len() as u64),
            id: self.id_of(provided),
            digest: Some(provided.layout.digest().clone()),
            note: notes
                .into_iter()
                .flatten()
                .map(|note| note.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join("; "),
        })
    }

    fn id_of(&self, provided: &Provided) -> Option<Id> {
        crate::record::cell::Cell::parse(&provided.id)
    }

    fn image_rows(&self, job: Job<'_>) -> Result<ImageRows> {
        let row = self.named_row(job);
        let Some(record) = self.built(job) else {
            let error = self
                .errors
                .get(&job.key())
                .copied()
                .unwrap_or(ErrorWord::BuildFailed);
            return Ok(ImageRows {
                size: SizeRow {
                    error: Some(error),
                    ..row
                },
                ..ImageRows::default()
            });
        };
        let layout = Layout::open(&self.project.image(&job.suite.name, &job.variant.name))?;
        let base = self.base_of(job);
        let base_layers = base
            .map(|base| base.layout.leading_layers(base.layout.layers().len()))
            .unwrap_or_default();
        let (sizes, walk) = sizes::measure_walked(&layout, &base_layers)
            .with_context(|| format!("{}: cannot be counted", job.name()))?;
        let layers = layer_rows(&row, &layout, &sizes, &record);
        let files = file_rows(&row, &walk);
        let size = SizeRow {
            transfer_bytes: Some(sizes.transfer_bytes),
            unpacked_bytes: Some(sizes.unpacked_bytes),
            layer_file_bytes: Some(sizes.layer_file_bytes),
            content_bytes: Some(sizes.content_bytes),
            wasted_bytes: Some(sizes.wasted_bytes),
            base_transfer_bytes: Some(sizes.base_transfer_bytes),
            app_transfer_bytes: Some(sizes.app_transfer_bytes),
            layers: Some(sizes.layers.len() as u64),
            files: Some(sizes.files),
            reproducible: Some(record.reproducible),
            app_sha256: sizes.app.map(|app| app.sha256),
            digest: Some(layout.digest().clone()),
            ..row
        };
        Ok(ImageRows {
            size,
            layers,
            files,
        })
    }

    /// The columns that say what was built, whether or not it came out.
    fn named_row(&self, job: Job<'_>) -> SizeRow {
        let images = &job.variant.images;
        let base = self.base_of(job);
        let ids = images
            .build_bases()
            .into_iter()
            .filter_map(|name| Some(format!("{}={}", name.context_key(), self.find(name)?.id)));
        SizeRow {
            suite: job.suite.name.clone(),
            variant: job.variant.name.clone(),
            platform: self.platform.to_string(),
            base: images
                .base
                .as_ref()
                .map_or_else(|| "scratch".to_owned(), |name| name.context_key()),
            base_source: base.map(|base| base.source.to_owned()).unwrap_or_default(),
            base_id: base.and_then(|base| self.id_of(base)),
            build_base_ids: ids.collect::<Vec<_>>().join(" "),
            dockerfile_id: Some(Id::from(&job.variant.dockerfile_id)),
            context_id: Some(Id::from(&job.variant.context_id)),
            builder: self.builder_id.clone().unwrap_or_default(),
            method: method(),
            inputs: self.inputs(job).as_ref().map(Id::from),
            ..SizeRow::default()
        }
    }
}

fn layer_rows(
    row: &SizeRow,
    layout: &Layout,
    sizes: &sizes::Sizes,
    record: &ImageRecord,
) -> Vec<LayerRow> {
    let made = layout
        .config()
        .history()
        .iter()
        .flatten()
        .filter(|entry| entry.empty_layer() != Some(true));
    let mut created_by =
        made.map(|entry| one_line(entry.created_by().as_deref().unwrap_or_default()));
    let numbered = (1..).zip(&sizes.layers).zip(
        record
            .buildkit_transfer_bytes
            .iter()
            .copied()
            .chain(std::iter::repeat(None)),
    );
    numbered
        .map(|((number, layer), buildkit)| LayerRow {
            suite: row.suite.clone(),
            variant: row.variant.clone(),
            platform: row.platform.clone(),
            layer: number,
            transfer_bytes: Some(layer.transfer_bytes),
            buildkit_transfer_bytes: buildkit,
            unpacked_bytes: Some(layer.unpacked_bytes),
            layer_file_bytes: Some(layer.layer_file_bytes),
            files: Some(layer.files),
            origin: Some(if layer.from_base {
                Origin::Base
            } else {
                Origin::App
            }),
            created_by: created_by.next().unwrap_or_default(),
            digest: Some(layer.digest.clone()),
            diff_id: Some(layer.diff_id.clone()),
            inputs: row.inputs.clone(),
        })
        .collect()
}

fn file_rows(row: &SizeRow, walk: &Walk) -> Vec<FileRow> {
    let files = distinct_files(walk);
    let ranked = (1..).zip(largest(&files, FILES_OF_IMAGE_MAX));
    ranked
        .map(|(rank, file)| FileRow {
            suite: row.suite.clone(),
            variant: row.variant.clone(),
            platform: row.platform.clone(),
            rank,
            path: paths::absolute(file.path),
            content_bytes: file.bytes,
            layer: layer_number(file.place.layer).into(),
            inputs: row.inputs.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::{
        testing::{Tar, image},
        walk::walk,
    };

    #[test]
    fn ten_files_have_rows_and_hard_links_are_one_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let small = (0..12).fold(Tar::new(), |tar, at| tar.file(&format!("{at:02}"), [0; 5]));
        let lower = small.finish();
        let upper = Tar::new()
            .file("a\nb", [0; 7])
            .hardlink("link", "a\nb")
            .finish();
        let layout = image(folder.path(), &[lower, upper], json!({}));
        let size = SizeRow {
            variant: "slim".to_owned(),
            ..SizeRow::default()
        };
        let rows = file_rows(&size, &walk(&layout, |_| false).unwrap());
        let found = |row: &FileRow| (row.rank, row.path.clone(), row.content_bytes, row.layer);
        assert_eq!(rows.len(), FILES_OF_IMAGE_MAX);
        assert_eq!(found(&rows[0]), (1, r"/a\nb".to_owned(), 7, 2));
        assert_eq!(found(&rows[1]), (2, "/00".to_owned(), 5, 1));
        assert_eq!(found(&rows[9]), (10, "/08".to_owned(), 5, 1));
        assert!(rows.iter().all(|row| row.variant == "slim"));
    }
}
