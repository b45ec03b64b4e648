//! The table below goes through Docker's reference, rule by rule.

use super::*;

const PLATFORM: &str = "linux/amd64";

fn read(text: &str) -> Result<Dockerfile, Vec<Problem>> {
    Dockerfile::read(Path::new("gin/a/Dockerfile"), text, PLATFORM)
}

/// `line written` of every reference, and the base.
fn summary(text: &str) -> (Vec<String>, String) {
    let dockerfile = read(text).unwrap_or_else(|found| panic!("{text}\n{found:?}"));
    let references = dockerfile
        .references
        .iter()
        .map(|r| format!("{} {}", r.line, r.written))
        .collect();
    let base = dockerfile
        .base
        .map_or_else(|| SCRATCH.to_owned(), |base| base.to_string());
    (references, base)
}

#[test]
fn references_follow_the_reference_manual() {
    let cases: &[(&str, &str, &[&str], &str)] = &[
        (
            "plain",
            "FROM alpine:3.22\n",
            &["1 alpine:3.22"],
            "alpine:3.22",
        ),
        (
            "lower case",
            "from alpine as a\n",
            &["1 alpine"],
            "alpine:latest",
        ),
        (
            "carriage returns",
            "FROM alpine:1\r\nRUN a\r\nFROM b:2\r\n",
            &["1 alpine:1", "3 b:2"],
            "b:2",
        ),
        (
            "byte order mark",
            "\u{feff}FROM alpine:1\n",
            &["1 alpine:1"],
            "alpine:1",
        ),
        ("indented", "  FROM alpine:1\n", &["1 alpine:1"], "alpine:1"),
        ("scratch", "FROM scratch\n", &[], "scratch"),
        (
            "digest",
            "FROM a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
            &["1 a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
            "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            "stage",
            "FROM go:1 AS build\nFROM build\n",
            &["1 go:1"],
            "go:1",
        ),
        (
            "chain of stages",
            "FROM a:1 AS x\nFROM x AS y\nFROM b:1\nFROM y\n",
            &["1 a:1", "3 b:1"],
            "a:1",
        ),
        (
            "stage on scratch",
            "FROM a:1\nFROM scratch AS s\nFROM s\n",
            &["1 a:1"],
            "scratch",
        ),
        (
            "stage names ignore case",
            "FROM a:1 AS Build\nFROM scratch\nCOPY --from=BUILD /a /\n",
            &["1 a:1"],
            "scratch",
        ),
        (
            "a stage is no image before it is defined",
            "FROM b\nFROM a:1 AS b\n",
            &["1 b", "2 a:1"],
            "a:1",
        ),
        (
            "a stage may have the name of its image",
            "FROM alpine AS alpine\nFROM alpine\n",
            &["1 alpine"],
            "alpine:latest",
        ),
        (
            "platform",
            "FROM --platform=linux/arm64 a:1 AS b\n",
            &["1 a:1"],
            "a:1",
        ),
        ("argument", "ARG V=1\nFROM a:$V\n", &["2 a:1"], "a:1"),
        (
            "whole image in an argument",
            "ARG I=a:1\nFROM ${I} AS b\n",
            &["2 a:1"],
            "a:1",
        ),
        (
            "argument made of arguments",
            "ARG V=1\nARG I=a:${V}\nFROM $I\n",
            &["3 a:1"],
            "a:1",
        ),
        (
            "two arguments on a line",
            "ARG V=1 W='x y'\nFROM a:${V}\n",
            &["2 a:1"],
            "a:1",
        ),
        (
            "quoted argument",
            "ARG V=\"1\"\nFROM a:${V}\n",
            &["2 a:1"],
            "a:1",
        ),
        (
            "default of an unset argument",
            "ARG V\nFROM a:${V:-2}\n",
            &["2 a:2"],
            "a:2",
        ),
        (
            "alternative",
            "ARG V=1\nFROM a:2${V:+-slim}\n",
            &["2 a:2-slim"],
            "a:2-slim",
        ),
        (
            "empty expansion",
            "ARG S\nFROM alpine${S}\n",
            &["2 alpine"],
            "alpine:latest",
        ),
        (
            "a stage's argument is not global",
            "ARG V=1\nFROM a:$V AS x\nARG V=2\nFROM b:$V\n",
            &["2 a:1", "4 b:1"],
            "b:1",
        ),
        (
            "built-in argument",
            "FROM a:${TARGETARCH}-$TARGETOS\n",
            &["1 a:amd64-linux"],
            "a:amd64-linux",
        ),
        (
            "copy from image",
            "FROM scratch\nCOPY --from=nginx:1 /a /b\n",
            &["2 nginx:1"],
            "scratch",
        ),
        (
            "copy from stage",
            "FROM a:1 AS b\nFROM scratch\nCOPY --link --from=b --chown=1:1 /a /b\n",
            &["1 a:1"],
            "scratch",
        ),
        (
            "copy from number",
            "FROM a:1\nFROM scratch\nCOPY --from=0 /a /b\n",
            &["1 a:1"],
            "scratch",
        ),
        (
            "copy from scratch",
            "FROM a:1\nCOPY --from=scratch /a /b\n",
            &["1 a:1"],
            "a:1",
        ),
        (
            "copy in exec form",
            "FROM a:1\nCOPY --from=b:1 [\"/a b\", \"/c\"]\n",
            &["1 a:1", "2 b:1"],
            "a:1",
        ),
        (
            "ADD takes no images",
            "FROM a:1\nADD https://example.com/b:1 /b\n",
            &["1 a:1"],
            "a:1",
        ),
        (
            "mount",
            "FROM a:1\nRUN --mount=type=bind,from=b:1,target=/b c\n",
            &["1 a:1", "2 b:1"],
            "a:1",
        ),
        (
            "several mounts",
            "FROM a:1\nRUN --mount=type=cache,target=/c \\\n  --mount=from=b:1,target=/b \\\n  --mount=FROM=c:1,target=/d d\n",
            &["1 a:1", "3 b:1", "4 c:1"],
            "a:1",
        ),
        (
            "quoted mount",
            "FROM a:1\nRUN --mount=\"type=bind,from=b:1,target=/b\" c\n",
            &["1 a:1", "2 b:1"],
            "a:1",
        ),
        (
            "mount from stage",
            "FROM a:1 AS b\nFROM c:1\nRUN --mount=from=b,target=/b c\n",
            &["1 a:1", "2 c:1"],
            "c:1",
        ),
        (
            "a command is no option",
            "FROM a:1\nRUN echo --mount=from=b:1 FROM c:1\n",
            &["1 a:1"],
            "a:1",
        ),
        (
            "continuation",
            "FROM \\\n  a:1 \\\n  AS b\n",
            &["2 a:1"],
            "a:1",
        ),
        (
            "comment between continued lines",
            "FROM \\\n# FROM b:1\n\n  a:1\n",
            &["4 a:1"],
            "a:1",
        ),
        (
            "comment",
            "# FROM b:1\nFROM a:1 # not a comment\n".trim_end_matches(" # not a comment\n"),
            &["2 a:1"],
            "a:1",
        ),
        (
            "escape",
            "# escape=`\nFROM `\n  a:1\nRUN c \\\nFROM b:1\n",
            &["3 a:1", "5 b:1"],
            "b:1",
        ),
        (
            "heredoc",
            "FROM a:1\nRUN <<EOF\nFROM b:1\nCOPY --from=c:1 a b\nEOF\nCOPY <<-'X' <<Y /c\n\tFROM d:1\n\tX\nFROM e:1\nY\nCOPY --from=f:1 a b\n",
            &["1 a:1", "11 f:1"],
            "a:1",
        ),
        (
            "trigger",
            "FROM a:1\nONBUILD COPY --from=b:1 /a /b\nONBUILD RUN --mount=from=c:1,target=/c d\n",
            &["1 a:1", "2 b:1", "3 c:1"],
            "a:1",
        ),
        (
            "syntax is no base",
            "# syntax=docker/dockerfile:1\nFROM a:1\n",
            &["2 a:1"],
            "a:1",
        ),
    ];
    for (what, text, references, base) in cases {
        let (found, found_base) = summary(text);
        assert_eq!(
            (found, found_base.as_str()),
            (references.iter().map(ToString::to_string).collect(), *base),
            "{what}"
        );
    }
}

#[test]
fn the_syntax_line_and_the_platform_are_reported() {
    let dockerfile =
        read("# escape=\\\n# syntax=docker/dockerfile:1.7\nFROM --platform=$BUILDPLATFORM a:1\n")
            .unwrap();
    assert_eq!(
        dockerfile.syntax,
        Some(Syntax {
            written: "docker/dockerfile:1.7".into(),
            line: 2
        })
    );
    assert_eq!(dockerfile.references[0].platform.as_deref(), Some(PLATFORM));
}

#[test]
fn another_frontend_is_refused() {
    for syntax in [
        "docker/dockerfile",
        "docker.io/docker/dockerfile:1.7-labs",
        "docker/dockerfile@sha256:00",
    ] {
        read(&format!("# syntax={syntax}\nFROM a:1\n")).unwrap();
    }
    for syntax in ["docker/dockerfile-upstream:master", "me/frontend"] {
        let found = read(&format!("# syntax={syntax}\nFROM a:1\n")).unwrap_err();
        assert_eq!(found[0].line, 1);
        assert!(found[0].what.contains(syntax), "{}", found[0].what);
    }
}

#[test]
fn the_built_in_frontend_reads_every_instruction_on_its_line() {
    for text in [
        "# syntax=docker/dockerfile:1\nFROM a:1\n",
        "# syntax = docker/dockerfile:1\n# escape=`\nFROM a:1\nRUN b `\n c\n",
        "# escape=`\n# SYNTAX=docker/dockerfile:1\n# check=skip=all\n# words\nFROM a:1\n",
    ] {
        let before = read(text).unwrap();
        let served = served_here(text, before.syntax.as_ref().unwrap());
        let after = read(&served).unwrap();
        assert_eq!(
            (after.syntax, after.references),
            (None, before.references),
            "{served}"
        );
        assert_eq!(served.lines().count(), text.lines().count());
        let escapes = |text: &str| {
            let parsed = parse_dockerfile::parse(text).unwrap();
            parsed.parser_directives.escape.map(|it| it.value.value)
        };
        assert_eq!(escapes(&served), escapes(text), "{served}");
    }
}

#[test]
fn build_bases_are_the_others_once_each() {
    let dockerfile =
        read("FROM go:1 AS b\nFROM go:1 AS c\nFROM a:1\nCOPY --from=n:1 a b\n").unwrap();
    let names: Vec<_> = dockerfile
        .build_bases()
        .into_iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["go:1", "n:1"]);
}

#[test]
fn every_mistake_names_its_line_and_its_mend() {
    let text = "ARG V\nFROM golang:$V\nFROM ${V%1}\nFROM Build AS a\nCOPY --from=$V a b\n\
                COPY --from=9 a b\nRUN --mount=from=A:1,target=/a b\n";
    let found = crate::problem::Problems(read(text).unwrap_err()).to_string();
    insta::assert_snapshot!(found, @"
    gin/a/Dockerfile:2: `golang:` is not an image reference: $V has no value
      mend: give it one above the first FROM: `ARG V=…`
    gin/a/Dockerfile:3: `${V%1}`: `${V%…}` is not supported
      mend: write the text out, or use ${NAME:-default}
    gin/a/Dockerfile:4: `Build` is not an image reference
      mend: write it as NAME:TAG, or as a stage's name
    gin/a/Dockerfile:5: `from=$V`: BuildKit expands no variables here
      mend: name a stage, `FROM $V AS NAME`, and use `from=NAME`
    gin/a/Dockerfile:6: there is no stage 9; the stages are 0 to 2
      mend: name the stage with `FROM … AS NAME` and copy `--from=NAME`
    gin/a/Dockerfile:7: `A:1` is not an image reference
      mend: write it as NAME:TAG, or as a stage's name
    ");
}

#[test]
fn what_is_no_dockerfile_is_said_with_its_line() {
    for (text, line, what) in [
        ("FROM a:1\nRUNN x\n", 2, "unknown instruction 'RUNN'"),
        ("RUN x\n", 1, "expected FROM"),
        ("# nothing\n", 0, "expected at least one FROM instruction"),
        (
            "FROM a:1\nRUN <<EOF\nx\n",
            3,
            "expected end of here-document (EOF), but reached eof",
        ),
        (
            "FROM a:1 AS b\nFROM a:1 AS b\n",
            2,
            "duplicate stage name 'b'",
        ),
    ] {
        let found = read(text).unwrap_err();
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(
            (found[0].line, found[0].what.as_str()),
            (line, format!("not a Dockerfile: {what}").as_str())
        );
        assert!(
            found[0]
                .mend
                .contains("docs.docker.com/reference/dockerfile")
        );
    }
}
