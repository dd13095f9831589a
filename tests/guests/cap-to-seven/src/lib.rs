//! Another build of `cap-max-tokens`, to replace it live.

use serde::Deserialize;
use sluice_hook_sdk::{Call, Failure, Hook, Verdict, hook};

/// Takes the configuration of `cap-max-tokens`, and heeds none of it.
#[derive(Debug, Deserialize)]
pub struct CapToSeven {}

#[hook]
impl Hook for CapToSeven {
    fn on_upstream_request(&self, call: &mut Call<'_>) -> Result<Verdict, Failure> {
        call.set("/max_tokens", 7)?;
        Ok(Verdict::Next)
    }
}
