//! `cargo xtask bases add REF`: two lines more in bases.toml.

use anyhow::{Result, anyhow, bail};
use toml::Value;

use crate::dockerfile::ImageName;

/// What a new bases.toml begins with.
const HEADER: &str = "\
# Every image that a Dockerfile under experiments/ may name. One more:
#     cargo xtask bases add REFERENCE
";

/// The `text` of bases.toml with `reference` added at its end, and its recipe
/// folder where it has one; what stands there stays, byte for byte.
pub fn add_base(text: &str, reference: &str, recipe: Option<&str>) -> Result<String> {
    if reference == "scratch" {
        bail!("`scratch` is no image: nothing has to be provided for it");
    }
    let name: ImageName = reference.parse().map_err(|what: String| anyhow!(what))?;
    let table: toml::Table = text.parse()?;
    let known = table
        .get("base")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|base| base.get("reference")?.as_str());
    for written in known {
        if written.parse() == Ok(name.clone()) {
            bail!("`{reference}` is in bases.toml already, as `{written}`");
        }
    }
    let before = match text.trim_end() {
        "" => HEADER.trim_end(),
        text => text,
    };
    let mut added = format!(
        "{before}\n\n[[base]]\nreference = {}\n",
        Value::from(reference)
    );
    if let Some(recipe) = recipe {
        added.push_str(&format!("recipe = {}\n", Value::from(recipe)));
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_the_others_stay() {
        let text = add_base("", "golang:1.23", Some("golang")).unwrap();
        let text = add_base(&text, "cgr.dev/chainguard/static", None).unwrap();
        insta::assert_snapshot!(text, @r#"
        # Every image that a Dockerfile under experiments/ may name. One more:
        #     cargo xtask bases add REFERENCE

        [[base]]
        reference = "golang:1.23"
        recipe = "golang"

        [[base]]
        reference = "cgr.dev/chainguard/static"
        "#);
    }

    #[test]
    fn what_is_there_or_is_no_image_is_refused() {
        let text = add_base("", "golang", None).unwrap();
        let refusal =
            |text: &str, reference: &str| add_base(text, reference, None).unwrap_err().to_string();
        assert_eq!(
            refusal(&text, "docker.io/library/golang:latest"),
            "`docker.io/library/golang:latest` is in bases.toml already, as `golang`"
        );
        assert_eq!(refusal(&text, "Go"), "`Go` is not an image reference");
        assert!(refusal(&text, "scratch").contains("no image"));
        assert!(refusal("base = ", "a").contains("TOML"));
    }
}
