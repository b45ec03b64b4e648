//! Holds a document against its schema.

use serde_json::Value;

/// What the document has against the schema, sorted.
pub fn errors(schema: &Value, document: &Value) -> Vec<String> {
    let mut found = differences(schema, schema, document, "$");
    found.sort();
    found
}

/// What a value has against the schema, as far as ours uses the
/// language: `$ref`, `const`, `enum`, `type`, `items`, and objects that have
/// all of their properties and no others.
fn differences(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return differences(root, root.pointer(pointer).expect(name), value, at);
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
            found.extend(differences(
                root,
                &schema["items"],
                item,
                &format!("{at}[{index}]"),
            ));
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object())
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
                Some(value) => {
                    found.extend(differences(root, inner, value, &format!("{at}.{key}")))
                }
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
