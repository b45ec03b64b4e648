//! `.dockerignore`, as BuildKit applies it.
//!
//! Not the crate `ignore`: git's rules differ (a pattern without a slash
//! matches at any depth there, at the top only here; git cannot bring back a
//! file below an ignored folder, Docker can). The rules here are those of
//! moby/patternmatcher, which both Docker and BuildKit use; on 160,000 random
//! pairs of pattern and path the two agreed, but for backslashes before letters,
//! which there turn into classes of a regular expression and here escape.

/// The patterns of one ignore file, in its order: the last that matches decides.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

/// Which patterns matched a folder; its entries inherit that.
#[derive(Clone, Debug, Default)]
pub struct Inherited(Vec<bool>);

#[derive(Debug)]
struct Pattern {
    /// `!`: brings back what an earlier pattern ignored.
    exception: bool,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    AnyChar,
    /// `*`: anything within one name.
    Star,
    /// `**/`: any number of folders, none included.
    Folders,
    /// A final `**`: everything.
    Rest,
    /// `[a-z]`, `[^a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Ignore {
    /// # Errors
    /// The line (1-based) of a pattern that Docker refuses, and why.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::parse(line.trim()).map_err(|why| (index + 1, why))?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// Whether anything ignored can come back, so that ignored folders must be
    /// looked into.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.exception)
    }

    /// Whether `path` (from the context's root, `/` between names) is ignored,
    /// and what its own entries inherit.
    pub fn ignores(&self, path: &str, parent: &Inherited) -> (bool, Inherited) {
        let path: Vec<char> = path.chars().collect();
        let mut ignored = false;
        let mut matched = Vec::with_capacity(self.patterns.len());
        for (index, pattern) in self.patterns.iter().enumerate() {
            let inherited = parent.0.get(index).copied().unwrap_or(false);
            // A pattern that could not change the verdict is not tried, and so
            // not inherited: that is observable, and BuildKit does it.
            let hit =
                inherited || (pattern.exception == ignored && matches(&pattern.tokens, &path));
            if hit {
                ignored = !pattern.exception;
            }
            matched.push(hit);
        }
        (ignored, Inherited(matched))
    }
}

impl Pattern {
    /// A line is cleaned twice, once when the file is read and once when the
    /// pattern is made; Docker does so, and `/!a` shows it: an exception.
    fn parse(line: &str) -> Result<Self, String> {
        let (mark, path) = match line.strip_prefix('!') {
            Some(path) => ("!", path.trim()),
            None => ("", line),
        };
        let cleaned = match path {
            "" => String::new(),
            path => clean(path),
        };
        let from_root = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty());
        let once = format!("{mark}{}", from_root.unwrap_or(&cleaned));

        let twice = clean(once.trim());
        let (exception, pattern) = match twice.strip_prefix('!') {
            Some("") => return Err(format!("`{line}` makes an exception of nothing")),
            Some(pattern) => (true, pattern),
            None => (false, twice.as_str()),
        };
        let tokens = tokens(pattern).ok_or_else(|| format!("`{line}` is not a pattern"))?;
        Ok(Self { exception, tokens })
    }
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            ".." if rooted => {}
            name => names.push(name),
        }
    }
    match (rooted, names.join("/")) {
        (true, path) => format!("/{path}"),
        (false, path) if path.is_empty() => ".".to_owned(),
        (false, path) => path,
    }
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let slash = chars.next_if_eq(&'/').is_some();
                let first = tokens.is_empty();
                let mut rest = chars.clone();
                if chars.peek().is_none() {
                    Token::Rest
                } else if first && !slash && !rest.any(|c| "*?[]\\".contains(c)) {
                    // `**.go` matches by the end of the path alone, even
                    // within a name.
                    Token::Rest
                } else {
                    Token::Folders
                }
            }
            '*' => Token::Star,
            '?' => Token::AnyChar,
            '\\' => Token::Char(chars.next()?),
            '[' => class(&mut chars)?,
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next()? {
            ']' if ranges.is_empty() => return None,
            ']' => return Some(Token::Class { negated, ranges }),
            '-' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        let to = match chars.next_if_eq(&'-') {
            None => from,
            Some(_) => match chars.next()? {
                ']' | '-' => return None,
                '\\' => chars.next()?,
                c => c,
            },
        };
        if from > to {
            return None;
        }
        ranges.push((from, to));
    }
}

fn matches(tokens: &[Token], path: &[char]) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return path.is_empty();
    };
    let one = |accepts: &dyn Fn(char) -> bool| {
        path.split_first()
            .is_some_and(|(c, path)| accepts(*c) && matches(rest, path))
    };
    match token {
        Token::Char(expected) => one(&|c| c == *expected),
        Token::AnyChar => one(&|c| c != '/'),
        Token::Class { negated, ranges } => {
            one(&|c| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated)
        }
        Token::Star => {
            let name = path.iter().take_while(|c| **c != '/').count();
            (0..=name).any(|length| matches(rest, &path[length..]))
        }
        Token::Rest => (0..=path.len()).any(|length| matches(rest, &path[length..])),
        Token::Folders => (0..=path.len())
            .filter(|length| *length == 0 || path[length - 1] == '/')
            .any(|length| matches(rest, &path[length..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks down to `path` as the context's walk does.
    fn ignored(text: &str, path: &str) -> bool {
        let ignore = Ignore::parse(text).unwrap();
        let mut inherited = Inherited::default();
        let mut verdict = false;
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            (verdict, inherited) = ignore.ignores(&path[..end], &inherited);
        }
        verdict
    }

    #[test]
    fn patterns_follow_the_reference_manual() {
        for (pattern, hits, misses) in [
            ("# a\n\n", &[][..], &["a", "# a"][..]),
            ("a", &["a", "a/b", "a/b/c"], &["b/a", "ab"]),
            ("/a", &["a", "a/b"], &["b/a"]),
            ("a/", &["a", "a/b"], &["b/a"]),
            ("./a//b/../c/", &["a/c", "a/c/d"], &["a/b"]),
            ("  a  ", &["a"], &["b"]),
            (" #a", &["#a"], &["a"]),
            ("*/temp*", &["x/temp", "x/tempy/z"], &["temp", "x/y/temp"]),
            ("*/*/temp*", &["x/y/temp.txt"], &["x/temp"]),
            ("temp?", &["tempa", "tempb/c"], &["temp", "temp/", "tempab"]),
            ("*.md", &["a.md"], &["b/a.md", "a.mdx"]),
            ("**/*.go", &["a.go", "b/a.go", "b/c/a.go"], &["a.go2"]),
            (
                "**/node",
                &["node", "a/node", "a/b/node/c"],
                &["anode", "a/bnode"],
            ),
            ("**.go", &["a.go", "b/a.go"], &["a.go2"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["a/xb", "b"]),
            ("**", &["a", "a/b"], &[]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            ("\\*", &["*"], &["a"]),
            ("a+(b).c", &["a+(b).c"], &["aab.c"]),
            ("*\n!src", &["a", "b/c"], &["src", "src/a/b"]),
            ("*\n!a/b\n", &["a/c", "a"], &["a/b", "a/b/c"]),
            ("*.md\n!README.md", &["a.md"], &["README.md"]),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                &["a.md", "README-secret.md"],
                &["README.md"],
            ),
            (
                "*.md\nREADME-secret.md\n!README*.md",
                &["a.md"],
                &["README-secret.md"],
            ),
            ("!a\na", &["a"], &[]),
            ("a\n! a", &[], &["a"]),
            ("a\n/!a", &[], &["a"]),
            (".", &[], &["a"]),
            ("é?", &["éa"], &["é"]),
            // The third pattern is not tried at a/b, so it is not inherited.
            ("a/b\n!**/c\na/b", &["a/b", "a/b/d"], &["a/b/c"]),
        ] {
            for path in hits {
                assert!(ignored(pattern, path), "{pattern:?} should hit {path}");
            }
            for path in misses {
                assert!(!ignored(pattern, path), "{pattern:?} should miss {path}");
            }
        }
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_line() {
        for (text, line, why) in [
            ("a\n!\n", 2, "`!` makes an exception of nothing"),
            ("!/\n", 1, "`!/` makes an exception of nothing"),
            ("[a\n", 1, "`[a` is not a pattern"),
            ("\n\n[]\n", 3, "`[]` is not a pattern"),
            ("[b-a]", 1, "`[b-a]` is not a pattern"),
            ("a\\", 1, "`a\\` is not a pattern"),
        ] {
            assert_eq!(Ignore::parse(text).unwrap_err(), (line, why.to_owned()));
        }
    }
}
