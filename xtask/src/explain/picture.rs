//! What an image says of itself: identity, totals, layers, contents, and what a
//! reader of these numbers should know.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    contents::Contents,
    known::Base,
    report::{Application, Identity, Layer, Linking, Report, Totals},
    source::Source,
};
use crate::{
    digest::Digest,
    image::{
        Codec, Layout, Sizes, Walk, app_binary, paths,
        program::Program,
        sizes::{LayerSizes, of_walk},
    },
    record::{
        cell::Origin,
        exact::{SizeRow, one_line},
    },
};

/// An image that was read to its end.
pub struct Picture<'a> {
    source: &'a Source,
    walk: &'a Walk,
    base: Option<Base>,
    /// What results/ has of it.
    row: Option<&'a SizeRow>,
}

impl<'a> Picture<'a> {
    pub fn of(
        source: &'a Source,
        walk: &'a Walk,
        base: Option<Base>,
        row: Option<&'a SizeRow>,
    ) -> Self {
        let scratch = || {
            let name = row.filter(|row| row.base == "scratch")?.base.clone();
            Some(Base { name, layers: 0 })
        };
        Self {
            source,
            walk,
            base: base.or_else(scratch),
            row,
        }
    }

    /// # Errors
    /// When a layer cannot be read a second time.
    pub fn report(&self, top: usize) -> Result<Report> {
        let layout = &self.source.layout;
        let base_layers = self.base.as_ref().map_or(0, |base| base.layers);
        let sizes = of_walk(layout, self.walk, &layout.leading_layers(base_layers), None);
        let application = self.application()?;
        let contents = Contents::of(self.walk);
        Ok(Report {
            name: self.source.name.clone(),
            notes: self.notes(application.as_ref()),
            identity: self.identity(application),
            totals: self.totals(&sizes),
            layers: self.layers(&sizes, &contents),
            largest_files: contents.largest_files(top),
            largest_folders: contents.largest_folders(top),
            wasted: contents.wasted(top),
            duplicates: contents.duplicates(top),
            alternatives: None,
            start: None,
        })
    }

    fn identity(&self, application: Option<Application>) -> Identity {
        let layout = &self.source.layout;
        let config = layout.config().config().as_ref();
        let words =
            |list: Option<&Option<Vec<String>>>| list.cloned().flatten().unwrap_or_default();
        let text = |text: Option<&Option<String>>| text.cloned().flatten().unwrap_or_default();
        Identity {
            digest: self.if_packed(layout.digest().clone()),
            config_digest: Digest::of(layout.config_bytes()),
            platform: layout.platform().to_string(),
            entrypoint: words(config.map(|it| it.entrypoint())),
            cmd: words(config.map(|it| it.cmd())),
            working_dir: text(config.map(|it| it.working_dir())),
            user: text(config.map(|it| it.user())),
            application,
        }
    }

    fn application(&self) -> Result<Option<Application>> {
        let layout = &self.source.layout;
        let Some(binary) = app_binary::find(layout, self.walk)? else {
            return Ok(None);
        };
        let program = match app_binary::locate(layout.config(), self.walk) {
            Some((_, place)) => Program::read(layout, self.walk, place)?,
            None => Program::Unknown,
        };
        let (linking, needs) = match program {
            Program::Static => (Linking::Static, None),
            Program::Dynamic(loader) => (Linking::Dynamic, Some(loader)),
            Program::Script(by) => (Linking::Script, Some(by)),
            Program::Unknown => (Linking::Unknown, None),
        };
        Ok(Some(Application {
            path: binary.path,
            bytes: binary.bytes,
            sha256: binary.sha256,
            linking,
            needs,
        }))
    }

    fn totals(&self, sizes: &Sizes) -> Totals {
        let base_known = self.base.is_some();
        let split = |bytes| self.if_packed(bytes).filter(|_| base_known);
        Totals {
            transfer_bytes: self.if_packed(sizes.transfer_bytes),
            unpacked_bytes: sizes.unpacked_bytes,
            layer_file_bytes: sizes.layer_file_bytes,
            content_bytes: sizes.content_bytes,
            wasted_bytes: sizes.wasted_bytes,
            files: sizes.files,
            base: self.base.as_ref().map(|base| base.name.clone()),
            base_transfer_bytes: split(sizes.base_transfer_bytes),
            app_transfer_bytes: split(sizes.app_transfer_bytes),
        }
    }

    fn layers(&self, sizes: &Sizes, contents: &Contents<'_>) -> Vec<Layer> {
        let wasted = contents.wasted_by_layer();
        let mut created_by = created_by(&self.source.layout).into_iter();
        let layer = |(layer, sizes): (u32, &LayerSizes)| Layer {
            layer,
            origin: self.base.as_ref().map(|_| match sizes.from_base {
                true => Origin::Base,
                false => Origin::App,
            }),
            created_by: created_by.next(),
            transfer_bytes: self.if_packed(sizes.transfer_bytes),
            unpacked_bytes: sizes.unpacked_bytes,
            layer_file_bytes: sizes.layer_file_bytes,
            wasted_bytes: wasted.get(&layer).copied().unwrap_or(0),
            files: sizes.files,
            digest: self.if_packed(sizes.digest.clone()),
            diff_id: sizes.diff_id.clone(),
        };
        (1..).zip(&sizes.layers).map(layer).collect()
    }

    /// A manifest that we made says nothing of what a registry would serve.
    fn if_packed<T>(&self, value: T) -> Option<T> {
        self.source.has_manifest.then_some(value)
    }

    fn notes(&self, application: Option<&Application>) -> Vec<String> {
        let layout = &self.source.layout;
        let mut notes = Vec::new();
        let plain = layout.layers().iter().filter(|it| it.codec == Codec::Plain);
        let plain: BTreeSet<&Digest> = plain.map(|it| &it.digest).collect();
        if !self.source.has_manifest {
            notes.push(
                "the archive holds no manifest, so the image's digest and its transfer bytes are not known"
                    .to_owned(),
            );
        } else if !plain.is_empty() {
            notes.push(format!(
                "{} of the layers are not packed, as some engines save them; from a registry they come packed",
                plain.len()
            ));
        }
        if created_by(layout).is_empty() && !layout.layers().is_empty() {
            notes.push("the history does not tell which instruction made which layer".to_owned());
        }
        if self.base.is_none() {
            notes.push("its base is none of those that results/ knows".to_owned());
        }
        notes.extend(self.row_note());
        notes.extend(application.and_then(|it| self.application_note(it)));
        notes
    }

    fn row_note(&self) -> Option<String> {
        let (suite, variant) = self.source.variant.as_ref()?;
        let name = format!("{suite}/{variant}");
        let Some(row) = self.row.filter(|row| row.transfer_bytes.is_some()) else {
            return Some(format!(
                "results/ has no sizes of it to hold beside others: cargo xtask size {name}"
            ));
        };
        let recorded = row.digest.as_ref()?;
        (recorded != self.source.layout.digest()).then(|| {
            format!(
                "results/ is about another image of it, {recorded}; mend: cargo xtask size {name}"
            )
        })
    }

    fn application_note(&self, application: &Application) -> Option<String> {
        let path = application.needs.as_deref()?;
        let needs = paths::shown(path.as_bytes());
        let what = match application.linking {
            Linking::Script => format!("{} is a script for {needs}", application.path),
            _ => format!(
                "{} is linked dynamically: it needs {needs} and its libraries, which scratch and \
                 static bases do not hold",
                application.path
            ),
        };
        let there = matches!(self.walk.lookup(path.as_bytes()), Ok(Some(_)));
        let missing = if there {
            ""
        } else {
            "; the image has no such file, so it cannot start"
        };
        Some(format!("{what}{missing}"))
    }
}

/// The instructions that made layers, lowest first; none where the history has
/// another number of them than there are layers.
fn created_by(layout: &Layout) -> Vec<String> {
    let history = layout.config().history();
    let made = history.iter().flatten();
    let made = made.filter(|entry| entry.empty_layer() != Some(true));
    let texts = made.map(|entry| one_line(entry.created_by().as_deref().unwrap_or_default()));
    let texts: Vec<String> = texts.collect();
    if texts.len() == layout.layers().len() {
        texts
    } else {
        Vec::new()
    }
}
