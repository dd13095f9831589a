//! The hooks inside the binary, built by `build.rs` from `hooks/`.

/// A hook that ships with the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// Its name in a chain.
    pub name: &'static str,
    /// The component.
    pub wasm: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// The source of hooks that ship with the gateway, where another has its file.
pub(super) const SOURCE: &str = "bundled";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::bundled;
    use crate::config::HookEntry;
    use crate::hook::{Engine, Inspection};
    use crate::kv::Stores;

    #[test]
    fn each_describes_itself_and_refuses_what_it_does_not_know() {
        let engine = Engine::new(Stores::rehearsal()).expect("an engine starts");
        for hook in bundled() {
            let name = hook.name;
            let mut entry = HookEntry::named(name, "here");
            entry.config = json!({ "surprise": 1 });
            let inspection = Inspection::of(&engine, entry, hook.wasm.to_vec());
            let about = inspection.about.unwrap_or_default();
            let told = [&about.version, &about.summary];
            assert!(
                told.iter().all(|text| !text.is_empty()),
                "{name}: {about:?}"
            );
            assert_eq!(about.config["additionalProperties"], false, "{name}");
            let said = inspection.complaints.concat();
            assert!(said.contains("'surprise' was unexpected"), "{name}: {said}");
        }
    }
}
