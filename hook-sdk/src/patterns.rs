//! Names and the patterns that choose them, as in the operator's file.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Whether `name` matches `pattern`, in which `*` stands for any characters.
pub fn glob(pattern: &str, name: &str) -> bool {
    matched(pattern, name).is_some()
}

/// What each `*` of `pattern` stands for in `name`; none if it does not match.
///
/// ```
/// # use sluice_hook_sdk::matched;
/// assert_eq!(matched("kimi-*", "kimi-k2"), Some(vec!["k2"]));
/// assert_eq!(matched("kimi-*", "glm"), None);
/// ```
pub fn matched<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let Some((head, tail)) = pattern.split_once('*') else {
        return (pattern == name).then(Vec::new);
    };
    let rest = name.strip_prefix(head)?;
    (0..=rest.len())
        .filter(|at| rest.is_char_boundary(*at))
        .find_map(|at| {
            let mut stars = matched(tail, &rest[at..])?;
            stars.insert(0, &rest[..at]);
            Some(stars)
        })
}

/// Values by pattern of a name, as a field of a hook's configuration. The first
/// pattern that matches counts, in the order of the operator's file.
///
/// ```
/// # use sluice_hook_sdk::Patterns;
/// let windows: Patterns<u64> = serde_json::from_str(r#"{"kimi-*": 128, "*": 32}"#).unwrap();
/// assert_eq!(windows.find("kimi-k2"), Some(&128));
/// assert_eq!(windows.find("glm"), Some(&32));
/// ```
#[derive(Clone, Debug)]
pub struct Patterns<T>(Vec<(String, T)>);

impl<T> Patterns<T> {
    /// The value of the first pattern that matches `name`.
    pub fn find(&self, name: &str) -> Option<&T> {
        let mut all = self.iter();
        all.find(|(pattern, _)| glob(pattern, name))
            .map(|(_, value)| value)
    }

    /// All patterns and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0
            .iter()
            .map(|(pattern, value)| (pattern.as_str(), value))
    }
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> FromIterator<(String, T)> for Patterns<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patterns<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Patterns<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("values by pattern")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Patterns(pairs))
            }
        }
        deserializer.deserialize_map(Read(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("kimi-*", "kimi-k2", Some(&["k2"][..])),
            ("*", "", Some(&[""])),
            ("a*b*", "axxbyy", Some(&["xx", "yy"])),
            ("a*b", "axxc", None),
            ("a", "ab", None),
            ("a", "a", Some(&[])),
            ("*ü", "xü", Some(&["x"])),
        ] {
            assert_eq!(
                matched(pattern, name).as_deref(),
                expected,
                "{pattern} {name}"
            );
            assert_eq!(glob(pattern, name), expected.is_some(), "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_pattern_counts() {
        let values: Patterns<u8> = serde_json::from_str(r#"{"z*": 1, "*": 2, "za": 3}"#).unwrap();
        assert_eq!(values.find("za"), Some(&1));
        assert_eq!(values.find("a"), Some(&2));
        assert_eq!(Patterns::<u8>::default().find("a"), None);
        assert!(serde_json::from_str::<Patterns<u8>>("[1]").is_err());
    }
}
