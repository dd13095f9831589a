//! The choice of tools, in the values that an upstream accepts.
//!
//! ```text
//! the client's   sent, the first that is accepted
//! auto           auto, nothing
//! one tool       that tool by name; that tool alone, required; auto *; nothing,
//!                if the tool itself cannot be sent
//! any            required; the only tool by name; auto *
//! none           none; no tools, unless the history has calls; auto *
//! ```
//! Where a star stands, an instruction at the conversation's end says the rest:
//! behind everything else, so that what a prompt cache holds stays as it was.

use super::accent::Choice;
use crate::ir::{Tool, ToolChoiceKind};

/// Why a choice that became an instruction is reported.
const INSTRUCTED: &str = "the upstream takes no such value; an instruction says it instead";

/// Why a choice of a tool that cannot be sent is reported.
const NO_SUCH_TOOL: &str = "it names a tool that cannot be sent";

/// What is sent of the tools.
#[derive(Debug, Default)]
pub(super) struct Plan<'r> {
    pub(super) tools: Vec<&'r Tool<'r>>,
    /// The value of `tool_choice`, if any is sent.
    pub(super) choice: Option<Sent<'r>>,
    /// What the conversation's end says instead.
    pub(super) instruction: Option<String>,
    /// Why the client's choice is not quite what is sent.
    pub(super) loss: Option<&'static str>,
}

/// A value of `tool_choice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent<'r> {
    Word(&'static str),
    Named(&'r str),
}

impl<'r> Plan<'r> {
    /// The plan for `tools` and the client's `choice`; `accepted` are the values
    /// that the upstream takes, `has_calls` is whether the history has calls.
    pub(super) fn new(
        tools: Vec<&'r Tool<'r>>,
        choice: Option<&'r ToolChoiceKind<'r>>,
        accepted: &[Choice],
        has_calls: bool,
    ) -> Self {
        let takes = |value| accepted.contains(&value);
        let required = takes(Choice::Required).then_some(Sent::Word("required"));
        let auto = takes(Choice::Auto).then_some(Sent::Word("auto"));
        let mut plan = Self {
            tools,
            ..Self::default()
        };
        let instruction = match choice {
            _ if plan.tools.is_empty() => return plan,
            None => return plan,
            Some(ToolChoiceKind::Auto) => {
                plan.choice = auto;
                return plan;
            }
            Some(ToolChoiceKind::Tool(name)) => {
                if !plan.tools.iter().any(|tool| tool.name == *name) {
                    plan.loss = Some(NO_SUCH_TOOL);
                    return plan;
                }
                if takes(Choice::Named) {
                    plan.choice = Some(Sent::Named(name));
                    return plan;
                }
                plan.tools.retain(|tool| tool.name == *name);
                plan.choice = required;
                format!("Call the tool {name} now.")
            }
            Some(ToolChoiceKind::Any) => {
                let only = match &*plan.tools {
                    [tool] if takes(Choice::Named) => Some(Sent::Named(&tool.name)),
                    _ => None,
                };
                plan.choice = required.or(only);
                "Call one of your tools now.".to_owned()
            }
            Some(ToolChoiceKind::None) => {
                if takes(Choice::None) {
                    plan.choice = Some(Sent::Word("none"));
                } else if !has_calls {
                    return Self::default();
                }
                "Answer in text now; do not call a tool.".to_owned()
            }
        };
        if plan.choice.is_none() {
            plan.choice = auto;
            plan.instruction = Some(instruction);
            plan.loss = Some(INSTRUCTED);
        }
        plan
    }
}
