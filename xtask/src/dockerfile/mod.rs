//! Which images a Dockerfile stands on.
//!
//! Instructions, here-documents, escapes and continuation lines are read by the
//! crate `parse-dockerfile`. Of the parsers tried on one Dockerfile that uses
//! everything the reference allows, it alone read it: `dockerfile-parser` 0.9
//! knows no here-documents and no `ARG` with two arguments, and
//! `dockerfile-parser-rs` 3.4 takes a comment's backslash for a continuation,
//! drops what follows, keeps one `--mount` of several and tells no lines. What
//! the names mean (variables, stages, numbers) follows BuildKit's own code.

mod expand;
mod image_name;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use parse_dockerfile::{ArgInstruction, Flag, FromInstruction, Instruction, Span};

pub use image_name::ImageName;

use crate::problem::{Problem, line_of};
use expand::{Args, Expanded, expand};

/// What BuildKit calls the base that is no image.
const SCRATCH: &str = "scratch";

/// The frontend that every engine has built in, under the name of its image.
const FRONTEND: &str = "docker/dockerfile";

/// The images that one Dockerfile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// Every image from outside, in the order of the file, as often as named.
    pub references: Vec<Reference>,
    /// What the last stage stands on, through all stages between; none is `scratch`.
    pub base: Option<ImageName>,
    /// The frontend that a `# syntax=` line asks for. It is not among the
    /// references: the engine's built-in frontend serves it, see [`served_here`].
    pub syntax: Option<Syntax>,
}

/// One image from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub name: ImageName,
    /// As BuildKit sees it: variables expanded, otherwise untouched.
    pub written: String,
    pub line: usize,
    /// The platform that `FROM --platform` asks for.
    pub platform: Option<String>,
}

/// A `# syntax=` directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    pub written: String,
    pub line: usize,
}

impl Dockerfile {
    /// Reads `text`, the Dockerfile `file`, as a build for `platform`
    /// (`linux/amd64`) on a machine of that platform would.
    pub fn read(file: &Path, text: &str, platform: &str) -> Result<Self, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = parse_dockerfile::parse(text).map_err(|error| {
            vec![Problem {
                file: file.to_owned(),
                line: error.line(),
                what: format!("not a Dockerfile: {error:#}"),
                mend: "correct this line; the rules: https://docs.docker.com/reference/dockerfile/"
                    .to_owned(),
            }]
        })?;
        let mut reader = Reader::new(file, text, platform, &parsed);
        for argument in parsed.global_args() {
            reader.global_argument(argument);
        }
        for stage in parsed.stages() {
            reader.stage(stage.from);
            for instruction in stage.instructions {
                reader.instruction(instruction);
            }
        }
        reader.finish()
    }

    /// Every image that the build reads, the base among them.
    pub fn images(&self) -> Vec<&ImageName> {
        let mut names: Vec<_> = self
            .references
            .iter()
            .map(|reference| &reference.name)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The images beside the base: those that build, or lend files.
    pub fn build_bases(&self) -> Vec<&ImageName> {
        let mut names = self.images();
        names.retain(|name| Some(*name) != self.base.as_ref());
        names
    }
}

/// `text` as the engine's built-in frontend is to read it. BuildKit fetches the
/// image of a `# syntax=` line even where that is the frontend that it has built
/// in, so the line becomes a comment; it goes below the other directives, because
/// a comment ends them, and every instruction keeps its line.
pub fn served_here(text: &str, syntax: &Syntax) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let at = syntax.line - 1;
    lines.remove(at);
    let below = lines[at..].iter().take_while(|line| is_directive(line));
    let at = at + below.count();
    let comment = format!("# served by the built-in frontend: {}\n", syntax.written);
    lines.insert(at, &comment);
    lines.concat()
}

fn is_directive(line: &str) -> bool {
    let name = line.strip_prefix('#').and_then(|rest| rest.split_once('='));
    name.is_some_and(|(name, _)| ["escape", "check"].contains(&name.trim().to_lowercase().as_str()))
}

/// What a stage stands on.
type Base = Option<ImageName>;

struct Reader<'t> {
    file: PathBuf,
    text: &'t str,
    escape: char,
    args: Args,
    /// All stage names: `COPY --from` may even name a later stage, which
    /// BuildKit then refuses; it is no image in any case.
    stage_names: Vec<String>,
    stage_count: usize,
    /// The stages so far, which is what `FROM` may name.
    bases: BTreeMap<String, Base>,
    syntax: Option<Syntax>,
    last_base: Base,
    references: Vec<Reference>,
    found: Vec<Problem>,
}

impl<'t> Reader<'t> {
    fn new(
        file: &Path,
        text: &'t str,
        platform: &str,
        parsed: &parse_dockerfile::Dockerfile<'_>,
    ) -> Self {
        let directives = &parsed.parser_directives;
        let names = parsed
            .stages()
            .filter_map(|stage| Some(stage.from.as_.as_ref()?.1.value.to_lowercase()));
        Self {
            file: file.to_owned(),
            text,
            escape: directives
                .escape
                .as_ref()
                .map_or('\\', |escape| escape.value.value),
            args: platform_args(platform),
            stage_names: names.collect(),
            stage_count: parsed.stages().len(),
            bases: BTreeMap::new(),
            syntax: directives.syntax.as_ref().map(|syntax| Syntax {
                written: syntax.value.value.to_owned(),
                line: line_of(text, syntax.value.span.start),
            }),
            last_base: None,
            references: Vec::new(),
            found: Vec::new(),
        }
    }

    fn finish(mut self) -> Result<Dockerfile, Vec<Problem>> {
        self.frontend();
        if !self.found.is_empty() {
            return Err(self.found);
        }
        Ok(Dockerfile {
            references: self.references,
            base: self.last_base,
            syntax: self.syntax,
        })
    }

    /// Another frontend may read the file in any way, and would be an image more.
    fn frontend(&mut self) {
        let Some(syntax) = &self.syntax else { return };
        let name = syntax.written.split_whitespace().next().unwrap_or_default();
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let tag = name.strip_prefix(FRONTEND);
        if tag.is_some_and(|tag| tag.is_empty() || tag.starts_with([':', '@'])) {
            return;
        }
        self.found.push(Problem {
            file: self.file.clone(),
            line: syntax.line,
            what: format!(
                "`# syntax={}` asks for a frontend that the engine has not built in",
                syntax.written
            ),
            mend: format!("remove the line, or write `# syntax={FRONTEND}:1`"),
        });
    }

    fn global_argument(&mut self, argument: &ArgInstruction<'_>) {
        for word in expand::words(&argument.arguments.value, self.escape) {
            // Without `=` an argument keeps the value it has, if it has one.
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            if let Some(value) = self.expanded(value, &argument.arguments.span) {
                self.args.insert(name.to_owned(), value.text);
            }
        }
    }

    fn stage(&mut self, from: &FromInstruction<'_>) {
        let base = self.from(from);
        if let Some((_, name)) = &from.as_ {
            self.bases.insert(name.value.to_lowercase(), base.clone());
        }
        self.last_base = base;
    }

    fn from(&mut self, from: &FromInstruction<'_>) -> Base {
        let span = &from.image.span;
        let image = self.expanded(&from.image.value, span)?;
        if image.text == SCRATCH {
            return None;
        }
        if let Some(base) = self.bases.get(&image.text) {
            return base.clone();
        }
        let platform = from
            .options
            .iter()
            .find(|flag| flag.name.value == "platform")
            .and_then(|flag| flag.value.as_ref())
            .and_then(|value| self.expanded(&value.value, &value.span))
            .map(|platform| platform.text);
        self.reference(image, span, platform)
    }

    fn instruction(&mut self, instruction: &Instruction<'_>) {
        match instruction {
            Instruction::Copy(copy) => self.copy(&copy.options),
            Instruction::Run(run) => self.mounts(&run.options),
            // The trigger runs in whatever stage stands on this one.
            Instruction::Onbuild(onbuild) => self.instruction(&onbuild.instruction),
            _ => {}
        }
    }

    fn copy(&mut self, options: &[Flag<'_>]) {
        let from = options.iter().find(|flag| flag.name.value == "from");
        let Some(value) = from.and_then(|flag| flag.value.as_ref()) else {
            return;
        };
        match value.value.parse::<usize>() {
            Ok(number) if number < self.stage_count => {}
            Ok(number) => {
                let line = line_of(self.text, value.span.start);
                self.found.push(self.problem(
                    line,
                    format!(
                        "there is no stage {number}; the stages are 0 to {}",
                        self.stage_count - 1
                    ),
                    "name the stage with `FROM … AS NAME` and copy `--from=NAME`",
                ));
            }
            Err(_) => self.outside(&value.value, &value.span),
        }
    }

    fn mounts(&mut self, options: &[Flag<'_>]) {
        for flag in options.iter().filter(|flag| flag.name.value == "mount") {
            let Some(value) = &flag.value else { continue };
            let fields = value.value.replace(['"', '\''], "");
            let from = fields.split(',').find_map(|field| {
                let (key, value) = field.split_once('=')?;
                key.eq_ignore_ascii_case("from").then_some(value)
            });
            if let Some(from) = from {
                self.outside(from, &value.span);
            }
        }
    }

    /// `--from` and `from=`: a stage, `scratch`, or an image, and no variables.
    fn outside(&mut self, written: &str, span: &Span) {
        if written.contains('$') {
            let line = line_of(self.text, span.start);
            self.found.push(self.problem(
                line,
                format!("`from={written}`: BuildKit expands no variables here"),
                format!("name a stage, `FROM {written} AS NAME`, and use `from=NAME`"),
            ));
        } else if written != SCRATCH && !self.stage_names.contains(&written.to_lowercase()) {
            let image = Expanded {
                text: written.to_owned(),
                unset: Vec::new(),
            };
            self.reference(image, span, None);
        }
    }

    fn reference(
        &mut self,
        image: Expanded,
        span: &Span,
        platform: Option<String>,
    ) -> Option<ImageName> {
        let line = line_of(self.text, span.start);
        match image.text.parse::<ImageName>() {
            Ok(name) => {
                self.references.push(Reference {
                    name: name.clone(),
                    written: image.text,
                    line,
                    platform,
                });
                Some(name)
            }
            Err(what) => {
                self.found.push(match image.unset.first() {
                    None => self.problem(line, what, "write it as NAME:TAG, or as a stage's name"),
                    Some(unset) => self.problem(
                        line,
                        format!("{what}: ${unset} has no value"),
                        format!("give it one above the first FROM: `ARG {unset}=…`"),
                    ),
                });
                None
            }
        }
    }

    fn expanded(&mut self, word: &str, span: &Span) -> Option<Expanded> {
        match expand(word, self.escape, &self.args) {
            Ok(expanded) => Some(expanded),
            Err(why) => {
                let line = line_of(self.text, span.start);
                self.found.push(self.problem(
                    line,
                    format!("`{word}`: {why}"),
                    "write the text out, or use ${NAME:-default}",
                ));
                None
            }
        }
    }

    fn problem(&self, line: usize, what: impl Into<String>, mend: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line,
            what: what.into(),
            mend: mend.into(),
        }
    }
}

/// The arguments that BuildKit sets by itself in the global scope.
fn platform_args(platform: &str) -> Args {
    let mut parts = platform.split('/');
    let mut part = || parts.next().unwrap_or_default();
    let (os, arch, variant) = (part(), part(), part());
    let mut args = Args::new();
    for side in ["BUILD", "TARGET"] {
        for (name, value) in [
            ("PLATFORM", platform),
            ("OS", os),
            ("ARCH", arch),
            ("VARIANT", variant),
        ] {
            args.insert(format!("{side}{name}"), value.to_owned());
        }
    }
    args
}
