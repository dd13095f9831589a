//! The file that `keys_file` names, as `sluice keys` writes it: a list with an entry a
//! key. What else stands in it, comments too, stays as it is.

use super::document::Document;
use super::keys::{self, Client};

/// `text` with `entry`, which is one line, at its end.
///
/// # Errors
/// The file is no list of keys, or would not be one after that.
pub(crate) fn added(text: &str, entry: &str) -> Result<String, String> {
    read(text)?;
    // An empty list is written as `[]`, and takes no further lines.
    let before = match text.trim_end() {
        "[]" => "",
        text => text,
    };
    let line_end = if before.is_empty() { "" } else { "\n" };
    let after = format!("{before}{line_end}{entry}\n");
    read(&after)?;
    Ok(after)
}

/// `text` without the entry of the client named `name`; none if it has none.
///
/// # Errors
/// The file is no list of keys, or is written in a way that lines cannot be taken from.
pub(crate) fn removed(text: &str, name: &str) -> Result<Option<String>, String> {
    let (names, lines) = read(text)?;
    let Some(at) = names.iter().position(|known| known == name) else {
        return Ok(None);
    };
    let first = lines[at];
    let last = lines.get(at + 1).copied().unwrap_or(usize::MAX);
    let kept = text.lines().zip(1..).filter(|(line, number)| {
        // Comments between two entries are about the next one, or about all.
        let is_of_entry = (first..last).contains(number);
        !is_of_entry || line.trim_start().starts_with('#')
    });
    let kept: Vec<_> = kept.map(|(line, _)| line).collect();
    let after = match names.len() {
        1 => "[]\n".to_owned(),
        _ => kept.join("\n") + "\n",
    };
    let mut expected = names;
    expected.remove(at);
    match read(&after) {
        Ok((names, _)) if names == expected => Ok(Some(after)),
        _ => Err(format!(
            "the entry of `{name}` cannot be taken out by lines; take it out by hand"
        )),
    }
}

/// The names in the file, and the line that each entry begins at.
fn read(text: &str) -> Result<(Vec<String>, Vec<usize>), String> {
    if text.trim().is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // Keys that are in variables need not be there to be told apart.
    let any = |_: &str| Some("any".to_owned());
    let mut document = Document::read("keys", text, None).map_err(|error| error.statement())?;
    document.resolve(&any);
    let items = document.root().list();
    let lines = items.iter().filter_map(|item| item.line()).collect();
    let names = items.iter().map(|item| {
        let name = item.value().get("name").and_then(|name| name.as_str());
        name.unwrap_or("").to_owned()
    });
    let names = names.collect();
    drop(items);
    match document.into_findings().first() {
        Some(finding) => Err(finding.statement()),
        None => Ok((names, lines)),
    }
}

/// The line that stands for `client` in a file.
pub(crate) fn entry(client: &Client) -> String {
    let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
    let mut members = vec![
        format!("name: {}", quoted(&client.name)),
        format!("hash: {}", client.hash()),
    ];
    if !client.models.is_empty() {
        let models: Vec<_> = client.models.iter().map(quoted).collect();
        members.push(format!("models: [{}]", models.join(", ")));
    }
    members.extend(client.calls_max.map(|calls| format!("calls_max: {calls}")));
    let rates = [
        ("requests_per_minute", client.requests_per_minute),
        ("tokens_per_minute", client.tokens_per_minute),
    ];
    for (name, rate) in rates {
        members.extend(rate.map(|rate| format!("{name}: {rate}")));
    }
    members.extend(client.budget.map(keys::written));
    members.extend(client.expires.map(|day| format!("expires: {day}")));
    if let Some(previous) = &client.previous {
        let (hash, expires) = (previous.hash(), previous.expires);
        members.push(format!("previous: {{ hash: {hash}, expires: {expires} }}"));
    }
    if client.is_admin {
        members.push("admin: true".into());
    }
    format!("- {{ {} }}", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_and_go_by_lines() {
        let text = added("", "- { name: ann, key: a }").unwrap();
        let text = added(&text, "- { name: bob, key: b }").unwrap();
        assert_eq!(text, "- { name: ann, key: a }\n- { name: bob, key: b }\n");
        assert_eq!(removed(&text, "eve"), Ok(None));
        let rest = removed(&text, "ann").unwrap().unwrap();
        assert_eq!(rest, "- { name: bob, key: b }\n");
        let rest = removed(&rest, "bob").unwrap().unwrap();
        assert_eq!(rest, "[]\n");
        assert_eq!(
            added(&rest, "- { name: ann, key: a }")
                .unwrap()
                .lines()
                .count(),
            1
        );

        let by_hand = "# ours\n- name: ann\n  key: a\n# his\n- name: bob\n  key: ${B}\n";
        let rest = removed(by_hand, "ann").unwrap().unwrap();
        assert_eq!(rest, "# ours\n# his\n- name: bob\n  key: ${B}\n");
        for wrong in ["keys: []", "[ {"] {
            assert!(added(wrong, "- { name: a, key: b }").is_err(), "{wrong}");
        }
        let on_one_line = "[ { name: ann, key: a }, { name: bob, key: b } ]\n";
        assert!(removed(on_one_line, "ann").is_err());
    }
}
