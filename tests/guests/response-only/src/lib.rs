//! A hook with on-response and no on-stream.

use serde::Deserialize;
use sluice_hook_sdk::{Call, Failure, Hook, Verdict, hook};

/// What to write.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct ResponseOnly {
    text: String,
}

impl Default for ResponseOnly {
    fn default() -> Self {
        Self {
            text: "rewritten".into(),
        }
    }
}

#[hook]
impl Hook for ResponseOnly {
    fn on_response(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        call.set("/content/0/text", &self.text)?;
        Ok(Verdict::Next)
    }
}
