//! Client tools whose schema Anthropic's models know by heart: other models get
//! it written out. The client runs them, and their calls come back under the
//! same names.
//! <https://docs.claude.com/en/docs/agents-and-tools/tool-use/overview> (seen 2026-11)

use serde_json::value::RawValue;

use crate::ir::Tool;

/// Kinds by their beginning, without the date: what the tool does, and its schema.
const TYPED: [(&str, &str, &str); 4] = [
    (
        "bash_",
        "Run a command in a bash shell that keeps its state between calls.",
        r#"{"type":"object","properties":{"command":{"type":"string","description":"The command to run; required unless the shell is restarted."},"restart":{"type":"boolean","description":"Start the shell anew."}}}"#,
    ),
    (
        // Until 2025-02 the inserted text was `new_str`, and edits could be undone.
        "text_editor_20250124",
        "View, create and edit text files.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","undo_edit"]},"path":{"type":"string","description":"Absolute path of a file or directory."},"file_text":{"type":"string","description":"For create: the file's text."},"old_str":{"type":"string","description":"For str_replace: the text to replace; it must occur exactly once."},"new_str":{"type":"string","description":"For str_replace and insert: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which the text goes, 0 for the beginning."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, from 1; -1 for the end."}},"required":["command","path"]}"#,
    ),
    (
        "text_editor_",
        "View, create and edit text files.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"]},"path":{"type":"string","description":"Absolute path of a file or directory."},"file_text":{"type":"string","description":"For create: the file's text."},"old_str":{"type":"string","description":"For str_replace: the text to replace; it must occur exactly once."},"new_str":{"type":"string","description":"For str_replace: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which the text goes, 0 for the beginning."},"insert_text":{"type":"string","description":"For insert: the text."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, from 1; -1 for the end."}},"required":["command","path"]}"#,
    ),
    (
        "memory_",
        "Keep notes between conversations as files under /memories. View that directory before anything else.",
        r#"{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert","delete","rename"]},"path":{"type":"string","description":"Path under /memories; for all commands but rename."},"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, from 1."},"file_text":{"type":"string","description":"For create: the file's text."},"old_str":{"type":"string","description":"For str_replace: the text to replace; it must occur exactly once."},"new_str":{"type":"string","description":"For str_replace: the new text."},"insert_line":{"type":"integer","description":"For insert: the line after which the text goes."},"insert_text":{"type":"string","description":"For insert: the text."},"old_path":{"type":"string","description":"For rename."},"new_path":{"type":"string","description":"For rename."}},"required":["command"]}"#,
    ),
];

/// Description and schema of a client tool that brings neither; none for tools
/// that only Anthropic runs.
pub(super) fn written_out(tool: &Tool<'_>) -> Option<(&'static str, &'static str)> {
    let kind = tool.vendor_kind.as_deref()?;
    TYPED
        .iter()
        .find(|(head, ..)| kind.starts_with(head))
        .map(|(_, description, schema)| (*description, *schema))
}

/// Whether the model can call the tool through us.
pub(super) fn is_callable(tool: &Tool<'_>) -> bool {
    tool.schema.is_some() || tool.vendor_kind.is_none() || written_out(tool).is_some()
}

/// The tool's schema, its own or written out; none if it says nothing.
pub(super) fn schema<'t>(tool: &Tool<'t>) -> Option<&'t RawValue> {
    tool.schema
        .filter(|schema| schema.get() != "{}")
        .or_else(|| {
            let (_, schema) = written_out(tool)?;
            serde_json::from_str(schema).ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_json() {
        for (kind, _, schema) in TYPED {
            assert!(
                serde_json::from_str::<serde_json::Value>(schema).is_ok(),
                "{kind}"
            );
        }
    }
}
