//! What an image runs on, as `linux/amd64` or `linux/arm64/v8`.

use std::{fmt, str::FromStr};

use anyhow::ensure;

use super::paths::shown;

/// Operating system and architecture in Go's words, as OCI documents use them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// What containers on this machine run.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Whether an image for `self` is what somebody who asks for `wanted`
    /// means: a variant only counts where both sides name one.
    pub fn serves(&self, wanted: &Self) -> bool {
        let same_variant = match (&self.variant, &wanted.variant) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        same_variant && self.os == wanted.os && self.architecture == wanted.architecture
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            Some(&self.os),
            Some(&self.architecture),
            self.variant.as_ref(),
        ];
        // An image may call its platform anything, a line break included.
        let parts: Vec<_> = parts
            .into_iter()
            .flatten()
            .map(|it| shown(it.as_bytes()))
            .collect();
        f.write_str(&parts.join("/"))
    }
}

impl FromStr for Platform {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        ensure!(
            matches!(parts.len(), 2 | 3) && parts.iter().all(|part| !part.is_empty()),
            "`{text}` is not a platform of the form linux/amd64 or linux/arm64/v8"
        );
        Ok(Self {
            os: parts[0].to_owned(),
            architecture: parts[1].to_owned(),
            variant: parts.get(2).map(|&variant| variant.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_stays_on_its_line() {
        let platform = Platform {
            variant: Some("v8\nnote: all is well".to_owned()),
            ..Platform::here()
        };
        assert_eq!(platform.to_string().lines().count(), 1, "{platform}");
    }

    #[test]
    fn prints_what_it_parses_and_matches_loosely_on_variants() {
        let parse = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(parse("linux/arm64/v8").to_string(), "linux/arm64/v8");
        assert!(parse("linux/arm64/v8").serves(&parse("linux/arm64")));
        assert!(!parse("linux/arm/v6").serves(&parse("linux/arm/v7")));
        assert!("linux".parse::<Platform>().is_err());
        assert!("linux//v8".parse::<Platform>().is_err());
        assert_eq!(parse(&Platform::here().to_string()), Platform::here());
    }
}
