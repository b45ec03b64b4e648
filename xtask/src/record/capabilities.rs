//! `capabilities.csv`: what an image can do beside weighing and starting, as a
//! container of it showed.

use super::{
    cell::{Answer, ErrorWord, Id},
    row::{of_variant, row},
};

row! {
    /// What an image can do, found by running it: one row per variant, platform and capability.
    CapabilityRow, key (suite: String, variant: String, platform: String, capability: String) {
        /// One application with its Dockerfile variants.
        suite: String,
        /// One Dockerfile of the suite.
        variant: String,
        /// Operating system and architecture, as `linux/amd64`.
        platform: String,
        /// What was asked, a word of [capabilities](#capabilities).
        capability: String,
        /// What came of it; `unknown` where nothing in the image can be asked.
        answer: Option<Answer>,
        /// What was found, where, and how many, or why not.
        detail: String,
        /// Why there is no answer.
        error: Option<ErrorWord>,
        /// The identity of the image's inputs, of its readiness probe and of the questions; while it stays, the row stays.
        inputs: Option<Id>,
    }
}

of_variant!(CapabilityRow);
