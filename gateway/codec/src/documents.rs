//! The words of documents and search results, for upstreams that take neither.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::fields::{Fields, Path};
use crate::json::as_str;

/// A document's title and text, where it is one of text.
pub(crate) fn document_text(raw: &RawValue) -> Option<String> {
    let at = &Path::Root;
    let mut fields = Fields::of(raw, at).ok()?;
    let mut source = fields.take_object("source", at).ok()??;
    let text = match &*source.take_str("type", at).ok()?? {
        "text" => source.take_str("data", at).ok()??.into_owned(),
        "content" => flat_text(source.take("content")?),
        _ => return None,
    };
    let title = fields.take("title").and_then(as_str);
    Some(joined(title.into_iter().chain([Cow::Owned(text)])))
}

/// Title, source and what was found.
pub(crate) fn search_result_text(raw: &RawValue) -> String {
    let Ok(mut fields) = Fields::of(raw, &Path::Root) else {
        return String::new();
    };
    let mut heads = ["title", "source"].map(|key| fields.take(key).and_then(as_str));
    let found = fields.take("content").map(flat_text).map(Cow::Owned);
    joined(heads.iter_mut().filter_map(Option::take).chain(found))
}

/// The text of content that is a string or text blocks.
fn flat_text(raw: &RawValue) -> String {
    if let Some(text) = as_str(raw) {
        return text.into_owned();
    }
    let blocks: Vec<Fields<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |mut block: Fields<'_>| Some(block.take("text").and_then(as_str)?.into_owned());
    joined(blocks.into_iter().filter_map(text).map(Cow::Owned))
}

fn joined<'t>(texts: impl Iterator<Item = Cow<'t, str>>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}
