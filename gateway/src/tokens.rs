//! Tokens of a request, estimated: counted as OpenAI's `o200k_base` would,
//! which for other models' tokenizers is off by a tenth or two.

use sluice_codec::ir::{Block, Request, tokens_of};

/// Tokens that each message costs beside its text.
const PER_MESSAGE: usize = 4;

/// Tokens of an image, whatever its size: what 1 megapixel costs at Anthropic.
/// <https://docs.claude.com/en/docs/build-with-claude/vision> (seen 2026-11).
const PER_IMAGE: usize = 1_334;

/// Prompt tokens of `request`.
pub fn count(request: &Request<'_>) -> usize {
    sum(request, of)
}

/// About as many, guessed from sizes: in microseconds, and off by a third or two.
pub fn guess(request: &Request<'_>) -> u64 {
    sum(request, |text| tokens_of(text.len() as u64) as usize) as u64
}

/// What tokens are counted by.
type Counter = fn(&str) -> usize;

fn sum(request: &Request<'_>, of: Counter) -> usize {
    let tools = request.tools.iter().map(|tool| {
        let description = tool
            .description
            .as_ref()
            .map_or(0, |text| of(&text.decoded()));
        of(&tool.name) + description + tool.schema.map_or(0, |schema| of(schema.get()))
    });
    let messages = request
        .messages
        .iter()
        .map(|message| PER_MESSAGE + blocks(&message.content, of));
    blocks(&request.system, of) + messages.sum::<usize>() + tools.sum::<usize>()
}

fn blocks(blocks: &[Block<'_>], of: Counter) -> usize {
    blocks.iter().map(|it| block(it, of)).sum()
}

fn block(block: &Block<'_>, of: Counter) -> usize {
    match block {
        Block::Text { text, .. } | Block::Thinking { text, .. } => of(&text.decoded()),
        Block::Image { .. } => PER_IMAGE,
        Block::ToolUse { name, input, .. } => of(name) + of(input.get()),
        Block::ToolResult { content, .. } => PER_MESSAGE + blocks(content, of),
        Block::ToolReference { name } => of(name),
        Block::Document(raw) | Block::Other { raw, .. } => of(raw.get()),
    }
}

fn of(text: &str) -> usize {
    bpe_openai::o200k_base().count(text)
}
