//! The values that messages are made of: each stands behind a letter that says what it is.

use super::ServerError;

const BYTE: u8 = b'B';
const WORD: u8 = b'L';
const TEXT: u8 = b't';
const NO_TEXT: u8 = b'N';
const BLOB: u8 = b'x';
const TRUE: u8 = b'1';
const FALSE: u8 = b'0';
const FORM: u8 = b'a';
const CHANNELS: u8 = b'm';
const VOLUMES: u8 = b'v';
const VOLUME: u8 = b'V';
const PROPERTIES: u8 = b'P';
const FORMAT: u8 = b'f';
/// Signed, unsigned, a duration, a time: eight bytes each.
const LONG: [u8; 4] = [b'r', b'R', b'U', b'T'];

/// 32-bit float, little end first.
const FLOAT: u8 = 5;
const MONO: u8 = 0;
/// As loud as it is.
const NEUTRAL: u32 = 0x1_0000;

/// Builds what is sent.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, value: u8) {
        self.0.extend([BYTE, value]);
    }

    pub(super) fn word(&mut self, value: u32) {
        self.0.push(WORD);
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn flags(&mut self, values: &[bool]) {
        let letters = values.iter().map(|value| if *value { TRUE } else { FALSE });
        self.0.extend(letters);
    }

    /// It holds no zero: that is its end.
    pub(super) fn text(&mut self, value: &str) {
        self.0.push(TEXT);
        self.0.extend(value.bytes().filter(|byte| *byte != 0));
        self.0.push(0);
    }

    #[cfg(test)]
    pub(super) fn no_text(&mut self) {
        self.0.push(NO_TEXT);
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.0.push(BLOB);
        self.0.extend((value.len() as u32).to_be_bytes());
        self.0.extend(value);
    }

    /// One channel of floats at this rate.
    pub(super) fn mono(&mut self, rate: u32) {
        self.0.extend([FORM, FLOAT, 1]);
        self.0.extend(rate.to_be_bytes());
        self.0.extend([CHANNELS, 1, MONO]);
    }

    /// Of one channel.
    pub(super) fn neutral_volume(&mut self) {
        self.0.extend([VOLUMES, 1]);
        self.0.extend(NEUTRAL.to_be_bytes());
    }

    pub(super) fn properties(&mut self, values: &[(&str, &str)]) {
        self.0.push(PROPERTIES);
        for (key, value) in values {
            let value = [value.as_bytes(), &[0]].concat();
            self.text(key);
            self.word(value.len() as u32);
            self.blob(&value);
        }
        self.0.push(NO_TEXT);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Takes apart what came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn byte(&mut self) -> Result<u8, ServerError> {
        self.expect(BYTE)?;
        let [value] = self.array()?;
        Ok(value)
    }

    pub(super) fn word(&mut self) -> Result<u32, ServerError> {
        self.expect(WORD)?;
        self.array().map(u32::from_be_bytes)
    }

    /// What is said, or that nothing is.
    pub(super) fn text(&mut self) -> Result<Option<&'a [u8]>, ServerError> {
        match self.array()? {
            [TEXT] => self.until_zero().map(Some),
            [NO_TEXT] => Ok(None),
            _ => Err(UNEXPECTED),
        }
    }

    /// Passes over so many values, whatever they are.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), ServerError> {
        for _ in 0..count {
            self.skip_one()?;
        }
        Ok(())
    }

    fn skip_one(&mut self) -> Result<(), ServerError> {
        let [letter] = self.array()?;
        match letter {
            TRUE | FALSE | NO_TEXT => Ok(()),
            TEXT => self.until_zero().map(drop),
            BYTE => self.take(1).map(drop),
            WORD | VOLUME => self.take(4).map(drop),
            FORM => self.take(6).map(drop),
            CHANNELS => self.skip_each(1),
            VOLUMES => self.skip_each(4),
            BLOB => self.skip_blob(),
            PROPERTIES => self.skip_properties(),
            FORMAT => {
                self.byte()?;
                self.expect(PROPERTIES)?;
                self.skip_properties()
            }
            letter if LONG.contains(&letter) => self.take(8).map(drop),
            _ => Err(UNEXPECTED),
        }
    }

    /// Something of each channel.
    fn skip_each(&mut self, size: usize) -> Result<(), ServerError> {
        let [channels] = self.array()?;
        self.take(usize::from(channels) * size).map(drop)
    }

    fn skip_blob(&mut self) -> Result<(), ServerError> {
        let length = self.array().map(u32::from_be_bytes)?;
        self.take(length as usize).map(drop)
    }

    fn skip_properties(&mut self) -> Result<(), ServerError> {
        while self.text()?.is_some() {
            self.word()?;
            self.expect(BLOB)?;
            self.skip_blob()?;
        }
        Ok(())
    }

    fn until_zero(&mut self) -> Result<&'a [u8], ServerError> {
        let length = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(length.ok_or(CUT_OFF)?)?;
        self.take(1)?;
        Ok(text)
    }

    fn expect(&mut self, letter: u8) -> Result<(), ServerError> {
        let [found] = self.array()?;
        if found == letter {
            Ok(())
        } else {
            Err(UNEXPECTED)
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ServerError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ServerError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(taken)
    }
}

const CUT_OFF: ServerError = ServerError::Garbled("a message is cut off");
const UNEXPECTED: ServerError = ServerError::Garbled("a value is of the wrong kind");

#[cfg(test)]
mod tests {
    use super::*;

    fn words(result: Result<(), ServerError>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_written_is_read_and_all_of_it_can_be_passed_over() {
        let mut writer = Writer::default();
        writer.byte(7);
        writer.word(0xdead_beef);
        writer.text("speak\0er");
        writer.flags(&[true, false]);
        writer.blob(&[0; 256]);
        writer.mono(48_000);
        writer.neutral_volume();
        writer.properties(&[("application.name", "Starling"), ("a", "")]);
        let mut reader = Reader::new(writer.bytes());
        assert_eq!(reader.byte().expect("a byte"), 7);
        assert_eq!(reader.word().expect("a word"), 0xdead_beef);
        assert_eq!(reader.text().expect("a text"), Some(&b"speaker"[..]));
        reader.skip(7).expect("all the rest");
        assert!(reader.is_empty());
        reader = Reader::new(writer.bytes());
        reader.skip(10).expect("all of it");
        assert!(reader.is_empty());
        for length in 0..writer.bytes().len() {
            let cut = Reader::new(&writer.bytes()[..length]).skip(10);
            assert!(cut.is_err(), "cut off after {length}");
        }
    }

    #[test]
    fn other_peoples_values_are_passed_over() {
        let format = b"fB\x01Pta\0L\0\0\0\x02x\0\0\0\x02b\0N";
        let rest = b"V\0\0\0\0U\0\0\0\0\0\0\0\0T\0\0\0\0\0\0\0\0N";
        let all = [&format[..], &rest[..]].concat();
        let mut reader = Reader::new(&all);
        reader.skip(5).expect("five values");
        assert!(reader.is_empty());
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let unexpected = "the sound server breaks the protocol: a value is of the wrong kind";
        assert_eq!(words(Reader::new(b"?").skip(1)), unexpected);
        assert_eq!(words(Reader::new(b"B\0").word().map(drop)), unexpected);
        // One within another, without end.
        assert_eq!(words(Reader::new(&[b'f'; 99_999]).skip(1)), unexpected);
        let cut_off = "the sound server breaks the protocol: a message is cut off";
        assert_eq!(words(Reader::new(b"x\xff\xff\xff\xff").skip(1)), cut_off);
        assert_eq!(words(Reader::new(b"tabc").skip(1)), cut_off);
        assert_eq!(words(Reader::new(b"N").skip(u32::MAX)), cut_off);
    }
}
