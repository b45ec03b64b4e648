//! Image names: one image may be written in several ways.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::Digest;

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_PREFIX: &str = "library/";

/// A checked image name, compared by what it means: `golang`, `golang:latest`
/// and `docker.io/library/golang:latest` are equal.
///
/// It prints as a person would write it (`golang:1.23`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageName {
    /// The registry, for example `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in its registry, for example `library/golang`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; a name with neither tag nor digest has `latest`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// With nothing left to defaults: `docker.io/library/golang:1.23`.
    pub fn full(&self) -> String {
        self.with_version(format!("{}/{}", self.domain, self.path))
    }

    /// The key under which BuildKit looks for a named context that replaces
    /// this image, as in `--build-context KEY=…`: the familiar name without
    /// `:latest`.
    pub fn context_key(&self) -> String {
        let name = self.to_string();
        match name.strip_suffix(":latest") {
            Some(short) => short.to_owned(),
            None => name,
        }
    }

    fn with_version(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        if let Some(digest) = &self.digest {
            name = format!("{name}@{digest}");
        }
        name
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let familiar = if self.domain == DEFAULT_DOMAIN {
            let path = self.path.strip_prefix(DEFAULT_PREFIX);
            path.unwrap_or(&self.path).to_owned()
        } else {
            format!("{}/{}", self.domain, self.path)
        };
        f.write_str(&self.with_version(familiar))
    }
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let wrong = || format!("`{written}` is not an image reference");
        let (rest, digest) = match written.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse::<Digest>().map_err(|_| wrong())?;
                (rest, Some(digest))
            }
            None => (written, None),
        };
        // A colon before a slash is a port, not a tag.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let (domain, path) = split_domain(name);
        let domain_ok = !domain.is_empty() && domain.bytes().all(is_domain_byte);
        let path_ok = path.split('/').all(is_path_component);
        if !domain_ok || !path_ok || !tag.as_deref().is_none_or(is_tag) {
            return Err(wrong());
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag,
        };
        Ok(Self {
            domain,
            path,
            tag,
            digest,
        })
    }
}

/// Only what looks like a host is one: it has a dot or a port, or is localhost.
fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.contains(|c: char| c.is_ascii_uppercase()) =>
        {
            (host, path.to_owned())
        }
        _ => (DEFAULT_DOMAIN, name.to_owned()),
    };
    match domain {
        DEFAULT_DOMAIN | "index.docker.io" if !path.contains('/') => {
            (DEFAULT_DOMAIN.to_owned(), format!("{DEFAULT_PREFIX}{path}"))
        }
        "index.docker.io" => (DEFAULT_DOMAIN.to_owned(), path),
        domain => (domain.to_owned(), path),
    }
}

fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']')
}

/// Lowercase words joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    component.starts_with(is_word)
        && component.ends_with(is_word)
        && component
            .split(is_word)
            .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128
        && tag.starts_with(is_first)
        && tag.chars().all(|c| is_first(c) || matches!(c, '.' | '-'))
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(written: &str) -> ImageName {
        written.parse().unwrap()
    }

    #[test]
    fn the_ways_of_writing_one_image_are_equal() {
        for (written, familiar, full, key) in [
            (
                "golang:1.23",
                "golang:1.23",
                "docker.io/library/golang:1.23",
                "golang:1.23",
            ),
            (
                "docker.io/library/golang:1.23",
                "golang:1.23",
                "docker.io/library/golang:1.23",
                "golang:1.23",
            ),
            (
                "index.docker.io/golang",
                "golang:latest",
                "docker.io/library/golang:latest",
                "golang",
            ),
            (
                "bitnami/redis",
                "bitnami/redis:latest",
                "docker.io/bitnami/redis:latest",
                "bitnami/redis",
            ),
            (
                "gcr.io/distroless/static-debian12",
                "gcr.io/distroless/static-debian12:latest",
                "gcr.io/distroless/static-debian12:latest",
                "gcr.io/distroless/static-debian12",
            ),
            (
                "localhost:5000/a__b:x",
                "localhost:5000/a__b:x",
                "localhost:5000/a__b:x",
                "localhost:5000/a__b:x",
            ),
        ] {
            assert_eq!(name(written).to_string(), familiar, "{written}");
            assert_eq!(name(written).full(), full, "{written}");
            assert_eq!(name(written).context_key(), key, "{written}");
            assert_eq!(name(&name(written).full()), name(written), "{written}");
        }
    }

    #[test]
    fn a_digest_stands_beside_the_tag_or_without_one() {
        let digest = Digest::of("");
        let both = name(&format!("alpine:3.22@{digest}"));
        assert_eq!(both.tag(), Some("3.22"));
        assert_eq!(both.context_key(), format!("alpine:3.22@{digest}"));
        let alone = name(&format!("alpine@{digest}"));
        assert_eq!(alone.tag(), None);
        assert_eq!(alone.digest(), Some(&digest));
        assert_eq!(
            (alone.domain(), alone.path()),
            ("docker.io", "library/alpine")
        );
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            ":1",
            "golang:",
            "Golang",
            "golang:1 2",
            "a//b",
            "/a",
            "a/",
            "-a",
            "a..b",
            "a___b",
            "golang:.1",
            "golang@sha256:00",
            "docker.io/",
        ] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
