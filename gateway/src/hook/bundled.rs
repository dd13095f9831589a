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
