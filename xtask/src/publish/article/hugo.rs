//! The Korean article as a post of a Hugo site, with the front matter keys of
//! the article that it follows.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::preview;
use crate::publish::{Charts, Evidence, Lang, Output};

/// The chart on top, and in link previews.
const HEADLINE: &str = "gin-node-100mbit";
/// The post's file, and what its pictures' names begin with.
const SLUG: &str = "container-image-cost-test";
/// Those of the first article, so that the blog lists both under them.
const TAGS: &str = "[컨테이너, Alpine, Distroless, Docker]";
const CATEGORIES: &str = "[DevOps]";

/// The files of the post in the site at `site`. Its date is that of the newest
/// session that it shows.
///
/// # Errors
/// When the site's folder or the article's title is missing.
pub fn post(
    article: &str,
    evidence: &Evidence,
    charts: &Charts,
    site: &Path,
    draft: bool,
) -> Result<Vec<Output>> {
    ensure!(
        site.is_dir(),
        "{} is no folder; mend: hugo new site {0}",
        site.display()
    );
    let (title, body) = title_and_body(article)?;
    let date = date(evidence).context("environment.csv does not say when it was measured")?;
    let head = format!(
        "---\ntitle: {}\ndate: {date}\ntags: {TAGS}\ndraft: {draft}\ncategories: {CATEGORIES}\ncomments: true\n---\n\n",
        quoted(title)
    );
    let shown = body.replace("](charts/", "](/img/");
    let mut outputs = vec![Output::new(
        folder(site).join(format!("{SLUG}.md")),
        head + &of_hugo(&shown),
    )];
    let images = site.join("static/img");
    for chart in charts.0.iter().filter(|it| it.lang == Lang::Ko) {
        if shown.contains(&format!("](/img/{})", chart.file())) {
            outputs.push(Output::new(
                images.join(picture(&chart.file())),
                chart.svg.as_str(),
            ));
        }
    }
    if let Some(chart) = charts.get(HEADLINE, Lang::Ko) {
        outputs.push(Output::new(
            images.join(preview_name()),
            preview::png(&chart.svg)?,
        ));
    }
    Ok(outputs)
}

/// Where the site keeps its posts: Hugo's themes call the folder either way.
fn folder(site: &Path) -> std::path::PathBuf {
    let content = site.join("content");
    match content.join("post") {
        post if post.is_dir() => post,
        _ => content.join("posts"),
    }
}

fn picture(file: &str) -> String {
    format!("{SLUG}-{file}")
}

fn preview_name() -> String {
    picture("preview.png")
}

fn title_and_body(article: &str) -> Result<(&str, &str)> {
    let start = article
        .find("# ")
        .filter(|&at| article[..at].trim_end().is_empty());
    let rest = &article[start.context("the article begins with no title")? + 2..];
    let (title, body) = rest.split_once('\n').unwrap_or((rest, ""));
    Ok((title.trim(), body))
}

fn date(evidence: &Evidence) -> Option<&str> {
    let shown = evidence.node.iter().map(|row| row.session.as_str());
    shown
        .filter_map(|session| evidence.fact(session, "started_utc"))
        .max()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Hugo drops HTML and knows no files of this project; its own shortcode shows a
/// picture.
fn of_hugo(body: &str) -> String {
    let body = without_comments(body);
    let mut text = String::new();
    let mut blank = true;
    for line in body.lines() {
        if let Some((alt, file)) = image(line) {
            text.push_str(&figure(alt, file));
            blank = false;
            continue;
        }
        let line = without_relative_links(line);
        if line.trim().is_empty() && blank {
            continue;
        }
        blank = line.trim().is_empty();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn without_comments(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        left.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    left + rest
}

/// A line that is a picture and nothing else.
fn image(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim().strip_prefix("![")?.strip_suffix(')')?;
    inner.split_once("](/img/")
}

/// The headline is shown as a PNG that leads to its chart.
fn figure(alt: &str, file: &str) -> String {
    let source = format!("/img/{}", picture(file));
    let (shown, link) = if file.starts_with(HEADLINE) {
        let preview = format!("/img/{}", preview_name());
        (preview, format!(" link={}", quoted(&source)))
    } else {
        (source, String::new())
    };
    let (shown, alt) = (quoted(&shown), quoted(alt));
    format!("{{{{< figure src={shown}{link} alt={alt} >}}}}\n")
}

/// `[text](FILE.md)` becomes its text; links to the web stay, and so do brackets
/// that are no link.
fn without_relative_links(line: &str) -> String {
    let mut left = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        left.push_str(before);
        match link(after) {
            Some((text, target, after)) if !target.contains("://") => {
                left.push_str(text);
                rest = after;
            }
            _ => {
                left.push('[');
                rest = after;
            }
        }
    }
    left + rest
}

/// Text, target and what follows of a link whose opening bracket was read.
fn link(after: &str) -> Option<(&str, &str, &str)> {
    let shut = shutting_bracket(after)?;
    let target = after[shut..].strip_prefix("](")?;
    let (target, rest) = target.split_once(')')?;
    Some((&after[..shut], target, rest))
}

/// The one that belongs to an opening bracket just before `text`.
fn shutting_bracket(text: &str) -> Option<usize> {
    let mut open = 1;
    for (place, c) in text.char_indices() {
        match c {
            '[' => open += 1,
            ']' => open -= 1,
            _ => (),
        }
        if open == 0 {
            return Some(place);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::{charts, evidence};

    const ARTICLE: &str = "# 제목 \"하나\"\n\n\
        이미지는 <!-- n: sizes gin/scratch transfer MB -->6.2 MB<!-- / -->입니다. \
        [docs/METHODOLOGY.md](METHODOLOGY.md)와 [Hugo](https://gohugo.io/)를 보세요.\n\n\
        <!-- chart: gin-bytes -->\n\n![바이트](charts/gin-bytes.ko.svg)\n\n<!-- / -->\n\n끝.\n";

    #[test]
    fn the_post_has_the_first_articles_keys_and_no_comments() {
        let site = tempfile::tempdir().unwrap();
        let outputs = post(ARTICLE, &evidence(), &charts(), site.path(), false).unwrap();
        let text = String::from_utf8(outputs[0].bytes.clone()).unwrap();
        insta::assert_snapshot!(text, @r#"
        ---
        title: "제목 \"하나\""
        date: 2026-11-25T03:09:27Z
        tags: [컨테이너, Alpine, Distroless, Docker]
        draft: false
        categories: [DevOps]
        comments: true
        ---

        이미지는 6.2 MB입니다. docs/METHODOLOGY.md와 [Hugo](https://gohugo.io/)를 보세요.

        {{< figure src="/img/container-image-cost-test-gin-bytes.ko.svg" alt="바이트" >}}

        끝.
        "#);
        let names: Vec<_> = outputs
            .iter()
            .map(|it| {
                it.path
                    .strip_prefix(site.path())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(
            names,
            [
                "content/posts/container-image-cost-test.md",
                "static/img/container-image-cost-test-gin-bytes.ko.svg"
            ]
        );
    }

    #[test]
    fn only_links_to_files_lose_their_brackets() {
        for (line, left) in [
            ("[a] and [x](y.md)", "[a] and x"),
            ("[a [b] c](y.md), [d", "a [b] c, [d"),
            (
                "[a](https://a.example/) [b](c.md)",
                "[a](https://a.example/) b",
            ),
            ("]([x](y.md)", "](x"),
        ] {
            assert_eq!(without_relative_links(line), left);
        }
    }

    #[test]
    fn a_site_that_is_not_there_is_an_error() {
        let nowhere = Path::new("/nowhere/at/all");
        let wrong = post(ARTICLE, &evidence(), &charts(), nowhere, false).unwrap_err();
        assert!(wrong.to_string().contains("hugo new site"), "{wrong}");
    }
}
