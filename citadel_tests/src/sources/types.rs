//! Lists the types of a file.

use super::mask;

/// Every `pub` struct, enum and alias of `text`, in order, without generics.
pub fn public_types(text: &str) -> Vec<String> {
    let code = mask(text);
    let heads = code.lines().filter_map(|line| line.trim_start().strip_prefix("pub "));
    let types = heads.filter_map(|head| {
        let (kind, rest) = head.split_once(' ')?;
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        ["struct", "enum", "type"].contains(&kind).then(|| rest[..end.unwrap_or(rest.len())].to_owned())
    });
    types.collect()
}

#[cfg(test)]
mod tests {
    use super::public_types;

    #[test]
    fn what_is_public_is_listed_without_generics() {
        let text = "pub struct Door<'a, T>(T);\n    pub enum Way { In }\npub(crate) struct Hinge;\n// pub struct No;\n\
                    pub type Key = u8;\npub fn f() {}\npub trait Lock {}";
        assert_eq!(public_types(text), ["Door", "Way", "Key"]);
    }
}
