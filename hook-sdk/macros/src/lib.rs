//! The `#[hook]` attribute: the stages you write are the stages that run.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// Methods of the `Hook` trait that a component exports when they are written:
/// its stages, and what it says of itself.
const STAGES: [&str; 11] = [
    "describe",
    "on_request",
    "on_route",
    "on_upstream_request",
    "on_upstream_response",
    "on_stream",
    "on_response",
    "on_error",
    "on_complete",
    "on_count_tokens",
    "on_list_models",
];

/// Put on `impl Hook for Type`: makes the crate a component that exports the
/// stages that the block defines, and nothing else.
#[proc_macro_attribute]
pub fn hook(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    let Some((name, stages)) = read(&tokens) else {
        return "compile_error!(\"`#[hook]` goes on `impl Hook for Type { ... }`\");"
            .parse()
            .unwrap_or_default();
    };
    let export = format!(
        "::sluice_hook_sdk::__export!({name}; {});",
        stages.join(" ")
    );
    let mut out = item;
    out.extend(export.parse::<TokenStream>());
    out
}

/// The type's tokens and the stages in `impl Hook for Type { fn stage ... }`.
fn read(tokens: &[TokenTree]) -> Option<(String, Vec<String>)> {
    let is_for =
        |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "for");
    let after_for = tokens.iter().position(is_for)? + 1;
    let (TokenTree::Group(body), rest) = tokens.split_last()? else {
        return None;
    };
    if body.delimiter() != Delimiter::Brace {
        return None;
    }
    let name: TokenStream = rest.get(after_for..)?.iter().cloned().collect();
    let inner: Vec<_> = body.stream().into_iter().collect();
    let functions = inner.windows(2).filter_map(|pair| match pair {
        [TokenTree::Ident(word), TokenTree::Ident(name)] if word.to_string() == "fn" => {
            Some(name.to_string())
        }
        _ => None,
    });
    Some((
        name.to_string(),
        functions
            .filter(|name| STAGES.contains(&name.as_str()))
            .collect(),
    ))
}
