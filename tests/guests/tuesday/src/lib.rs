//! The hook of the README, word for word.

use sluice_hook_sdk::{Call, Failure, Hook, Verdict, hook};

/// Since Tuesday the vendor refuses `temperature` together with tools.
#[derive(serde::Deserialize)]
struct Tuesday {}

#[hook]
impl Hook for Tuesday {
    fn on_upstream_request(&self, call: &mut Call) -> Result<Verdict, Failure> {
        if call.has("/tools")? {
            call.remove("/temperature")?;
        }
        Ok(Verdict::Next)
    }
}
