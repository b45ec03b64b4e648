//! What every workflow has to keep, whatever it does.

use crate::yaml::Node;

/// Whose jobs may write, and what. Everybody else reads.
pub const WRITERS: [(&str, &[&str]); 3] = [
    ("comment.yml", &["pull-requests"]),
    ("pages.yml", &["id-token", "pages"]),
    ("relock-bases.yml", &["contents", "pull-requests"]),
];

/// Words that a script must not say where it runs beside what a stranger wrote:
/// they fetch it, or start it.
const STARTS_OR_FETCHES: [&str; 19] = [
    "bash", "cargo", "checkout", "chmod", "clone", "docker", "env", "eval", "exec", "git", "make",
    "node", "npm", "perl", "python", "python3", "sh", "source", "sudo",
];

/// The lines that break a rule, and how.
type Found = Vec<(usize, String)>;

/// What is wrong with a workflow, as `file:line: what`.
pub fn findings(file: &str, root: &Node) -> Vec<String> {
    let mut found = Found::new();
    never_pull_request_target(root, &mut found);
    actions_are_pinned(root, &mut found);
    only_writers_write(file, root, &mut found);
    nothing_is_spliced_into_scripts(root, &mut found);
    strangers_work_is_only_read(root, &mut found);
    comparisons_have_their_history(root, &mut found);
    found
        .into_iter()
        .map(|(line, what)| format!("{file}:{line}: {what}"))
        .collect()
}

/// It runs with the base's token on the request's word.
fn never_pull_request_target(root: &Node, found: &mut Found) {
    const FORBIDDEN: &str = "pull_request_target";
    for (key, node) in root.all() {
        let said = node.items().iter().any(|item| item.text() == FORBIDDEN);
        if said || key == FORBIDDEN || node.text().contains(FORBIDDEN) {
            found.push((node.line, format!("`{FORBIDDEN}`; use `pull_request`")));
        }
    }
}

/// A tag can be moved to other code, a commit cannot. The comment says to a person
/// which one it is.
fn actions_are_pinned(root: &Node, found: &mut Found) {
    for (_, action) in root.all().into_iter().filter(|(key, _)| *key == "uses") {
        // A workflow of ours is of the same commit.
        if action.text().starts_with("./") {
            continue;
        }
        if !action
            .text()
            .split_once('@')
            .is_some_and(|(_, it)| is_commit(it))
        {
            let what = format!(
                "`{}` is not pinned by its commit's 40 digits",
                action.text()
            );
            found.push((action.line, what));
        }
        let version = action.comment.strip_prefix('v');
        if !version.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit())) {
            let what = format!("`{}` has no comment with its version", action.text());
            found.push((action.line, what));
        }
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A workflow states what its token may do, and that is reading. A right to write
/// is given to the job that needs it, and to nobody else.
fn only_writers_write(file: &str, root: &Node, found: &mut Found) {
    match root.get("permissions") {
        None => found.push((1, "no `permissions`".to_owned())),
        Some(permissions) => check(permissions, &[], found),
    }
    let writers = WRITERS.iter().filter(|(name, _)| *name == file);
    let writable: Vec<&str> = writers
        .flat_map(|(_, scopes)| scopes.iter().copied())
        .collect();
    for (_, job) in jobs(root) {
        if let Some(permissions) = job.get("permissions") {
            check(permissions, &writable, found);
        }
    }
}

fn check(permissions: &Node, writable: &[&str], found: &mut Found) {
    if permissions.entries().is_empty() {
        found.push((
            permissions.line,
            "`permissions` does not list its scopes".to_owned(),
        ));
    }
    for (scope, access) in permissions.entries() {
        let allowed = match access.text() {
            "read" | "none" => true,
            "write" => writable.contains(&scope.as_str()),
            _ => false,
        };
        if !allowed {
            let what = format!("`{scope}: {}` is not for this place", access.text());
            found.push((access.line, what));
        }
    }
}

/// An expression becomes part of the script before any shell reads it, so that a
/// title or a branch could bring commands. A variable is only ever a value.
fn nothing_is_spliced_into_scripts(root: &Node, found: &mut Found) {
    for (key, script) in root.all() {
        if matches!(key, "run" | "script") && script.text().contains("${{") {
            let what = "`${{ … }}` in a script; hand it over through `env`".to_owned();
            found.push((script.line, what));
        }
    }
}

/// After a `workflow_run` the token may write, while what it works on may be
/// anybody's. Without actions, and with scripts that neither fetch nor start
/// anything, there is nothing that a stranger's code could run in.
fn strangers_work_is_only_read(root: &Node, found: &mut Found) {
    if !is_started_by(root, "workflow_run") {
        return;
    }
    for (key, node) in root.all() {
        if key == "uses" {
            let what = format!("`{}`: no action runs after a `workflow_run`", node.text());
            found.push((node.line, what));
        }
        if key == "run" {
            found.extend(started(node.text()).map(|word| {
                let what = format!("`{word}` after a `workflow_run` could run a stranger's code");
                (node.line, what)
            }));
        }
    }
}

/// What a script may start or fetch: forbidden words, and commands that are paths.
fn started(script: &str) -> impl Iterator<Item = &str> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let words = code_lines(script).flat_map(move |line| line.split(move |c: char| !is_of_word(c)));
    let first = code_lines(script).filter_map(|line| line.split_whitespace().next());
    words
        .filter(|word| STARTS_OR_FETCHES.contains(word))
        .chain(first.filter(|word| word.starts_with(['.', '/', '"', '$']) || word.contains('/')))
}

/// Comments of a shell tell, and do nothing.
fn code_lines(script: &str) -> impl Iterator<Item = &str> {
    script.lines().filter(|line| !line.starts_with('#'))
}

/// A comparison begins at a commit that a shallow clone does not have.
fn comparisons_have_their_history(root: &Node, found: &mut Found) {
    for (name, job) in jobs(root) {
        let steps = job.get("steps").map(Node::items).unwrap_or_default();
        if !steps.iter().any(compares) {
            continue;
        }
        let text = |step: &Node, key: &str| step.get(key).map_or("", Node::text).to_owned();
        let checkouts: Vec<_> = steps
            .iter()
            .filter(|step| text(step, "uses").starts_with("actions/checkout@"))
            .collect();
        let is_deep = |step: &&Node| {
            step.get("with")
                .is_some_and(|with| text(with, "fetch-depth") == "0")
        };
        if checkouts.is_empty() || !checkouts.iter().all(is_deep) {
            let what = format!("job `{name}` compares without `fetch-depth: 0`");
            found.push((job.line, what));
        }
    }
}

fn compares(step: &Node) -> bool {
    let script = step.get("run").map_or("", Node::text);
    let words: Vec<&str> = script.split_whitespace().collect();
    words
        .windows(2)
        .any(|pair| pair[0] == "xtask" && matches!(pair[1], "diff" | "compare"))
}

fn jobs(root: &Node) -> &[(String, Node)] {
    root.get("jobs").map(Node::entries).unwrap_or_default()
}

/// Whether `on` names the event, in any of its three forms.
fn is_started_by(root: &Node, event: &str) -> bool {
    root.get("on").is_some_and(|on| {
        on.text() == event
            || on.get(event).is_some()
            || on.items().iter().any(|item| item.text() == event)
    })
}
