//! One-layer images from root filesystem archives.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::{
    Layout, LayoutWriter, Platform,
    canonical::{EPOCH_TEXT, Written},
    entries::TarReader,
    tree::Tree,
    unpack::{LayerStream, codec_of},
    writer::LayerBlob,
};

/// What an image of our own making says about how to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    pub platform: Platform,
    /// `NAME=value`.
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: Option<String>,
    pub working_dir: Option<String>,
}

impl ImageConfig {
    /// A config that starts nothing and sets nothing.
    pub fn bare(platform: Platform) -> Self {
        Self {
            platform,
            env: Vec::new(),
            entrypoint: Vec::new(),
            cmd: Vec::new(),
            user: None,
            working_dir: None,
        }
    }

    fn document(&self, created_by: &[String]) -> Value {
        let mut config = Map::new();
        let lists = [
            ("Env", &self.env),
            ("Entrypoint", &self.entrypoint),
            ("Cmd", &self.cmd),
        ];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            config.insert(key.to_owned(), json!(list));
        }
        let texts = [("User", &self.user), ("WorkingDir", &self.working_dir)];
        for (key, text) in texts {
            if let Some(text) = text {
                config.insert(key.to_owned(), json!(text));
            }
        }
        let history: Vec<Value> = created_by
            .iter()
            .map(|text| json!({"created": EPOCH_TEXT, "created_by": text}))
            .collect();
        let mut document = json!({
            "os": self.platform.os,
            "architecture": self.platform.architecture,
            "created": EPOCH_TEXT,
            "config": config,
            "history": history,
        });
        if let Some(variant) = &self.platform.variant {
            document["variant"] = json!(variant);
        }
        document
    }
}

/// Makes an archive a layer with its bytes as they are: a plain, gzip or zstd
/// tar. It is read once to take its diff ID and to see that it unpacks.
///
/// # Errors
/// For an archive that is packed otherwise (xz has no media type in OCI) or
/// does not unpack; names the file.
pub fn layer_from_archive(writer: &LayoutWriter, archive: &Path) -> Result<Written> {
    let read = || {
        let mut start = [0; 4];
        // A shorter file is no archive, and the tar reader says so.
        let _ = File::open(archive)?.read(&mut start)?;
        ensure!(
            start != [0xfd, b'7', b'z', b'X'],
            "xz is no codec of OCI layers; unpack it first"
        );
        let codec = codec_of(&start);
        let mut tar = TarReader::new(LayerStream::open(archive, codec)?);
        let mut tree = Tree::default();
        while let Some(entry) = tar.next_entry()? {
            tree.add(entry)?;
        }
        let unpacked = tar.finish()?.finish()?;
        let blob = writer.blob_from(File::open(archive)?, Some(&unpacked.digest))?;
        Ok(Written {
            layer: LayerBlob {
                blob,
                codec,
                diff_id: unpacked.diff_id,
            },
            unpacked_bytes: unpacked.unpacked_bytes,
        })
    };
    read().with_context(|| format!("archive {}", archive.display()))
}

/// Makes an image of layers that lie in the writer, each with the text that its
/// history shall show (`docker history`).
///
/// # Errors
/// When the folder cannot be written.
pub fn image_from_layers(
    writer: LayoutWriter,
    layers: &[(LayerBlob, String)],
    config: &ImageConfig,
) -> Result<Layout> {
    let (blobs, created_by): (Vec<LayerBlob>, Vec<String>) = layers.iter().cloned().unzip();
    writer.finish_image(config.document(&created_by), &blobs)
}
