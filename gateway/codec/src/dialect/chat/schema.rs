//! JSON schemas in the flavours that upstreams understand.
//!
//! A schema passes byte for byte where the upstream takes it as it is. Elsewhere
//! it is rewritten by its flavour's [`Rules`], keyword by keyword; a limit that
//! is lost on the way is reported, so that nobody relies on it. Rewriting is a
//! function of the schema alone: the same tool reads the same in every turn.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::accent::Schema;
use crate::fields::Path;
use crate::ir::Losses;

/// Most nodes that one schema may have when its references are written out:
/// they can double with every level.
const NODES_MAX: usize = 4_096;

/// Deepest nesting, references written out: one that leads to itself never ends.
const DEPTH_MAX: usize = 32;

/// Most bytes that references may copy, counted as the whole schema each.
const COPIED_BYTES_MAX: usize = 64 << 20;

/// What a schema must be at its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// An object, as arguments are.
    Object,
    /// Whatever it is.
    Any,
}

/// What one flavour understands.
#[derive(Debug)]
struct Rules {
    keywords: Keywords,
    /// Values of `format`; none: any.
    formats: Option<&'static [&'static str]>,
    /// `$ref` is written out in place.
    inline_refs: bool,
    /// `const` becomes an `enum` of one.
    const_to_enum: bool,
    /// `exclusiveMinimum` becomes `minimum`, and likewise the maximum.
    inclusive: bool,
    /// `oneOf` becomes `anyOf`, and `allOf` one schema.
    any_of_only: bool,
    /// A list of types becomes one type, `nullable` or in `anyOf`.
    one_type: bool,
    /// `enum` holds only strings.
    string_enums: bool,
    /// Beside `anyOf` stands no `type`: it stands in each of them.
    type_inside_any_of: bool,
}

#[derive(Debug)]
enum Keywords {
    /// All but these.
    AllBut(&'static [&'static str]),
    /// These alone.
    Only(&'static [&'static str]),
}

/// Grammars of llama.cpp fail on some patterns and formats; MiniMax and NIM
/// refuse more. <https://github.com/ggml-org/llama.cpp/tree/master/grammars>
/// (seen 2026-11).
const MINIMAL: Rules = Rules {
    keywords: Keywords::Only(&[
        "type",
        "description",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "definitions",
        "minimum",
        "maximum",
    ]),
    formats: None,
    inline_refs: false,
    const_to_enum: true,
    inclusive: true,
    any_of_only: false,
    one_type: false,
    string_enums: false,
    type_inside_any_of: false,
};

/// <https://ai.google.dev/api/caching#Schema> (seen 2026-11).
const GEMINI: Rules = Rules {
    keywords: Keywords::Only(&[
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "anyOf",
        "items",
        "minimum",
        "maximum",
    ]),
    formats: Some(&["enum", "date-time", "int32", "int64", "float", "double"]),
    inline_refs: true,
    const_to_enum: true,
    inclusive: true,
    any_of_only: true,
    one_type: true,
    string_enums: true,
    type_inside_any_of: false,
};

/// <https://platform.moonshot.ai/docs/guide/use-kimi-api-to-complete-tool-calls>
/// (seen 2026-11).
const MOONSHOT: Rules = Rules {
    keywords: Keywords::AllBut(&[
        "$schema",
        "$id",
        "$comment",
        "prefixItems",
        "patternProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
        "dependentSchemas",
        "dependentRequired",
        "contains",
    ]),
    formats: None,
    inline_refs: false,
    const_to_enum: true,
    inclusive: true,
    any_of_only: true,
    one_type: false,
    string_enums: false,
    type_inside_any_of: true,
};

/// <https://inference-docs.cerebras.ai/capabilities/structured-outputs> (seen
/// 2026-11).
const CEREBRAS: Rules = Rules {
    keywords: Keywords::AllBut(&[
        "$schema",
        "$id",
        "$comment",
        "pattern",
        "format",
        "minItems",
        "maxItems",
        "uniqueItems",
        "prefixItems",
        "contains",
        "minLength",
        "maxLength",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
    ]),
    formats: None,
    inline_refs: false,
    const_to_enum: false,
    inclusive: false,
    any_of_only: false,
    one_type: false,
    string_enums: false,
    type_inside_any_of: false,
};

/// Keywords that limit nothing: they go without a word.
const SILENT: [&str; 13] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "$anchor",
    "definitions",
    "title",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Append `schema` in the flavour `dialect`; `at` is where it came from.
pub(super) fn write_schema(
    out: &mut Vec<u8>,
    schema: &RawValue,
    dialect: Schema,
    root: Root,
    at: &Path<'_>,
    losses: &mut Losses,
) {
    let rules = match dialect {
        Schema::Pass => return out.extend_from_slice(schema.get().as_bytes()),
        Schema::Minimal => &MINIMAL,
        Schema::Gemini => &GEMINI,
        Schema::Moonshot => &MOONSHOT,
        Schema::Cerebras => &CEREBRAS,
    };
    let read = serde_json::from_str::<Value>(schema.get()).unwrap_or_else(|_| {
        losses.report(
            at,
            "a schema that nobody can read; any arguments are asked for",
        );
        Value::Object(Map::new())
    });
    let mut rewriter = Rewriter {
        rules,
        root: &read,
        bytes: schema.get().len(),
        copied: 0,
        nodes: 0,
        lost: Vec::new(),
    };
    let mut written = rewriter.schema(&read, 0);
    if root == Root::Object {
        let is_object = written.get("type").is_some_and(|kind| kind == "object");
        if !is_object {
            written.insert("type".into(), "object".into());
        }
        written
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
    }
    for keyword in rewriter.lost {
        losses.report(at.key(&keyword), "a limit that the upstream does not know");
    }
    out.extend_from_slice(Value::Object(written).to_string().as_bytes());
}

struct Rewriter<'s> {
    rules: &'static Rules,
    root: &'s Value,
    /// Length of its text.
    bytes: usize,
    copied: usize,
    nodes: usize,
    /// Keywords that were lost, each once.
    lost: Vec<String>,
}

impl Rewriter<'_> {
    fn schema(&mut self, schema: &Value, depth: usize) -> Map<String, Value> {
        self.nodes += 1;
        // `true` is the schema of anything.
        let Value::Object(members) = schema else {
            return Map::new();
        };
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            self.lose("nesting");
            return Map::new();
        }
        let mut members = members.clone();
        if self.rules.inline_refs
            && let Some(target) = self.target(&mut members)
        {
            return self.schema(&target, depth + 1);
        }
        self.rename(&mut members);
        let mut written = Map::with_capacity(members.len());
        for (keyword, value) in members {
            if !self.is_known(&keyword, &value) {
                self.lose(&keyword);
            } else {
                let value = self.value(&keyword, value, depth + 1);
                written.insert(keyword, value);
            }
        }
        if self.rules.type_inside_any_of {
            move_type_inside(&mut written);
        }
        written
    }

    /// The value of a keyword, schemas in it rewritten.
    fn value(&mut self, keyword: &str, value: Value, depth: usize) -> Value {
        match (keyword, value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(of)) => {
                let rewritten = of
                    .into_iter()
                    .map(|(name, schema)| (name, Value::Object(self.schema(&schema, depth))));
                Value::Object(rewritten.collect())
            }
            ("anyOf" | "oneOf" | "allOf" | "items" | "prefixItems", Value::Array(of)) => of
                .iter()
                .map(|schema| Value::Object(self.schema(schema, depth)))
                .collect(),
            ("items" | "additionalProperties" | "not" | "contains", schema @ Value::Object(_)) => {
                Value::Object(self.schema(&schema, depth))
            }
            (_, value) => value,
        }
    }

    fn is_known(&self, keyword: &str, value: &Value) -> bool {
        let is_listed = match self.rules.keywords {
            Keywords::AllBut(refused) => !refused.contains(&keyword),
            Keywords::Only(known) => known.contains(&keyword),
        };
        is_listed
            && match keyword {
                "format" => self
                    .rules
                    .formats
                    .is_none_or(|known| value.as_str().is_some_and(|it| known.contains(&it))),
                "enum" if self.rules.string_enums => value
                    .as_array()
                    .is_some_and(|values| values.iter().all(Value::is_string)),
                _ => true,
            }
    }

    /// What a schema with `$ref` stands for: its target, with the members that
    /// stand beside the reference.
    fn target(&mut self, members: &mut Map<String, Value>) -> Option<Value> {
        let Some(Value::String(reference)) = members.shift_remove("$ref") else {
            return None;
        };
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.root.pointer(pointer));
        self.copied = self.copied.saturating_add(self.bytes);
        let target = target.filter(|_| self.copied <= COPIED_BYTES_MAX);
        let Some(Value::Object(target)) = target else {
            self.lose("$ref");
            return Some(Value::Object(std::mem::take(members)));
        };
        let mut target = target.clone();
        target.append(members);
        Some(Value::Object(target))
    }

    /// Say in the keywords that are known what others say.
    fn rename(&mut self, members: &mut Map<String, Value>) {
        if self.rules.any_of_only {
            self.merge_all_of(members);
            if !members.contains_key("anyOf") && rename_key(members, "oneOf", "anyOf") {
                self.lose("oneOf");
            }
        }
        if self.rules.const_to_enum
            && let Some(only) = members.get("const").cloned()
        {
            members.insert("const".into(), Value::Array(vec![only]));
            rename_key(members, "const", "enum");
        }
        if self.rules.inclusive {
            self.include_bound(members, "exclusiveMinimum", "minimum", 1);
            self.include_bound(members, "exclusiveMaximum", "maximum", -1);
        }
        if self.rules.one_type {
            one_type(members);
        }
    }

    /// `> 0` as `>= 1` for whole numbers, and as `>= 0` for others.
    fn include_bound(
        &mut self,
        members: &mut Map<String, Value>,
        exclusive: &str,
        inclusive: &str,
        step: i64,
    ) {
        let Some(bound) = members.get(exclusive).cloned() else {
            return;
        };
        let is_whole = members.get("type").is_some_and(|kind| kind == "integer");
        let next = bound.as_i64().filter(|_| is_whole);
        let next = next.and_then(|bound| bound.checked_add(step));
        if next.is_none() {
            self.lose(exclusive);
        }
        // A boolean here is an older draft's, whose `minimum` stands beside it.
        if members.contains_key(inclusive) || !bound.is_number() {
            members.shift_remove(exclusive);
            return;
        }
        let bound = next.map_or(bound, Value::from);
        members.insert(exclusive.into(), bound);
        rename_key(members, exclusive, inclusive);
    }

    /// All of several schemas as one: what the first says of a keyword counts,
    /// and properties come together.
    fn merge_all_of(&mut self, members: &mut Map<String, Value>) {
        let Some(Value::Array(parts)) = members.shift_remove("allOf") else {
            return;
        };
        for part in parts {
            let Value::Object(mut part) = part else {
                continue;
            };
            let part = match self.target(&mut part) {
                Some(Value::Object(target)) => target,
                _ => part,
            };
            for (keyword, value) in part {
                match (members.get_mut(&keyword), value) {
                    (Some(Value::Object(known)), Value::Object(more)) => {
                        for (name, schema) in more {
                            known.entry(name).or_insert(schema);
                        }
                    }
                    (Some(Value::Array(known)), Value::Array(more)) if keyword == "required" => {
                        known.extend(more);
                    }
                    (Some(known), value) if *known == value => {}
                    (Some(_), _) => self.lose("allOf"),
                    (None, value) => drop(members.insert(keyword, value)),
                }
            }
        }
    }

    fn lose(&mut self, keyword: &str) {
        if !SILENT.contains(&keyword) && !self.lost.iter().any(|known| known == keyword) {
            self.lost.push(keyword.to_owned());
        }
    }
}

/// Give the member `from` the name `to`, in its place.
fn rename_key(members: &mut Map<String, Value>, from: &str, to: &str) -> bool {
    if !members.contains_key(from) {
        return false;
    }
    let renamed = std::mem::take(members)
        .into_iter()
        .filter(|(key, _)| key != to)
        .map(|(key, value)| (if key == from { to.to_owned() } else { key }, value));
    *members = renamed.collect();
    true
}

/// `["string", "null"]` as a nullable string; several types as any of them.
fn one_type(members: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = members.get("type").cloned() else {
        return;
    };
    let (nulls, types): (Vec<_>, Vec<_>) = types.into_iter().partition(|kind| kind == "null");
    match &*types {
        [only] => drop(members.insert("type".into(), only.clone())),
        _ if members.contains_key("anyOf") => drop(members.shift_remove("type")),
        _ => {
            let any_of = types.iter().map(|kind| json!({ "type": kind })).collect();
            members.insert("type".into(), any_of);
            rename_key(members, "type", "anyOf");
        }
    }
    if !nulls.is_empty() {
        members.insert("nullable".into(), true.into());
    }
}

/// `type` beside `anyOf` goes into each that has none.
fn move_type_inside(members: &mut Map<String, Value>) {
    if !members.contains_key("anyOf") {
        return;
    }
    let kind = members.shift_remove("type");
    let Some(Value::Array(any_of)) = members.get_mut("anyOf") else {
        return;
    };
    for schema in any_of.iter_mut().filter_map(Value::as_object_mut) {
        if let (Some(kind), false) = (&kind, schema.contains_key("type")) {
            schema.insert("type".into(), kind.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `schema` is written as `expected`, and `lost` is reported.
    #[track_caller]
    fn check(dialect: Schema, schema: &str, expected: &str, lost: &[&str]) {
        let raw: &RawValue = serde_json::from_str(schema).unwrap();
        let (mut out, mut losses) = (Vec::new(), Losses::default());
        let at = Path::Root;
        write_schema(&mut out, raw, dialect, Root::Any, &at, &mut losses);
        let paths: Vec<_> = losses.listed().iter().map(|loss| &*loss.path).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{schema}");
        assert_eq!(paths, lost, "{schema}");
    }

    #[test]
    fn pass_changes_no_byte() {
        let odd = r#"{ "b":1.0, "$schema":"x",  "a":1e999, "b":2 }"#;
        check(Schema::Pass, odd, odd, &[]);
    }

    #[test]
    fn annotations_go_and_limits_are_reported() {
        check(
            Schema::Minimal,
            r#"{"$schema":"s","type":"object","properties":{"pattern":{"type":"string","pattern":"^a","default":"b"},"n":{"type":"integer","exclusiveMinimum":0}},"additionalProperties":false}"#,
            r#"{"type":"object","properties":{"pattern":{"type":"string"},"n":{"type":"integer","minimum":1}},"additionalProperties":false}"#,
            &["pattern"],
        );
        check(
            Schema::Minimal,
            r#"{"type":"number","exclusiveMaximum":1.5,"const":1}"#,
            r#"{"type":"number","maximum":1.5,"enum":[1]}"#,
            &["exclusiveMaximum"],
        );
        check(
            Schema::Cerebras,
            r#"{"type":"array","items":{"type":"string","minLength":1},"minItems":2}"#,
            r#"{"type":"array","items":{"type":"string"}}"#,
            &["minLength", "minItems"],
        );
    }

    #[test]
    fn gemini_has_one_type_no_references_and_any_of() {
        check(
            Schema::Gemini,
            r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"d"},"b":{"type":["string","null"],"format":"uri"},"c":{"type":["string","number"]}},"$defs":{"A":{"const":"x"}}}"##,
            r#"{"type":"object","properties":{"a":{"enum":["x"],"description":"d"},"b":{"type":"string","nullable":true},"c":{"anyOf":[{"type":"string"},{"type":"number"}]}}}"#,
            &["format"],
        );
        check(
            Schema::Gemini,
            r#"{"oneOf":[{"type":"integer","enum":[1]},true],"additionalProperties":false}"#,
            r#"{"anyOf":[{"type":"integer"},{}]}"#,
            &["oneOf", "enum", "additionalProperties"],
        );
        check(
            Schema::Gemini,
            r#"{"allOf":[{"type":"object","properties":{"a":{}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}"#,
            r#"{"type":"object","properties":{"a":{},"b":{}},"required":["a","b"]}"#,
            &[],
        );
    }

    #[test]
    fn references_without_an_end_come_to_one() {
        let own = r##"{"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}"##;
        let raw: &RawValue = serde_json::from_str(own).unwrap();
        let (mut out, mut losses) = (Vec::new(), Losses::default());
        let at = Path::Root;
        write_schema(
            &mut out,
            raw,
            Schema::Gemini,
            Root::Object,
            &at,
            &mut losses,
        );
        assert!(out.len() < 1 << 20, "{}", out.len());
        assert_eq!(losses.listed()[0].path, "nesting");
    }

    #[test]
    fn moonshot_has_types_inside_any_of() {
        check(
            Schema::Moonshot,
            r#"{"type":"string","anyOf":[{"const":"a"},{"type":"null"}],"prefixItems":[]}"#,
            r#"{"anyOf":[{"enum":["a"],"type":"string"},{"type":"null"}]}"#,
            &["prefixItems"],
        );
    }

    #[test]
    fn arguments_are_an_object() {
        for (schema, expected) in [
            ("true", r#"{"type":"object","properties":{}}"#),
            ("[", r#"{"type":"object","properties":{}}"#),
            (r#"{"title":"t"}"#, r#"{"type":"object","properties":{}}"#),
        ] {
            let raw = RawValue::from_string(schema.replace('[', "1e999")).unwrap();
            let (mut out, mut losses) = (Vec::new(), Losses::default());
            let at = Path::Root;
            write_schema(
                &mut out,
                &raw,
                Schema::Minimal,
                Root::Object,
                &at,
                &mut losses,
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
