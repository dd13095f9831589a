//! The content of one message, gathered from blocks: texts, and media that need
//! parts of their own.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::documents::{document_text, search_result_text};
use crate::fields::{Fields, Path};
use crate::ir::{ImageSource, Losses};
use crate::json::Text;

/// Text as it stands between a literal's quotes.
pub(super) type Piece<'r> = Cow<'r, str>;

/// `text`, escaped.
pub(super) fn escaped(text: &str) -> Piece<'static> {
    Cow::Owned(Text::new(text).escaped().to_owned())
}

/// A part of a message's content.
#[derive(Debug)]
pub(super) enum Part<'r> {
    /// Text, escaped.
    Text(Piece<'r>),
    /// An image's URL, escaped, in pieces.
    Image([Piece<'r>; 4]),
    /// A PDF, base64.
    Pdf(Text<'r>),
}

impl Part<'_> {
    /// Append the part as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (head, pieces, tail): (&[u8], &[Piece<'_>], &[u8]) = match self {
            Self::Text(text) => (
                b"{\"type\":\"text\",\"text\":\"",
                std::slice::from_ref(text),
                b"\"}",
            ),
            Self::Image(url) => (
                b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"",
                url,
                b"\"}}",
            ),
            Self::Pdf(data) => {
                out.extend_from_slice(b"{\"type\":\"file\",\"file\":{\"filename\":\"document.pdf\",\"file_data\":\"data:application/pdf;base64,");
                out.extend_from_slice(data.escaped().as_bytes());
                out.extend_from_slice(b"\"}}");
                return;
            }
        };
        out.extend_from_slice(head);
        for piece in pieces {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(tail);
    }
}

/// What one message will say.
#[derive(Debug)]
pub(super) struct TurnContent<'r> {
    /// Texts, when there are no media; empty as soon as there are.
    texts: Vec<Piece<'r>>,
    /// Texts and media in order; empty while there are only texts.
    parts: Vec<Part<'r>>,
    media: Media,
}

/// Which media may be sent; others leave a text in their place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Media {
    pub(super) images: bool,
    pub(super) files: bool,
}

impl<'r> TurnContent<'r> {
    /// Nothing yet.
    pub(super) fn new(media: Media) -> Self {
        Self {
            texts: Vec::new(),
            parts: Vec::new(),
            media,
        }
    }

    /// Add escaped text; an empty one adds nothing.
    pub(super) fn text(&mut self, text: Piece<'r>) {
        if text.is_empty() {
            return;
        }
        if self.parts.is_empty() {
            self.texts.push(text);
        } else {
            self.parts.push(Part::Text(text));
        }
    }

    /// Add an image.
    pub(super) fn image(
        &mut self,
        source: &'r ImageSource<'r>,
        at: &Path<'_>,
        losses: &mut Losses,
    ) {
        let none = Cow::Borrowed("");
        match source {
            _ if !self.media.images => {
                losses.report(at, "the upstream takes no images");
                self.text(Cow::Borrowed("[image omitted: this model takes no images]"));
            }
            ImageSource::Base64 { media_type, data } => self.push(Part::Image([
                Cow::Borrowed("data:"),
                Cow::Borrowed(media_type.escaped()),
                Cow::Borrowed(";base64,"),
                Cow::Borrowed(data.escaped()),
            ])),
            ImageSource::Url(url) => {
                self.push(Part::Image([
                    Cow::Borrowed(url.escaped()),
                    none.clone(),
                    none.clone(),
                    none,
                ]));
            }
            ImageSource::Other(_) => {
                losses.report(at, "an image source that only Anthropic can open");
                self.text(Cow::Borrowed("[image omitted: its file is held elsewhere]"));
            }
        }
    }

    /// Add a document: a PDF as a file, anything textual as text.
    pub(super) fn document(&mut self, raw: &'r RawValue, at: &Path<'_>, losses: &mut Losses) {
        match document(raw) {
            Some(Document::Pdf(data)) if self.media.files => self.push(Part::Pdf(data)),
            Some(Document::Text(text)) => self.text(text),
            Some(Document::Pdf(_)) | None => {
                losses.report(at, "a document that cannot be sent here");
                self.text(Cow::Borrowed(
                    "[document omitted: it cannot be sent to this model]",
                ));
            }
        }
    }

    /// Say once that the text is an error's.
    pub(super) fn mark_error(&mut self) {
        let says_so = self.texts.first().is_some_and(|text| {
            let head = text.trim_start().trim_start_matches(['[', '<']).as_bytes();
            head.len() >= 5 && head[..5].eq_ignore_ascii_case(b"error")
                || head.starts_with(b"tool_use_error")
        });
        if !says_so {
            match self.texts.first_mut() {
                Some(text) => text.to_mut().insert_str(0, "Error: "),
                None => self
                    .texts
                    .push(Cow::Borrowed("Error: the tool gave no reason")),
            }
        }
    }

    /// Whether PDFs may be sent.
    pub(super) fn takes_files(&self) -> bool {
        self.media.files
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.parts.is_empty()
    }

    /// Whether it needs parts.
    pub(super) fn has_media(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The texts of content without media.
    pub(super) fn texts(&self) -> &[Piece<'r>] {
        &self.texts
    }

    /// The parts of content with media.
    pub(super) fn parts(&self) -> &[Part<'r>] {
        &self.parts
    }

    /// Begin anew.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.parts.clear();
    }

    fn push(&mut self, part: Part<'r>) {
        self.parts.extend(self.texts.drain(..).map(Part::Text));
        self.parts.push(part);
    }
}

/// Whether a document block holds a PDF's bytes.
pub(super) fn is_pdf(raw: &RawValue) -> bool {
    matches!(document(raw), Some(Document::Pdf(_)))
}

enum Document<'r> {
    Pdf(Text<'r>),
    Text(Piece<'r>),
}

/// What of a document block can be sent; none if nothing can.
fn document(raw: &RawValue) -> Option<Document<'_>> {
    let at = &Path::Root;
    let mut fields = Fields::of(raw, at).ok()?;
    let mut source = fields.take_object("source", at).ok()??;
    Some(match &*source.take_str("type", at).ok()?? {
        "base64" => Document::Pdf(source.take_text("data", at).ok()??),
        "url" => {
            let title = fields.take_str("title", at).ok()?;
            let title = title.map_or_else(String::new, |title| format!("{title}\n"));
            let url = source.take_str("url", at).ok()??;
            Document::Text(escaped(&format!("{title}[document at {url}]")))
        }
        _ => Document::Text(escaped(&document_text(raw)?)),
    })
}

/// A search result as text: title, source and what was found.
pub(super) fn search_result(raw: &RawValue) -> Piece<'static> {
    escaped(&search_result_text(raw))
}
