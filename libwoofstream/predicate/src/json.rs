//! JSON data: one value of it without building the rest, and the whole of it for the interpreter.

use super::meter::Budget;
use super::operand::Operand;
use super::source::Scalar;
use cel::common::types::{CelBool, CelList, CelMap, CelNull, CelString};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use woof_core::number::Number as Num;

/// The value at a path of fields; `None` where the data is not JSON or has nothing there.
pub(super) fn at_path<'a>(data: &'a [u8], path: &[Box<str>]) -> Option<Scalar<'a>> {
    let mut reader = serde_json::Deserializer::from_slice(data);
    let found = AtPath(path).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    found
}

/// The whole value, for the interpreter; `None` where the data is not JSON.
/// Each value in it costs a step.
pub(super) fn whole<'a>(data: &'a [u8], budget: &Budget<'_>) -> Option<Box<dyn Val + 'a>> {
    let mut reader = serde_json::Deserializer::from_slice(data);
    let found = Whole(budget).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    Some(found)
}

/// Reads the value at the rest of a path, and passes over everything else.
struct AtPath<'p>(&'p [Box<str>]);

impl AtPath<'_> {
    /// A value with one part is the one looked for only at the end of the path.
    fn leaf<'de, E>(&self, scalar: Scalar<'de>) -> Result<Option<Scalar<'de>>, E> {
        Ok(self.0.is_empty().then_some(scalar))
    }
}

impl<'de> DeserializeSeed<'de> for AtPath<'_> {
    type Value = Option<Scalar<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AtPath<'_> {
    type Value = Option<Scalar<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        self.leaf(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        self.leaf(Scalar::Num(Num::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        self.leaf(Scalar::Num(Num::unsigned(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        self.leaf(Scalar::Num(Num::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        self.leaf(Scalar::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        self.leaf(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.leaf(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.leaf(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let Some((first, rest)) = self.0.split_first() else {
            while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Some(Scalar::Other));
        };
        let mut found = None;
        while let Some(is_wanted) = fields.next_key_seed(Key(first))? {
            if is_wanted {
                // The last of several fields of one name counts, as in most readers.
                found = fields.next_value_seed(AtPath(rest))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Tells whether a key is the wanted one, without keeping it.
struct Key<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Reads a whole value into the interpreter's form.
#[derive(Clone, Copy)]
struct Whole<'b>(&'b Budget<'b>);

impl<'de> DeserializeSeed<'de> for Whole<'_> {
    type Value = Box<dyn Val + 'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        if !self.0.pay(1) {
            return Err(D::Error::custom("too many values"));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Whole<'_> {
    type Value = Box<dyn Val + 'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Box::new(Operand(Num::Int(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Box::new(Operand(Num::unsigned(value))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Box::new(Operand(Num::Float(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Box::new(CelString::from(value)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list: Vec<Box<dyn Val + 'de>> = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Box::new(CelList::from(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut map: HashMap<cel::common::types::CelMapKey<'de>, Box<dyn Val + 'de>> = HashMap::new();
        while let Some(key) = fields.next_key::<String>()? {
            map.insert(key.into(), fields.next_value_seed(self)?);
        }
        Ok(Box::new(CelMap::from(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(fields: &[&str]) -> Vec<Box<str>> {
        fields.iter().map(|field| Box::from(*field)).collect()
    }

    #[test]
    fn a_path_finds_its_value_among_all_others() {
        let data = br#"{"x":[1,{"a":9}],"a":{"b":21.5,"c":"hi"},"n":null}"#;
        assert_eq!(at_path(data, &path(&["a", "b"])), Some(Scalar::Num(Num::Float(21.5))));
        assert_eq!(at_path(data, &path(&["a", "c"])), Some(Scalar::Text("hi".into())));
        assert_eq!(at_path(data, &path(&["n"])), Some(Scalar::Null));
        assert_eq!(at_path(data, &path(&["x"])), Some(Scalar::Other));
        assert_eq!(at_path(data, &path(&["a", "b", "c"])), None);
        assert_eq!(at_path(data, &path(&["z"])), None);
    }

    #[test]
    fn data_that_is_not_one_json_value_has_no_path() {
        assert_eq!(at_path(br#"{"a":1} 2"#, &path(&["a"])), None);
        assert_eq!(at_path(br#"{"a":1"#, &path(&["a"])), None);
        assert_eq!(at_path(b"", &path(&["a"])), None);
        assert_eq!(at_path(br#"{"a":1,"a":2}"#, &path(&["a"])), Some(Scalar::Num(Num::Int(2))));
    }
}
