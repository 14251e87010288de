//! What a router's text may hold, and what is read in a description.

use super::endpoint;
use url::Url;
use xml::reader::{EventReader, XmlEvent};

/// Longest text, bytes: descriptions of routers have up to 20 KiB, answers to requests less than 2.
pub(super) const MAX_TEXT: usize = 64 * 1_024;
/// Most marks that begin a tag or its end: routers have some hundred.
const MAX_MARKS: usize = 2_048;
/// Most declarations of name spaces, and most bytes of all of them together: readers keep a copy of them for each element,
/// which is some megabytes for as many elements as there may be.
const MAX_SPACES: usize = 16;
const MAX_SPACES_LEN: usize = 1_024;

/// What a declaration begins with.
const SPACE: &str = "xmlns";

/// The one that has `AddAnyPortMapping`.
pub(super) const SECOND: &str = "urn:schemas-upnp-org:service:WANIPConnection:2";
/// Those that forward ports.
const SERVICES: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    SECOND,
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// Whether a text may be given to a reader of XML, each of which takes memory as the text wishes: for what it defines, and for each
/// element what was declared around it. The text is none that was parsed, so more is refused than would do harm.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_TEXT {
        return Err("too long a text");
    }
    // A reader that is told of UTF-16 sees other letters than this does: each of ASCII has such a byte then.
    if text.contains('\0') {
        return Err("a text of another alphabet");
    }
    if has(text, "<!DOCTYPE") || has(text, "<!ENTITY") {
        return Err("a text that defines its own words");
    }
    if text.matches('<').count() > MAX_MARKS {
        return Err("too many elements");
    }
    let (mut rest, mut spaces, mut len) = (text, 0, 0);
    while let Some((_, after)) = rest.split_once(SPACE) {
        let declared = declaration(after).ok_or("a declaration without an end")?;
        (rest, spaces, len) = (after, spaces + 1, len + declared);
        if spaces > MAX_SPACES || len > MAX_SPACES_LEN {
            return Err("too many name spaces");
        }
    }
    Ok(())
}

/// In capital and small letters.
fn has(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// Up to the end of the value, which is in quotes of either kind: at least as long as what a reader takes for it.
fn declaration(text: &str) -> Option<usize> {
    let begin = text.find(['"', '\''])?;
    let quote = *text.as_bytes().get(begin)?;
    let value = text.as_bytes().get(begin + 1..)?;
    Some(begin + value.iter().position(|byte| *byte == quote)? + 2)
}

/// What a description says of the service that forwards ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Service {
    kind: &'static str,
    base: Option<String>,
    control: String,
}

/// The first such service of a description that was checked. It is read as it goes by, and nothing else of it is kept.
pub(super) fn service(text: &str) -> Option<Service> {
    let (mut said, mut base, mut kind, mut control) = (String::new(), None, None, None);
    for event in EventReader::new(text.as_bytes()) {
        match event.ok()? {
            XmlEvent::StartElement { name, .. } => {
                said.clear();
                if name.local_name == "service" {
                    (kind, control) = (None, None);
                }
            }
            XmlEvent::Characters(part) | XmlEvent::CData(part) => said.push_str(&part),
            XmlEvent::EndElement { name } => {
                let said = core::mem::take(&mut said);
                match name.local_name.as_str() {
                    "URLBase" => base = Some(said),
                    "serviceType" => kind = SERVICES.into_iter().find(|kind| *kind == said.trim()),
                    "controlURL" => control = Some(said),
                    "service" => {
                        if let (Some(kind), Some(control)) = (kind.take(), control.take()) {
                            return Some(Service { kind, base, control });
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    None
}

impl Service {
    /// Its kind, and where it is asked: at the address and port of the description, or nowhere.
    pub(super) fn resolved(&self, described_at: &Url) -> Option<(&'static str, Url)> {
        let base = self.base.as_deref().map(str::trim).filter(|base| !base.is_empty());
        let base = base.map_or_else(|| Ok(described_at.clone()), |base| described_at.join(base)).ok()?;
        let control = Some(self.control.trim()).filter(|control| !control.is_empty())?;
        let control = base.join(control).ok()?;
        (endpoint(&control)? == endpoint(described_at)?).then_some((self.kind, control))
    }
}
