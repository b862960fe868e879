//! Forms with a file in them (`multipart/form-data`, RFC 7578), as far as our own page sends them: a few small fields and one file,
//! in a body that is bounded and in memory already.

/// Parts of a form that are looked at.
const PARTS_MAX: usize = 8;

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// What is in it; of a file its bytes.
    pub content: &'a [u8],
}

/// The boundary that a content type names.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let mut parameters = parameters
        .split(';')
        .filter_map(|one| one.trim().split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.eq_ignore_ascii_case("boundary"))?;
    let value = value.trim_matches('"');
    // RFC 2046, 5.1.1.
    (1..=70).contains(&value.len()).then_some(value)
}

/// The fields of a body; none if it is not whole.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let line = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(line.as_bytes())?;
    let mut parts = Vec::new();
    while parts.len() < PARTS_MAX {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let (head, after) = cut(part, b"\r\n\r\n")?;
        let (content, after) = cut(after, next.as_bytes())?;
        let head = std::str::from_utf8(head).ok()?;
        parts.push(Part {
            name: name(head)?,
            content,
        });
        rest = after;
    }
    None
}

fn name(head: &str) -> Option<&str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"))?;
    let (_, after) = value.split_once(" name=\"")?;
    Some(after.split_once('"')?.0)
}

fn cut<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = bytes.windows(at.len()).position(|part| part == at)?;
    Some((&bytes[..found], &bytes[found + at.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=----x7";

    fn body() -> Vec<u8> {
        let mut body =
            b"------x7\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nt0k\r\n".to_vec();
        body.extend(
            b"------x7\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\n",
        );
        body.extend(b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--\xff\r\n------x7--\r\n");
        body
    }

    #[test]
    fn fields_and_a_file_are_read_as_they_were_sent() {
        let boundary = boundary(KIND).unwrap();
        let body = body();
        let parts = parts(&body, boundary).unwrap();
        let read: Vec<_> = parts.iter().map(|part| (part.name, part.content)).collect();
        let file: &[u8] = b"\x89PNG\r\n--\xff";
        assert_eq!(read, [("token", &b"t0k"[..]), ("picture", file)]);
    }

    #[test]
    fn what_is_not_whole_is_no_form() {
        let whole = body();
        for end in 0..whole.len() - 4 {
            assert_eq!(parts(&whole[..end], "----x7"), None, "{end}");
        }
        assert_eq!(parts(&whole, "----x8"), None);
        let many = b"--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nx\r\n".repeat(100);
        assert_eq!(parts(&many, "b"), None);
        for kind in [
            "text/plain",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "application/x-www-form-urlencoded; boundary=x",
        ] {
            assert_eq!(boundary(kind), None, "{kind}");
        }
        assert_eq!(
            boundary("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""),
            Some("a b")
        );
    }
}
