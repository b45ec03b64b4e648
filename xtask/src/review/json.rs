//! The diff for a program. `docs/diff.schema.json` describes it, and a test
//! holds the two together.

use anyhow::Result;
use serde::Serialize;

use super::report::Report;

/// Counted up when a field goes, is renamed or means something else; a field
/// more is no new version.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    report: &'a Report,
}

pub fn text(report: &Report) -> Result<String> {
    let document = Document {
        schema: SCHEMA,
        report,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
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

    /// What the document has against the schema, as far as ours uses the
    /// language: `$ref`, `const`, `enum`, `type`, `items`, and objects that have
    /// all of their properties and no others.
    fn errors(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let pointer = name.strip_prefix('#').unwrap();
            return errors(root, root.pointer(pointer).expect(name), value, at);
        }
        let mut found = Vec::new();
        if schema.get("const").is_some_and(|only| only != value) {
            found.push(format!("{at}: {value} is not {}", schema["const"]));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            found.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        if !is_of_type(&schema["type"], value) {
            found.push(format!("{at}: {value} is not {}", schema["type"]));
        }
        if let Some(list) = value.as_array() {
            for (index, item) in list.iter().enumerate() {
                found.extend(errors(
                    root,
                    &schema["items"],
                    item,
                    &format!("{at}[{index}]"),
                ));
            }
        }
        if let (Some(properties), Some(object)) =
            (schema["properties"].as_object(), value.as_object())
        {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            let required = schema["required"].as_array().unwrap();
            assert_eq!(
                required.len(),
                properties.len(),
                "{at}: every property is required"
            );
            for (key, inner) in properties {
                match object.get(key) {
                    Some(value) => found.extend(errors(root, inner, value, &format!("{at}.{key}"))),
                    None => found.push(format!("{at}.{key} is missing")),
                }
            }
            let unknown = object.keys().filter(|key| !properties.contains_key(*key));
            found.extend(unknown.map(|key| format!("{at}.{key} is not in the schema")));
        } else if value.is_object() {
            found.push(format!("{at} is not described"));
        }
        found
    }

    fn is_of_type(wanted: &Value, value: &Value) -> bool {
        let is = |name: &str| match name {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{other}: the test does not know this type"),
        };
        match wanted {
            Value::Null => true,
            Value::String(name) => is(name),
            Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
            other => panic!("{other} is no type"),
        }
    }

    fn against_schema(document: &Value) -> Vec<String> {
        let schema = schema();
        let mut found = errors(&schema, &schema, document, "$");
        found.sort();
        found
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
