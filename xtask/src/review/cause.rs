//! Why a row of `sizes.csv` moved: what its id columns say, and for a base that
//! was made anew, what moved inside it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Quote;
use crate::{
    bases::{self, Entry, Lock},
    digest::Digest,
    dockerfile::ImageName,
    record::{cell::Cell as _, exact::SizeRow},
};

/// How many packages stand beside a number; all of them stand with the bases.
const MOVES_SHOWN_MAX: usize = 3;

/// What a build is given, and the one part of what comes out that explains the
/// rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The final `FROM` names another base.
    Base,
    /// The same base from another source.
    BaseSource,
    /// The same base and source, and another content.
    BaseIdentity,
    /// An image that the build reads beside the base.
    BuildBase,
    ApplicationBinary,
    Dockerfile,
    Context,
    Builder,
    /// The version of our normalising and counting.
    Method,
    /// No column that names a cause moved.
    Unknown,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    pub kind: Kind,
    /// The base that it is about; empty where it is about none.
    pub base: String,
    /// Empty where there was nothing.
    pub before: String,
    /// Empty where there is nothing any more.
    pub after: String,
    /// What moved inside the base, such as `openssl 3.0.17-1 -> 3.0.18-1`.
    pub moves: Vec<String>,
}

/// The locks of both sides, where they have one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Locks<'a> {
    pub before: Option<&'a Lock>,
    pub after: Option<&'a Lock>,
}

/// Every reason that the columns give for `old` having become `new`; never none.
pub fn causes(old: &SizeRow, new: &SizeRow, locks: Locks<'_>) -> Vec<Cause> {
    let mut found: Vec<Cause> = base(old, new, locks).into_iter().collect();
    found.extend(build_bases(old, new, locks));
    let ids = [
        (Kind::ApplicationBinary, app(old), app(new)),
        (
            Kind::Dockerfile,
            old.dockerfile_id.text(),
            new.dockerfile_id.text(),
        ),
        (Kind::Context, old.context_id.text(), new.context_id.text()),
        (Kind::Builder, old.builder.clone(), new.builder.clone()),
        (Kind::Method, old.method.clone(), new.method.clone()),
    ];
    found.extend(
        ids.into_iter()
            // What is not known on one side explains nothing.
            .filter(|(_, before, after)| !before.is_empty() && !after.is_empty() && before != after)
            .map(|(kind, before, after)| Cause::of(kind, "", before, after)),
    );
    if found.is_empty() {
        found.push(Cause::of(Kind::Unknown, "", "", ""));
    }
    found
}

fn app(row: &SizeRow) -> String {
    row.app_sha256
        .as_ref()
        .map(Digest::short)
        .unwrap_or_default()
}

/// The first of its three columns that moved: it takes the others with it.
fn base(old: &SizeRow, new: &SizeRow, locks: Locks<'_>) -> Option<Cause> {
    let (before, after) = (old.base_id.text(), new.base_id.text());
    if old.base != new.base {
        Some(Cause::of(Kind::Base, "", &old.base, &new.base))
    } else if old.base_source != new.base_source {
        let (before, after) = (&old.base_source, &new.base_source);
        Some(Cause::of(Kind::BaseSource, &new.base, before, after))
    } else if before != after {
        let moves = locks.moves(&new.base, &new.platform, &before, &after);
        Some(Cause {
            moves,
            ..Cause::of(Kind::BaseIdentity, &new.base, before, after)
        })
    } else {
        None
    }
}

fn build_bases(old: &SizeRow, new: &SizeRow, locks: Locks<'_>) -> Vec<Cause> {
    let (before, after) = (pinned(&old.build_base_ids), pinned(&new.build_base_ids));
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    names
        .into_iter()
        .filter_map(|name| {
            let id = |ids: &BTreeMap<&str, &str>| {
                let id = ids.get(name).copied();
                id.unwrap_or_default().to_owned()
            };
            let (before, after) = (id(&before), id(&after));
            (before != after).then(|| Cause {
                moves: locks.moves(name, &new.platform, &before, &after),
                ..Cause::of(Kind::BuildBase, name, before, after)
            })
        })
        .collect()
}

/// The identities of `reference=id reference=id`, by reference.
fn pinned(ids: &str) -> BTreeMap<&str, &str> {
    ids.split_whitespace()
        .filter_map(|pin| pin.rsplit_once('='))
        .collect()
}

impl Locks<'_> {
    /// What moved inside a base between two of its identities; nothing where
    /// the locks hold other ones, because they explain nothing then.
    fn moves(self, reference: &str, platform: &str, before: &str, after: &str) -> Vec<String> {
        let Ok(name) = reference.parse::<ImageName>() else {
            return Vec::new();
        };
        let entry_of = |lock: Option<&Lock>, id: &str| entry(lock?, &name, platform, id);
        let (old, new) = (entry_of(self.before, before), entry_of(self.after, after));
        match (old, new) {
            (Some(old), Some(new)) => bases::moves(&old, &new),
            _ => Vec::new(),
        }
    }
}

/// What the lock says of a base, if that has this identity; of an archive that
/// was not at hand, its stand-in.
fn entry(lock: &Lock, name: &ImageName, platform: &str, id: &str) -> Option<Entry> {
    let locked = lock.get(name, platform)?;
    let candidates = [Some(locked.clone()), locked.otherwise()];
    candidates
        .into_iter()
        .flatten()
        .find(|entry| entry.id().as_deref() == Some(id))
}

impl Cause {
    fn of(kind: Kind, base: &str, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self {
            kind,
            base: base.to_owned(),
            before: before.into(),
            after: after.into(),
            moves: Vec::new(),
        }
    }

    /// In a few words, without what moved inside.
    pub fn short(&self, quote: Quote) -> String {
        let base = quote(&self.base);
        match self.kind {
            Kind::Base => format!("another base, {}", quote(&self.after)),
            Kind::BaseSource => format!("the source of base {base}"),
            Kind::BaseIdentity => format!("base {base}"),
            Kind::BuildBase => format!("build image {base}"),
            Kind::ApplicationBinary => "application binary".to_owned(),
            Kind::Dockerfile => "Dockerfile".to_owned(),
            Kind::Context => "context".to_owned(),
            Kind::Builder => "builder".to_owned(),
            Kind::Method => "method".to_owned(),
            Kind::Unknown => "no column that names a cause".to_owned(),
        }
    }

    /// With both sides of it, where these say more than that they differ.
    pub fn text(&self, quote: Quote) -> String {
        let sides = format!("{} -> {}", quote(&self.before), quote(&self.after));
        match self.kind {
            Kind::Base => format!("base {sides}"),
            Kind::BaseSource => format!("{}: {sides}", self.short(quote)),
            Kind::Builder | Kind::Method => format!("{} {sides}", self.short(quote)),
            Kind::BaseIdentity | Kind::BuildBase => {
                format!("{}: {}", self.short(quote), self.inside(quote))
            }
            _ => self.short(quote),
        }
    }

    /// What moved inside a base, or else its identities.
    fn inside(&self, quote: Quote) -> String {
        let id = |id: &str| match (id, self.kind) {
            ("", Kind::BuildBase) => "none".to_owned(),
            ("", _) => "unresolved".to_owned(),
            (id, _) => quote(id),
        };
        if self.moves.is_empty() {
            return format!("{} -> {}", id(&self.before), id(&self.after));
        }
        let first = self.moves.iter().take(MOVES_SHOWN_MAX);
        let mut shown: Vec<String> = first.map(|it| quote(it)).collect();
        let more = self.moves.len() - shown.len();
        if more > 0 {
            shown.push(format!("{more} more"));
        }
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{
        plain::as_it_is,
        testing::{AMD64, id, lock, size},
    };

    /// What is said of the row of `size` when it has become what `change` makes
    /// of it.
    fn said(change: impl FnOnce(&mut SizeRow)) -> Vec<String> {
        let old = size("scratch", 5);
        let mut new = old.clone();
        change(&mut new);
        texts(&causes(&old, &new, Locks::default()))
    }

    fn texts(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(|cause| cause.text(as_it_is)).collect()
    }

    #[test]
    fn every_id_column_is_a_cause_with_a_name() {
        assert_eq!(
            said(|row| row.base = "scratch".to_owned()),
            ["base debian:bookworm-slim -> scratch"]
        );
        assert_eq!(
            said(|row| row.base_source = "upstream".to_owned()),
            ["the source of base debian:bookworm-slim: rebuilt -> upstream"]
        );
        let (before, after) = (id("base").unwrap(), id("2").unwrap());
        assert_eq!(
            said(|row| row.base_id = id("2")),
            [format!("base debian:bookworm-slim: {before} -> {after}")]
        );
        assert_eq!(
            said(|row| row.base_id = None),
            [format!("base debian:bookworm-slim: {before} -> unresolved")]
        );
        assert_eq!(
            said(|row| row.build_base_ids = "a=1 golang:1.23=0123456789ab".to_owned()),
            ["build image a: none -> 1"]
        );
        let binary = |row: &mut SizeRow| row.app_sha256 = Some(Digest::of("2"));
        assert_eq!(said(binary), ["application binary"]);
        assert_eq!(said(|row| row.dockerfile_id = id("2")), ["Dockerfile"]);
        assert_eq!(said(|row| row.context_id = id("2")), ["context"]);
        assert_eq!(
            said(|row| row.builder = "docker 27".to_owned()),
            ["builder docker 26 -> docker 27"]
        );
        assert_eq!(
            said(|row| row.method = "normaliser 2".to_owned()),
            ["method normaliser 1 -> normaliser 2"]
        );
    }

    #[test]
    fn two_at_once_are_both_said_and_none_is_said_too() {
        let both = said(|row| {
            row.dockerfile_id = id("2");
            row.app_sha256 = Some(Digest::of("2"));
        });
        assert_eq!(both, ["application binary", "Dockerfile"]);
        let none = ["no column that names a cause"];
        assert_eq!(said(|row| row.transfer_bytes = Some(6)), none);
        assert_eq!(
            said(|row| row.app_sha256 = None),
            none,
            "not known is no cause"
        );
    }

    fn parsed(text: &str) -> Lock {
        Lock::parse("bases.lock".into(), text).unwrap()
    }

    fn locked_id(lock: &Lock, reference: &str) -> String {
        let name: ImageName = reference.parse().unwrap();
        lock.get(&name, AMD64).unwrap().id().unwrap()
    }

    #[test]
    fn a_rebuilt_base_names_its_packages_with_both_versions() {
        let base = "debian:bookworm-slim";
        let before = parsed(&lock(
            base,
            &["libc6 2.36-13", "a 1", "b 1", "c 1", "same 1"],
        ));
        let after = parsed(&lock(
            base,
            &["libc6 2.36-14", "a 2", "b 2", "c 2", "same 1"],
        ));
        let locks = Locks {
            before: Some(&before),
            after: Some(&after),
        };
        let with = |lock: &Lock| {
            let mut row = size("scratch", 5);
            row.base_id = crate::record::cell::Id::parse(&locked_id(lock, base));
            row.build_base_ids = format!("{base}={}", locked_id(lock, base));
            row
        };
        let found = causes(&with(&before), &with(&after), locks);
        assert_eq!(
            texts(&found),
            [
                "base debian:bookworm-slim: a 1 -> 2, b 1 -> 2, c 1 -> 2, 1 more",
                "build image debian:bookworm-slim: a 1 -> 2, b 1 -> 2, c 1 -> 2, 1 more",
            ]
        );
        assert_eq!(found[0].moves[3], "libc6 2.36-13 -> 2.36-14");

        // A lock that holds something else explains nothing.
        let elsewhere = Locks {
            before: Some(&after),
            after: Some(&after),
        };
        let found = causes(&with(&before), &with(&after), elsewhere);
        assert!(found[0].moves.is_empty(), "{found:?}");
    }

    #[test]
    fn a_stand_in_is_found_behind_its_archive() {
        let archive = |version: &str| {
            let sha256 = Digest::of("archive").hex();
            parsed(&format!(
                "[[base]]\nreference = \"alpine:3.22\"\nplatform = \"{AMD64}\"\nsource = \"archive\"\n\
                 digest = \"\"\nfile = \"a\"\nsha256 = \"{sha256}\"\notherwise = \"stand-in\"\n\
                 recipe_id = \"0123456789ab\"\npackages = [\"musl {version}\"]\n"
            ))
        };
        let (before, after) = (archive("1"), archive("2"));
        let stand_in = |lock: &Lock| {
            let name: ImageName = "alpine:3.22".parse().unwrap();
            let entry = lock.get(&name, AMD64).unwrap().otherwise().unwrap();
            entry.id().unwrap()
        };
        let locks = Locks {
            before: Some(&before),
            after: Some(&after),
        };
        let moves = locks.moves("alpine:3.22", AMD64, &stand_in(&before), &stand_in(&after));
        assert_eq!(moves, ["musl 1 -> 2"]);
    }
}
