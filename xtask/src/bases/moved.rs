//! What moved between two locks, in words.

use std::collections::BTreeMap;

use super::lock::{Entry, Lock, Origin, Package, Rebuild};
use crate::digest::Digest;

/// One line per thing that moved, each with its base and platform, such as
/// `golang:1.23 linux/amd64: openssl 3.0.17-1 -> 3.0.18-1`.
pub fn diff(old: &Lock, new: &Lock) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in old.iter() {
        if new.get(&entry.name, &entry.platform).is_none() {
            lines.push(format!("{}: removed", title(entry)));
        }
    }
    for entry in new.iter() {
        let title = title(entry);
        match old.get(&entry.name, &entry.platform) {
            None => lines.push(format!("{title}: added, {}", entry.source())),
            Some(before) => lines.extend(
                moves(before, entry)
                    .into_iter()
                    .map(|line| format!("{title}: {line}")),
            ),
        }
    }
    lines
}

fn title(entry: &Entry) -> String {
    format!("{} {}", entry.name.context_key(), entry.platform)
}

/// What moved inside one base, such as `openssl 3.0.17-1 -> 3.0.18-1`.
pub fn moves(old: &Entry, new: &Entry) -> Vec<String> {
    if old.source() != new.source() {
        // Package lists of different sources do not compare.
        return vec![format!("{} -> {}", old.source(), new.source())];
    }
    let mut lines = Vec::new();
    match (old.rebuild(), new.rebuild()) {
        (Some(old), Some(new)) => lines.extend(rebuild_moves(old, new)),
        (Some(_), None) => lines.push("no stand-in is allowed any more".to_owned()),
        (None, Some(_)) => lines.push("a stand-in is allowed now".to_owned()),
        (None, None) => {}
    }
    let is_made_here = matches!(new.origin, Origin::Rebuilt(_) | Origin::StandIn(_));
    if old.id() != new.id() && !is_made_here {
        lines.push(format!("{} -> {}", shown(old.id()), shown(new.id())));
    } else if lines.is_empty() && old.digest != new.digest {
        lines.push(format!("{} -> {}", shown(digest(old)), shown(digest(new))));
    }
    lines
}

fn shown(id: Option<String>) -> String {
    id.unwrap_or_else(|| "unresolved".to_owned())
}

fn digest(entry: &Entry) -> Option<String> {
    entry.digest.as_ref().map(Digest::short)
}

fn rebuild_moves(old: &Rebuild, new: &Rebuild) -> Vec<String> {
    let mut lines = Vec::new();
    if old.recipe_id != new.recipe_id {
        lines.push(format!("recipe {} -> {}", old.recipe_id, new.recipe_id));
    }
    lines.extend(version_moves(&old.toolchain, &new.toolchain));
    lines.extend(version_moves(&old.packages, &new.packages));
    lines
}

fn version_moves(old: &[Package], new: &[Package]) -> Vec<String> {
    let by_name = |list: &[Package]| -> BTreeMap<String, String> {
        list.iter()
            .map(|package| (package.name.clone(), package.version.clone()))
            .collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old != new => Some(format!("{name} {old} -> {new}")),
            (Some(old), None) => Some(format!("{name} {old} removed")),
            (None, Some(new)) => Some(format!("{name} {new} added")),
            _ => None,
        })
        .collect()
}
