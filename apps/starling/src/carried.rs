//! Contacts as they are carried elsewhere: JSON lines, one contact each, read from a file or from a form.

use starling_control::view::CarriedContact;
use starling_control::{ErrorKind, Failure};

/// `CONTACT-13`: a line. The longest note in JSON fits.
pub const LINE_MAX: usize = 32 * 1024;
/// Contacts of a file.
const LINES_MAX: usize = 10_000;

/// A contact, or nothing for an empty line.
pub fn read(line: &[u8], number: usize) -> Result<Option<CarriedContact>, Failure> {
    let usage = |sentence: String| Failure::new(ErrorKind::Usage, sentence);
    if number > LINES_MAX {
        return Err(usage(format!("a file may have {LINES_MAX} lines")));
    }
    if line.len() > LINE_MAX {
        return Err(usage(format!("a line may have {LINE_MAX} bytes")));
    }
    let text = std::str::from_utf8(line).map_err(|_| usage("this is no text".to_owned()))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let contact = serde_json::from_str(text);
    contact.map_err(|error| usage(format!("this is no exported contact: {error}")))
}

/// As it is written, with the end of its line.
pub fn written(contact: &CarriedContact) -> serde_json::Result<String> {
    Ok(serde_json::to_string(contact)? + "\n")
}
