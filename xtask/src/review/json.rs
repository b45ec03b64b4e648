//! The diff for a program. `docs/diff.schema.json` describes it, and a test
//! holds the two together.

use anyhow::Result;

use super::report::Report;
use crate::schema;

const SCHEMA: u32 = 1;

pub fn text(report: &Report) -> Result<String> {
    schema::document(SCHEMA, report)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::Value;

    use super::*;
    use crate::review::testing::{busy, size, sized};

    fn schema() -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/diff.schema.json");
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    fn document(report: &Report) -> Value {
        serde_json::from_str(&text(report).unwrap()).unwrap()
    }

    fn against_schema(document: &Value) -> Vec<String> {
        crate::schema::errors(&schema(), document)
    }

    #[test]
    fn the_schema_describes_every_field_and_no_other() {
        let busy = document(&busy());
        assert_eq!(against_schema(&busy), [""; 0]);
        // Lists without items would leave the schema untried.
        for (key, value) in busy.as_object().unwrap() {
            assert!(
                value.as_array().is_none_or(|list| !list.is_empty()),
                "{key}"
            );
        }
        let side = |name: &str| sized(name, [size("a", 5)]);
        let quiet = Report::of(&side("main"), &side("HEAD"), &[]).unwrap();
        assert_eq!(against_schema(&document(&quiet)), [""; 0]);
    }

    #[test]
    fn what_the_schema_does_not_say_is_found() {
        let mut document = document(&busy());
        document["schema"] = 2.into();
        document["moved"][0]["numbers"][0]["after"] = "1".into();
        document["moved"][0]["causes"][0]["kind"] = "weather".into();
        document["more"] = true.into();
        document.as_object_mut().unwrap().remove("added");
        assert_eq!(
            against_schema(&document),
            [
                "$.added is missing",
                "$.more is not in the schema",
                "$.moved[0].causes[0].kind: \"weather\" is none of [\"base\",\"base_source\",\
                 \"base_identity\",\"build_base\",\"application_binary\",\"dockerfile\",\"context\",\
                 \"builder\",\"method\",\"unknown\"]",
                "$.moved[0].numbers[0].after: \"1\" is not [\"integer\",\"null\"]",
                "$.schema: 2 is not 1",
            ]
        );
    }
}
