//! The part of YAML that our workflows are written in: maps and lists in blocks,
//! `[a, b]`, plain and quoted text, `|` for scripts.
//!
//! What it does not know it refuses, so that nothing can hide from the rules
//! behind an anchor, a tag, an escape, a folded line or a map in braces.

/// A value, and where it stands.
#[derive(Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// What stands behind the `#` of the value's line.
    pub comment: String,
    pub value: Value,
}

#[derive(Debug)]
pub enum Value {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries.find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[(String, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The text; empty for anything else.
    pub fn text(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            Value::List(_) | Value::Map(_) => "",
        }
    }

    /// The entries of all maps in here, however deep.
    pub fn all(&self) -> Vec<(&str, &Self)> {
        let mut found = Vec::new();
        for (key, node) in self.entries() {
            found.push((key.as_str(), node));
            found.extend(node.all());
        }
        for item in self.items() {
            found.extend(item.all());
        }
        found
    }
}

/// Reads a file whose top level is a map.
///
/// # Errors
/// The line, and what on it is not of the part that is known here.
pub fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader {
        lines: text.lines().map(str::to_owned).collect(),
        at: 0,
    };
    reader.map(0)
}

struct Reader {
    lines: Vec<String>,
    /// The line that is read next, counted from 0.
    at: usize,
}

impl Reader {
    /// The indentation and the content of the next line that says anything.
    fn peek(&mut self) -> Result<Option<(usize, String)>, String> {
        while let Some(line) = self.lines.get(self.at) {
            if line.contains(['\t', '\r']) {
                return self.refuse("a tab or a carriage return");
            }
            let content = line.trim_start_matches(' ');
            if !content.is_empty() && !content.starts_with('#') {
                return Ok(Some((line.len() - content.len(), content.to_owned())));
            }
            self.at += 1;
        }
        Ok(None)
    }

    fn refuse<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("{}: {what}", self.at + 1))
    }

    fn map(&mut self, indent: usize) -> Result<Node, String> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut line = self.at + 1;
        while let Some((found, content)) = self.peek()? {
            if found < indent {
                break;
            }
            if entries.is_empty() {
                line = self.at + 1;
            }
            let Some((name, rest)) = key(&content).filter(|_| found == indent) else {
                return self.refuse("no `key: value` of the map that it stands in");
            };
            if entries.iter().any(|(known, _)| known == name) {
                return self.refuse("a key for the second time");
            }
            entries.push((name.to_owned(), self.value(rest, indent)?));
        }
        Ok(node(line, Value::Map(entries)))
    }

    fn list(&mut self, indent: usize) -> Result<Node, String> {
        let line = self.at + 1;
        let mut items = Vec::new();
        while let Some((found, content)) = self.peek()? {
            if found < indent {
                break;
            }
            let Some(item) = content.strip_prefix("- ").filter(|_| found == indent) else {
                return self.refuse("no `- item` of the list that it stands in");
            };
            if key(item).is_some() {
                // The first entry of a map, which goes on below it.
                let indent = indent + 2;
                self.lines[self.at] = format!("{}{item}", " ".repeat(indent));
                items.push(self.map(indent)?);
            } else {
                items.push(self.scalar(item)?);
            }
        }
        Ok(node(line, Value::List(items)))
    }

    /// What stands behind a key, or below it.
    fn value(&mut self, rest: &str, indent: usize) -> Result<Node, String> {
        let line = self.at + 1;
        if rest == "|" {
            self.at += 1;
            return Ok(node(line, Value::Text(self.script(indent))));
        }
        if !rest.is_empty() && !rest.starts_with('#') {
            return self.scalar(rest);
        }
        self.at += 1;
        match self.peek()? {
            Some((found, content)) if found > indent && content.starts_with('-') => {
                self.list(found)
            }
            Some((found, _)) if found > indent => self.map(found),
            _ => Ok(node(line, Value::Text(String::new()))),
        }
    }

    /// The lines of a `|` block as they are, but for their indentation.
    fn script(&mut self, indent: usize) -> String {
        let mut lines = Vec::new();
        while let Some(line) = self.lines.get(self.at) {
            let content = line.trim_start_matches(' ');
            if !content.is_empty() && line.len() - content.len() <= indent {
                break;
            }
            lines.push(content);
            self.at += 1;
        }
        lines.join("\n")
    }

    /// A value that ends with its line.
    fn scalar(&mut self, text: &str) -> Result<Node, String> {
        let read = match text.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(text, quote),
            Some('[') => words(text),
            _ => plain(text),
        };
        let comment = |rest: &str| match rest.trim() {
            "" => Some(String::new()),
            words if rest.starts_with(' ') => Some(words.strip_prefix('#')?.trim().to_owned()),
            _ => None,
        };
        let Some((value, comment)) = read.and_then(|(value, rest)| Some((value, comment(rest)?)))
        else {
            return self.refuse("a value in a form that workflows here do not use");
        };
        self.at += 1;
        Ok(Node {
            line: self.at,
            comment,
            value,
        })
    }
}

fn node(line: usize, value: Value) -> Node {
    Node {
        line,
        comment: String::new(),
        value,
    }
}

/// `key` and the rest of its line.
fn key(content: &str) -> Option<(&str, &str)> {
    let (name, rest) = content.split_once(':')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_key = !name.is_empty() && name.bytes().all(is_plain);
    let is_whole = rest.is_empty() || rest.starts_with(' ');
    (is_key && is_whole).then(|| (name, rest.trim()))
}

/// Text in quotes, without an escape or a quote in it, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(Value, &str)> {
    let (inside, rest) = text[1..].split_once(quote)?;
    (!inside.contains('\\')).then(|| (Value::Text(inside.to_owned()), rest))
}

/// `[a, b]`, and what follows it.
fn words(text: &str) -> Option<(Value, &str)> {
    let (inside, rest) = text[1..].split_once(']')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = |text: &str| {
        let text = text.trim();
        let is_word = !text.is_empty() && text.chars().all(is_plain);
        is_word.then(|| node(0, Value::Text(text.to_owned())))
    };
    let words = inside.split(',').map(word).collect::<Option<Vec<Node>>>()?;
    Some((Value::List(words), rest))
}

/// Text without quotes, up to a comment.
fn plain(text: &str) -> Option<(Value, &str)> {
    let (value, rest) = text.split_at(text.find(" #").unwrap_or(text.len()));
    let value = value.trim_end();
    let special = [
        '{', '}', ']', ',', '&', '*', '!', '|', '>', '%', '@', '`', '?', '#', ':',
    ];
    let means_more = value.starts_with(special)
        || value.starts_with("- ")
        || value.ends_with(':')
        || value.contains(": ");
    (!means_more).then(|| (Value::Text(value.to_owned()), rest))
}
