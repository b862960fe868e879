//! A contact who sends pictures that are none.

use starling_wire::alpn;
use starling_wire::limits::PICTURE_MAX;
use starling_wire::peer::LinkFrame;
use starling_wire::profile::{Document, Picture, ProfileFrame, Said};

use super::*;
use crate::profiles::{contact, until_shows};

fn told(number: u64, picture: Picture) -> Document {
    Document {
        about: Said {
            number,
            value: Some(format!("told at {number}")),
        },
        avatar: Said {
            number,
            value: Some(picture),
        },
    }
}

fn jpeg(edge: u32) -> Vec<u8> {
    let pixels = image::RgbImage::from_pixel(edge, edge, image::Rgb([9, 99, 200]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    let format = image::ImageFormat::Jpeg;
    pixels.write_to(&mut bytes, format).expect("written");
    bytes.into_inner()
}

/// 400 bytes that say they are 4,225 million pixels.
fn bomb() -> Vec<u8> {
    let mut bytes = jpeg(16);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]);
    let at = frame.expect("a frame") + 5;
    bytes[at..at + 4].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe8]);
    bytes
}

impl Mallory {
    /// Tells Alice that, sends this when she wants the picture, and hears what she says in the end.
    async fn tell(&self, door: &Door, told: Document, picture: &[u8]) -> Option<ProfileFrame> {
        let connection = self.door.dial(door, alpn::LINK).await.expect("let in");
        let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
        for bytes in [
            encode(&LinkFrame::Profile),
            encode(&ProfileFrame::Tell(told)),
        ] {
            send.write_all(&bytes).await.expect("written");
        }
        let mut answer = read(&mut receive).await?;
        if answer == ProfileFrame::PictureWanted {
            let bytes = encode(&ProfileFrame::Picture(picture.to_vec()));
            send.write_all(&bytes).await.expect("written");
            answer = read(&mut receive).await?;
        }
        connection.close(0u32.into(), b"told");
        Some(answer)
    }
}

async fn read(receive: &mut RecvStream) -> Option<ProfileFrame> {
    let mut length = [0; 4];
    let read = async {
        receive.read_exact(&mut length).await.ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        receive.read_exact(&mut body).await.ok()?;
        decode_body(&body, 2_048).ok()
    };
    tokio::time::timeout(PATIENCE, read).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn profile_03_07_11_a_contact_whose_picture_is_none_is_refused_and_nothing_is_kept() {
    let [a, m] = [folder(), folder()];
    let mut alice = Actor::create(a.path(), "Alice").await;
    let mut other = Actor::create(m.path(), "Mallory").await;
    befriend_as(&mut alice, &mut other, ["Alice", "Mallory"]).await;
    other.node.stop().await;
    let (identity, known) = read_profile(m.path());
    let door = card_of(&known, "Alice").doors[0].clone();
    let mallory = Mallory::with(identity).await;
    mallory.near(&door.home[0]).await;
    let now = wall_s() * 1_000;
    let of = |bytes: &[u8]| Picture::of(bytes).expect("of a size");
    let good = jpeg(64);
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let large = Picture {
        hash: *blake3::hash(&[7; PICTURE_MAX]).as_bytes(),
        size: u16::MAX,
    };
    for (told, picture) in [
        (told(now, of(&good)), flipped),
        (told(now, of(&bomb())), bomb()),
        (told(now, of(&jpeg(300))), jpeg(300)),
        (told(now, of(&good[..200])), good[..200].to_vec()),
        (told(now, of(b"<svg/>")), b"<svg/>".to_vec()),
        (told(now, large), vec![7; PICTURE_MAX]),
        // PROFILE-02: nothing newer could ever replace it; it is not kept, but a clock may be wrong.
        (told(u64::MAX, of(&good)), good.clone()),
    ] {
        let expected = refusal(told.about.number > now);
        let answer = mallory.tell(&door, told, &picture).await;
        assert_eq!(answer, Some(expected));
        let seen = contact(&alice, "Mallory").await.expect("a contact");
        assert_eq!(seen.shows, view::ShownProfile::default());
    }
    // A frame that is too large ends the conversation, and nothing more.
    let huge = vec![7; PICTURE_MAX + 100];
    let answer = mallory.tell(&door, told(now, of(&good)), &huge).await;
    assert!(
        matches!(answer, None | Some(ProfileFrame::Later)),
        "{answer:?}"
    );
    let answer = mallory.tell(&door, told(now, of(&good)), &good).await;
    assert_eq!(answer, Some(ProfileFrame::Kept));
    let shown = until_shows(&alice, "Mallory", "it", |one| one.shows.avatar.is_some()).await;
    assert_eq!(shown.shows.about, format!("told at {now}"));
    // An older word changes nothing.
    let answer = mallory
        .tell(&door, told(now - 1, of(&jpeg(30))), &jpeg(30))
        .await;
    assert_eq!(answer, Some(ProfileFrame::Kept));
    let same = contact(&alice, "Mallory").await.expect("a contact");
    assert_eq!(same.shows, shown.shows);
    talks_without_end(&mallory, &door, told(now - 1, of(&good)), &good).await;
    alice.node.stop().await;
}

/// A clock that is wrong may be set right.
const fn refusal(ahead: bool) -> ProfileFrame {
    if ahead {
        ProfileFrame::Later
    } else {
        ProfileFrame::Refused
    }
}

/// PROFILE-11: whoever talks without end is not listened to.
async fn talks_without_end(mallory: &Mallory, door: &Door, told: Document, picture: &[u8]) {
    let mut heard = 0;
    for _ in 0..30 {
        let answer = mallory.tell(door, told.clone(), picture).await;
        heard += usize::from(answer == Some(ProfileFrame::Kept));
    }
    assert!((1..=20).contains(&heard), "{heard}");
}
