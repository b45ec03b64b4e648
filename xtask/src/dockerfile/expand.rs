//! Variables and quotes in the words of a Dockerfile, as BuildKit's shell lexer
//! treats them in `ARG` and `FROM`.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// The build arguments in force.
pub type Args = BTreeMap<String, String>;

/// A word after expansion, and the variables in it that had no value: they
/// expand to nothing, which is seldom what was meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    pub text: String,
    pub unset: Vec<String>,
}

/// Expands `$NAME`, `${NAME}`, `${NAME-x}`, `${NAME:-x}`, `+`, `?` and removes
/// quotes and escapes.
///
/// # Errors
/// Unbalanced quotes or braces, `?` without a value, and the substitutions that
/// cut or replace (`#`, `%`, `/`), which no image reference has needed yet.
pub fn expand(word: &str, escape: char, args: &Args) -> Result<Expanded, String> {
    let mut lexer = Lexer {
        rest: word.chars().peekable(),
        escape,
        args,
        unset: Vec::new(),
    };
    let text = lexer.until(None)?;
    Ok(Expanded {
        text,
        unset: lexer.unset,
    })
}

/// Splits at white space outside quotes; quotes and escapes stay in the words.
pub fn words(line: &str, escape: char) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.push(String::new());
            continue;
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
            // Nothing is escaped inside single quotes.
            if c == escape && quote != Some('\'') {
                word.extend(chars.next());
                continue;
            }
        }
        quote = match (quote, c) {
            (None, '"' | '\'') => Some(c),
            (Some(open), c) if open == c => None,
            (quote, _) => quote,
        };
    }
    words.retain(|word| !word.is_empty());
    words
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    escape: char,
    args: &'a Args,
    unset: Vec<String>,
}

impl Lexer<'_> {
    /// Reads up to `stop`, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                c if Some(c) == stop => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                '\'' => text.push_str(&self.single_quoted()?),
                '"' => text.push_str(&self.double_quoted()?),
                c if c == self.escape => text.extend(self.rest.next()),
                c => text.push(c),
            }
        }
        match stop {
            None => Ok(text),
            Some(stop) => Err(format!("`{stop}` is missing")),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        for c in self.rest.by_ref() {
            match c {
                '\'' => return Ok(text),
                c => text.push(c),
            }
        }
        Err("the closing ' is missing".to_owned())
    }

    fn double_quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next() {
            match c {
                '"' => return Ok(text),
                '$' => text.push_str(&self.variable()?),
                c if c == self.escape => match self.rest.peek().copied() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        text.extend(self.rest.next());
                    }
                    _ => text.push(c),
                },
                c => text.push(c),
            }
        }
        Err("the closing \" is missing".to_owned())
    }

    fn variable(&mut self) -> Result<String, String> {
        if self.rest.next_if_eq(&'{').is_some() {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(self.plain(name))
    }

    fn plain(&mut self, name: String) -> String {
        match self.args.get(&name) {
            Some(value) => value.clone(),
            None => {
                self.unset.push(name);
                String::new()
            }
        }
    }

    fn braced(&mut self) -> Result<String, String> {
        let name = self.name();
        if name.is_empty() {
            return Err("`${` is not followed by a name".to_owned());
        }
        let mut operator = match self.rest.next() {
            Some('}') => return Ok(self.plain(name)),
            operator => operator,
        };
        let empty_is_unset = operator == Some(':');
        if empty_is_unset {
            operator = self.rest.next();
        }
        let word = match operator {
            None => return Err("`}` is missing".to_owned()),
            Some('-' | '+' | '?') => self.until(Some('}'))?,
            Some(other) => return Err(format!("`${{{name}{other}…}}` is not supported")),
        };
        let value = self
            .args
            .get(&name)
            .filter(|value| !(empty_is_unset && value.is_empty()));
        match (operator, value) {
            (Some('+'), Some(_)) => Ok(word),
            (Some('+'), None) => Ok(String::new()),
            (_, Some(value)) => Ok(value.clone()),
            (Some('?'), None) => Err(format!("{name} must be set: {word}")),
            (_, None) => Ok(word),
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self
            .rest
            .next_if(|c| *c == '_' || c.is_alphabetic() || c.is_numeric())
        {
            name.push(c);
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_follow_the_reference() {
        let args = Args::from([("V".into(), "1".into()), ("E".into(), String::new())]);
        for (word, expected) in [
            ("a", "a"),
            ("$V", "1"),
            ("a:$V-b", "a:1-b"),
            ("${V}x", "1x"),
            ("$", "$"),
            ("${V:-x}", "1"),
            ("${E:-x}", "x"),
            ("${E-x}", ""),
            ("${U:-x}", "x"),
            ("${U-x}", "x"),
            ("${U:-${V}y}", "1y"),
            ("${V:+x}", "x"),
            ("${E:+x}", ""),
            ("${E+x}", "x"),
            ("${U:+x}", ""),
            ("${V?no}", "1"),
            ("\\$V", "$V"),
            ("'$V'", "$V"),
            ("\"$V\"", "1"),
            ("\"\\\"\\n\"", "\"\\n"),
            ("\"a\"b'c'", "abc"),
        ] {
            let expanded = expand(word, '\\', &args).unwrap();
            assert_eq!(expanded.text, expected, "{word}");
            assert_eq!(expanded.unset, [""; 0], "{word}");
        }
        assert_eq!(expand("`$V", '`', &args).unwrap().text, "$V");
        assert_eq!(expand("a$U", '\\', &args).unwrap().unset, ["U"]);
    }

    #[test]
    fn what_cannot_be_expanded_says_why() {
        for (word, why) in [
            ("${V", "`}` is missing"),
            ("${V:-x", "`}` is missing"),
            ("${}", "`${` is not followed by a name"),
            ("${V%1}", "`${V%…}` is not supported"),
            ("${V/1/2}", "`${V/…}` is not supported"),
            ("${V:?give it}", "V must be set: give it"),
            ("'a", "the closing ' is missing"),
            ("\"a", "the closing \" is missing"),
        ] {
            assert_eq!(expand(word, '\\', &Args::new()), Err(why.to_owned()));
        }
    }

    #[test]
    fn words_keep_their_quotes() {
        assert_eq!(words(" A=1  B='x y'\tC ", '\\'), ["A=1", "B='x y'", "C"]);
        assert_eq!(
            words(r#"A=a\ b B="c \" d""#, '\\'),
            [r"A=a\ b", r#"B="c \" d""#]
        );
    }
}
