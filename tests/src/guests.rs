//! Paths of the components built from `guests/`.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
