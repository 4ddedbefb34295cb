//! The shape of JSON text, measured without building its values: a tokenizer's vocabulary takes ten times its size as values.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The shape of a JSON value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// All values in it, at any depth.
    pub(super) values: u64,
    /// How deep arrays and objects are nested.
    pub(super) depth: u64,
    /// The bytes of all keys.
    pub(super) key_bytes: u64,
    /// The bytes of all texts.
    pub(super) text_bytes: u64,
    /// The bytes of the longest key or text.
    pub(super) longest: u64,
    /// The largest whole number.
    pub(super) largest: u64,
}

impl Shape {
    /// The shape of JSON text.
    ///
    /// # Errors
    /// If it is not valid JSON, or nested deeper than `serde_json` reads it.
    pub(super) fn of(json: &str) -> Result<Self, serde_json::Error> {
        let mut shape = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        Measure { shape: &mut shape, depth: 0 }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(shape)
    }

    fn add_text(&mut self, bytes: usize) {
        self.text_bytes += bytes as u64;
        self.longest = self.longest.max(bytes as u64);
    }
}

/// Adds a value, which is in `depth` others, to a shape.
struct Measure<'s> {
    shape: &'s mut Shape,
    depth: u64,
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.shape.values += 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.shape.largest = self.shape.largest.max(number);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.shape.add_text(text.len());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.depth + 1;
        self.shape.depth = self.shape.depth.max(depth);
        while items.next_element_seed(Measure { shape: &mut *self.shape, depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let depth = self.depth + 1;
        self.shape.depth = self.shape.depth.max(depth);
        while let Some(bytes) = entries.next_key_seed(KeyBytes)? {
            self.shape.key_bytes += bytes;
            self.shape.longest = self.shape.longest.max(bytes);
            entries.next_value_seed(Measure { shape: &mut *self.shape, depth })?;
        }
        Ok(())
    }
}

/// The bytes of a key, which is not copied.
struct KeyBytes;

impl<'de> DeserializeSeed<'de> for KeyBytes {
    type Value = u64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyBytes {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(text.len() as u64)
    }
}

/// The sections of a JSON object, in place.
///
/// # Errors
/// If it is not one, or has a key twice: the last of them would be checked, but the library reads all.
pub(super) fn sections(json: &str) -> Result<BTreeMap<String, &RawValue>, serde_json::Error> {
    struct Sections;

    impl<'de> Visitor<'de> for Sections {
        type Value = BTreeMap<String, &'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut sections = BTreeMap::new();
            while let Some((name, section)) = entries.next_entry::<String, &RawValue>()? {
                if sections.contains_key(&name) {
                    return Err(A::Error::custom(format!("duplicate key `{}`", name.escape_debug())));
                }
                sections.insert(name, section);
            }
            Ok(sections)
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_map(Sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_a_value_has_its_numbers_texts_and_depth() {
        let shape = Shape::of(r#"{"vocab": {"a": 3, "b\n": 70000}, "list": [null, "text", -1, [0.5]]}"#).unwrap();
        let expected = Shape { values: 10, depth: 3, key_bytes: 12, text_bytes: 4, longest: 5, largest: 70000 };
        assert_eq!(shape, expected);
        assert!(Shape::of(&"[".repeat(1000)).is_err());
        assert!(Shape::of("1 2").is_err());
    }

    #[test]
    fn sections_are_found_in_place_and_only_once() {
        let json = r#"{"model": {"a": [1]}, "version": "1.0"}"#;
        let found = sections(json).unwrap();
        assert_eq!(found["model"].get(), r#"{"a": [1]}"#);
        assert!(sections(r#"{"model": 1, "model": 2}"#).unwrap_err().to_string().contains("duplicate key `model`"));
        assert!(sections("[]").is_err());
    }
}
