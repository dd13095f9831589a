//! The wire formats, one folder each; none knows another.

pub mod chat;
pub mod messages;
