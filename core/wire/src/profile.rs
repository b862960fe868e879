//! What a person shows beside presence: name, mood, a text about the person and a picture, each to whom it was meant for (spec page
//! `profile.md`). What contacts ask each other travels on the link protocol; what a member of the network sees goes with a request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::frame;
use crate::limits::{ABOUT_CHARS_MAX, ABOUT_MAX, MOOD_MAX, NAME_MAX, PICTURE_MAX};
use crate::sync::AHEAD_MAX_MS;

/// Bound on one frame: a picture and what stands round it.
pub const PROFILE_FRAME_MAX: usize = PICTURE_MAX + 16;

/// Who sees a part of a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Visibility {
    /// Nobody: it stays on the own devices.
    Nobody,
    /// Accepted contacts.
    #[default]
    Contacts,
    /// Contacts, and whoever is asked to become one.
    Network,
}

/// A part of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The display name.
    Name,
    /// What the person says at the moment.
    Mood,
    /// A text about the person.
    About,
    /// The picture.
    Avatar,
}

/// A part as own devices keep it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPart {
    /// Of what was ever chosen for this part, the highest counts; Unix milliseconds.
    pub number: u64,
    /// Who sees it.
    pub visibility: Visibility,
    /// A text's bytes or a picture's; none for the mood, which is kept with the presence.
    pub value: Option<Vec<u8>>,
}

/// A part as it is told to a contact. Without a value: there is none, or it is not for contacts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said<T> {
    /// As in [`OwnPart`].
    pub number: u64,
    /// What is shown.
    pub value: Option<T>,
}

/// Which picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// BLAKE3 hash of its bytes.
    pub hash: [u8; 32],
    /// How many these are.
    pub size: u16,
}

/// What a contact is told. Name and mood are not in it: they stand in card and presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// About the person.
    pub about: Said<String>,
    /// The picture.
    pub avatar: Said<Picture>,
}

/// What is known of a contact's profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// About the person.
    pub about: Said<String>,
    /// The hash of the picture as it came.
    pub avatar: Said<[u8; 32]>,
}

/// One frame on a stream that began with `LinkFrame::Profile`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProfileFrame {
    /// "What do you show? I know nothing of you yet."
    Ask,
    /// What the sender shows.
    Tell(Document),
    /// "I have not got that picture."
    PictureWanted,
    /// Its bytes.
    Picture(Vec<u8>),
    /// "It is kept, or I know something newer."
    Kept,
    /// "It is not what this protocol allows." Nothing of it was kept.
    Refused,
    /// "Tell me again later: I cannot keep it now, or one of the two clocks is wrong."
    Later,
}

/// What goes with a contact request: the parts that members of the network may see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// What the person says at the moment.
    pub mood: Option<String>,
    /// About the person.
    pub about: Option<String>,
    /// The picture itself.
    pub avatar: Option<Vec<u8>>,
}

/// Why a profile was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A text beyond its bound.
    #[error("what is said about the person is too long; {ABOUT_CHARS_MAX} characters are allowed")]
    AboutTooLong,
    /// A mood beyond its bound.
    #[error("the mood is too long; {MOOD_MAX} bytes are allowed")]
    MoodTooLong,
    /// A name beyond its bound.
    #[error("the display name is too long; {NAME_MAX} bytes are allowed")]
    NameTooLong,
    /// A picture of no size, or beyond its bound.
    #[error("the picture is too large; {PICTURE_MAX} bytes are allowed")]
    PictureSize,
    /// Another picture than was announced.
    #[error("the picture is not the one that was announced")]
    OtherPicture,
    /// A number from far ahead would never be replaced.
    #[error("the profile is from more than a day ahead; one of the two clocks is wrong")]
    Ahead,
    /// Bytes that are no text.
    #[error("a part of the profile is no text")]
    NoText,
}

impl Visibility {
    /// All of them, from the narrowest.
    pub const ALL: [Self; 3] = [Self::Nobody, Self::Contacts, Self::Network];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Contacts => "contacts",
            Self::Network => "network",
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Visibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of contacts, network and nobody"))
    }
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Name, Self::Mood, Self::About, Self::Avatar];

    /// Who sees it as long as nobody has chosen.
    pub const fn at_first(self) -> Visibility {
        match self {
            // A request without a name is a riddle.
            Self::Name => Visibility::Network,
            Self::Mood | Self::About | Self::Avatar => Visibility::Contacts,
        }
    }

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Mood => "mood",
            Self::About => "about",
            Self::Avatar => "avatar",
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| format!("\"{text}\" is none of name, mood, about and avatar"))
    }
}

impl OwnPart {
    /// `PROFILE-01`: the bounds of what is told, also for what another own device says.
    pub fn check(&self, part: Part) -> Result<(), ProfileError> {
        let Some(value) = &self.value else {
            return Ok(());
        };
        let text = || std::str::from_utf8(value).map_err(|_| ProfileError::NoText);
        match part {
            Part::Name if value.len() > NAME_MAX => Err(ProfileError::NameTooLong),
            Part::Mood if value.len() > MOOD_MAX => Err(ProfileError::MoodTooLong),
            Part::Name | Part::Mood => text().map(|_| ()),
            Part::About => check_about(text()?),
            Part::Avatar => check_size(value.len()),
        }
    }

    /// Its value for contacts.
    pub fn for_contacts(&self) -> Option<&[u8]> {
        let shown = self.visibility >= Visibility::Contacts;
        self.value.as_deref().filter(|_| shown)
    }

    /// Its value for members of the network.
    pub fn for_network(&self) -> Option<&[u8]> {
        let shown = self.visibility == Visibility::Network;
        self.value.as_deref().filter(|_| shown)
    }
}

impl Picture {
    /// Of these bytes; none if there is no picture of that size.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        check_size(bytes.len()).ok()?;
        Some(Self {
            hash: *blake3::hash(bytes).as_bytes(),
            size: u16::try_from(bytes.len()).ok()?,
        })
    }

    /// `PROFILE-03`: whether these bytes are that picture's.
    pub fn check(&self, bytes: &[u8]) -> Result<(), ProfileError> {
        match Self::of(bytes) {
            Some(found) if found == *self => Ok(()),
            Some(_) => Err(ProfileError::OtherPicture),
            None => Err(ProfileError::PictureSize),
        }
    }
}

impl Document {
    /// What these two parts tell contacts.
    pub fn new(about: &OwnPart, avatar: &OwnPart) -> Self {
        let text = about.for_contacts().map(String::from_utf8_lossy);
        Self {
            about: Said {
                number: about.number,
                value: text.map(std::borrow::Cow::into_owned),
            },
            avatar: Said {
                number: avatar.number,
                value: avatar.for_contacts().and_then(Picture::of),
            },
        }
    }

    /// Whether it shows nothing at all.
    pub const fn is_empty(&self) -> bool {
        self.about.value.is_none() && self.avatar.value.is_none()
    }

    /// Stands for it where it is noted who was told what.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&frame::encode_body(self)).as_bytes()
    }

    /// `PROFILE-01`, `PROFILE-02`: bounds, and no number from more than a day ahead.
    pub fn check(&self, now_ms: u64) -> Result<(), ProfileError> {
        self.about.value.as_deref().map_or(Ok(()), check_about)?;
        let picture = self.avatar.value.as_ref();
        picture.map_or(Ok(()), |picture| check_size(picture.size.into()))?;
        let ahead = |number: u64| number > now_ms.saturating_add(AHEAD_MAX_MS);
        if ahead(self.about.number) || ahead(self.avatar.number) {
            return Err(ProfileError::Ahead);
        }
        Ok(())
    }
}

impl Shown {
    /// `PROFILE-08`: what is known after this was told: of each part what has the higher number. And the picture that has to be
    /// asked for, if it is another than before.
    pub fn after(known: Option<&Self>, told: &Document) -> (Self, Option<Picture>) {
        let nothing = Self {
            about: Said::default(),
            avatar: Said::default(),
        };
        let mut shown = known.cloned().unwrap_or(nothing);
        if told.about.number > shown.about.number {
            shown.about = told.about.clone();
        }
        if told.avatar.number <= shown.avatar.number {
            return (shown, None);
        }
        let picture = told.avatar.value;
        let wanted = picture.filter(|picture| shown.avatar.value != Some(picture.hash));
        shown.avatar = Said {
            number: told.avatar.number,
            value: picture.map(|picture| picture.hash),
        };
        (shown, wanted)
    }
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self {
            number: 0,
            value: None,
        }
    }
}

impl Introduction {
    /// `PROFILE-01` for what a stranger sends.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.mood.as_ref().is_some_and(|mood| mood.len() > MOOD_MAX) {
            return Err(ProfileError::MoodTooLong);
        }
        self.about.as_deref().map_or(Ok(()), check_about)?;
        let avatar = self.avatar.as_ref();
        avatar.map_or(Ok(()), |avatar| check_size(avatar.len()))
    }
}

fn check_about(text: &str) -> Result<(), ProfileError> {
    if text.len() > ABOUT_MAX || text.chars().count() > ABOUT_CHARS_MAX {
        return Err(ProfileError::AboutTooLong);
    }
    Ok(())
}

const fn check_size(size: usize) -> Result<(), ProfileError> {
    match size {
        1..=PICTURE_MAX => Ok(()),
        _ => Err(ProfileError::PictureSize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn part(visibility: Visibility, value: &[u8]) -> OwnPart {
        OwnPart {
            number: NOW,
            visibility,
            value: Some(value.to_vec()),
        }
    }

    fn document(about: &str) -> Document {
        let about = part(Visibility::Contacts, about.as_bytes());
        Document::new(&about, &part(Visibility::Contacts, &[7; PICTURE_MAX]))
    }

    #[test]
    fn profile_01_texts_and_pictures_have_bounds_in_every_script() {
        for longest in ["a", "é", "ب", "字", "👩"].map(|one| one.repeat(ABOUT_CHARS_MAX)) {
            assert_eq!(document(&longest).check(NOW), Ok(()), "{longest}");
            let longer = format!("{longest}a");
            let refused = Err(ProfileError::AboutTooLong);
            assert_eq!(document(&longer).check(NOW), refused);
            let introduction = Introduction {
                about: Some(longer.clone()),
                ..Introduction::default()
            };
            assert_eq!(introduction.check(), refused);
            let own = part(Visibility::Nobody, longer.as_bytes());
            assert_eq!(own.check(Part::About), refused);
        }
        let long = part(Visibility::Nobody, &[b'a'; 10_000]);
        assert_eq!(long.check(Part::Name), Err(ProfileError::NameTooLong));
        assert_eq!(long.check(Part::Mood), Err(ProfileError::MoodTooLong));
        assert_eq!(long.check(Part::Avatar), Ok(()));
        let no_text = part(Visibility::Nobody, &[0xff]);
        assert_eq!(no_text.check(Part::Name), Err(ProfileError::NoText));
        assert_eq!(no_text.check(Part::About), Err(ProfileError::NoText));
        for size in [0, PICTURE_MAX + 1] {
            let picture = part(Visibility::Network, &vec![1; size]);
            let refused = Err(ProfileError::PictureSize);
            assert_eq!(picture.check(Part::Avatar), refused);
            let introduction = Introduction {
                avatar: picture.value,
                ..Introduction::default()
            };
            assert_eq!(introduction.check(), refused);
        }
        let mut none = document("");
        none.avatar.value = Some(Picture {
            hash: [0; 32],
            size: 0,
        });
        assert_eq!(none.check(NOW), Err(ProfileError::PictureSize));
    }

    #[test]
    fn profile_01_the_largest_frames_fit() {
        let largest = ProfileFrame::Picture(vec![255; PICTURE_MAX]);
        let told = ProfileFrame::Tell(document(&"👩".repeat(ABOUT_CHARS_MAX)));
        for frame in [largest, told] {
            assert!(frame::encode_body(&frame).len() <= PROFILE_FRAME_MAX);
        }
    }

    #[test]
    fn profile_02_a_number_from_far_ahead_is_refused() {
        let told = document("Hello");
        assert_eq!(told.check(NOW - AHEAD_MAX_MS), Ok(()));
        let refused = Err(ProfileError::Ahead);
        assert_eq!(told.check(NOW - AHEAD_MAX_MS - 1), refused);
        let mut avatar = told;
        (avatar.about.number, avatar.avatar.number) = (0, u64::MAX);
        assert_eq!(avatar.check(u64::MAX), Ok(()));
        assert_eq!(avatar.check(NOW), refused);
    }

    #[test]
    fn profile_03_only_the_announced_picture_is_taken() {
        let picture = Picture::of(b"picture").unwrap();
        assert_eq!(picture.check(b"picture"), Ok(()));
        assert_eq!(picture.check(b"picturf"), Err(ProfileError::OtherPicture));
        assert_eq!(picture.check(b""), Err(ProfileError::PictureSize));
        let large = vec![0; PICTURE_MAX + 1];
        assert_eq!(picture.check(&large), Err(ProfileError::PictureSize));
        assert_eq!(Picture::of(&large), None);
    }

    #[test]
    fn profile_04_each_part_is_seen_by_whom_it_is_for() {
        let seen = |visibility| {
            let part = part(visibility, b"text");
            (part.for_contacts().is_some(), part.for_network().is_some())
        };
        assert_eq!(seen(Visibility::Nobody), (false, false));
        assert_eq!(seen(Visibility::Contacts), (true, false));
        assert_eq!(seen(Visibility::Network), (true, true));
        let hidden = part(Visibility::Nobody, b"text");
        let told = Document::new(&hidden, &hidden);
        assert_eq!((told.about.value, told.avatar.value), (None, None));
        assert_eq!(told.about.number, NOW, "that it is gone is news");
    }

    #[test]
    fn profile_08_of_each_part_the_higher_number_counts() {
        let told = |about: u64, avatar: u64, picture: &[u8]| Document {
            about: Said {
                number: about,
                value: Some(format!("said at {about}")),
            },
            avatar: Said {
                number: avatar,
                value: Picture::of(picture),
            },
        };
        let (first, wanted) = Shown::after(None, &told(5, 5, b"old"));
        assert_eq!(wanted, Picture::of(b"old"));
        // Two devices told what the other did not know yet.
        let (second, wanted) = Shown::after(Some(&first), &told(4, 7, b"new"));
        assert_eq!(second.about.value.as_deref(), Some("said at 5"));
        assert_eq!(wanted, Picture::of(b"new"));
        let (third, wanted) = Shown::after(Some(&second), &told(6, 5, b"old"));
        assert_eq!(third.about.value.as_deref(), Some("said at 6"));
        assert_eq!((&third.avatar, wanted), (&second.avatar, None));
        let (same, wanted) = Shown::after(Some(&third), &told(6, 8, b"new"));
        assert_eq!(
            (same.avatar.number, wanted),
            (8, None),
            "it is here already"
        );
        let (gone, wanted) = Shown::after(Some(&same), &told(6, 9, b""));
        assert_eq!((gone.avatar.value, wanted), (None, None));
        let (back, wanted) = Shown::after(Some(&gone), &told(6, 10, b"new"));
        assert_eq!((back.about.number, wanted), (6, Picture::of(b"new")));
    }

    #[test]
    fn what_is_written_is_read() {
        for one in Visibility::ALL {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        for one in Part::ALL {
            assert_eq!(one.word().parse(), Ok(one));
        }
        assert!("friends".parse::<Visibility>().is_err());
        assert!("face".parse::<Part>().is_err());
    }
}
