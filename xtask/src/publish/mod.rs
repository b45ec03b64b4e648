//! `cargo xtask publish`: charts, article and page out of `results/` and
//! `experiments/publish.toml`, and nothing else: the same rows, the same bytes.

mod evidence;
mod settings;

pub use evidence::Evidence;
pub use settings::Settings;
