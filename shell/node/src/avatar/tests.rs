//! Pictures that cameras, screens and attackers make.

use std::time::Instant;

use image::codecs::webp::WebPEncoder;
use image::{ImageBuffer, Rgb, Rgba};

use super::*;

fn gradient(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([(x / 8) as u8, (y / 8) as u8, (x ^ y) as u8]);
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(width, height, pixel))
}

/// Pixels by chance: nothing compresses less.
fn noise(edge: u32) -> DynamicImage {
    let mut state = 1_u32;
    let mut pixel = |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, r, g, b] = state.to_le_bytes();
        Rgb([r, g, b])
    };
    DynamicImage::ImageRgb8(ImageBuffer::from_fn(edge, edge, &mut pixel))
}

fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut cursor = Cursor::new(&mut bytes);
    image.write_to(&mut cursor, format).unwrap();
    bytes
}

fn jpeg(image: &DynamicImage, quality: u8) -> Vec<u8> {
    write(&image.to_rgb8(), quality).unwrap()
}

fn size(bytes: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap();
    (image.width(), image.height())
}

/// Grey, in four colours: no encoder of ours writes that.
fn cmyk() -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xee, 0, 14];
    bytes.extend(b"Adobe\x00\x64\x00\x00\x00\x00\x00");
    bytes.extend([0xff, 0xdb, 0, 67, 0]);
    bytes.extend([1; 64]);
    bytes.extend([0xff, 0xc0, 0, 20, 8, 0, 8, 0, 8, 4]);
    bytes.extend((1..=4).flat_map(|component| [component, 0x11, 0]));
    for class in [0, 0x10] {
        bytes.extend([0xff, 0xc4, 0, 20, class, 1]);
        bytes.extend([0; 16]);
    }
    bytes.extend([0xff, 0xda, 0, 14, 4]);
    bytes.extend((1..=4).flat_map(|component| [component, 0]));
    bytes.extend([0, 63, 0, 0, 0xff, 0xd9]);
    bytes
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let filler = vec![0; content.len() % 2];
    [name, &length[..], content, &filler].concat()
}

/// Two frames of 10 x 10 pixels.
fn animated() -> Vec<u8> {
    let still = {
        let mut bytes = Vec::new();
        let encoder = WebPEncoder::new_lossless(&mut bytes);
        gradient(10, 10).write_with_encoder(encoder).unwrap();
        bytes[12..].to_vec()
    };
    let edge = [9, 0, 0];
    let frame = [&[0; 6][..], &edge, &edge, &[100, 0, 0, 0], &still].concat();
    let content = [
        b"WEBP".to_vec(),
        chunk(b"VP8X", &[&[2, 0, 0, 0], &edge[..], &edge].concat()),
        chunk(b"ANIM", &[0; 6]),
        chunk(b"ANMF", &frame),
        chunk(b"ANMF", &frame),
    ];
    chunk(b"RIFF", &content.concat())
}

/// A PNG that says it has so many pixels.
fn boasting(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = written(&gradient(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = bytes[12..29].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    });
    bytes[29..33].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

/// A JPEG that says so.
fn boasting_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg(&gradient(16, 16), 80);
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]);
    let at = frame.unwrap() + 5;
    bytes[at..at + 2].copy_from_slice(&height.to_be_bytes());
    bytes[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[test]
fn profile_06_every_format_becomes_a_small_square_jpeg() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let made = from_bytes(&written(&gradient(700, 400), format)).unwrap();
        assert_eq!(size(&made), (256, 256), "{format:?}");
        assert!(made.len() <= PICTURE_MAX, "{format:?}: {}", made.len());
        assert!(from_contact(&made).is_ok());
    }
    let worst = from_bytes(&written(&noise(300), ImageFormat::Png)).unwrap();
    assert!(worst.len() <= PICTURE_MAX);
    for small in [(1, 1), (1, 300), (40, 40)] {
        let made = from_bytes(&written(&gradient(small.0, small.1), ImageFormat::Png)).unwrap();
        let edge = small.0.min(small.1);
        assert_eq!(size(&made), (edge, edge));
    }
    assert_eq!(size(&from_bytes(&cmyk()).unwrap()), (8, 8));
    assert_eq!(size(&from_bytes(&animated()).unwrap()), (10, 10));
}

#[test]
fn profile_06_a_photo_of_twelve_megapixels_is_done_at_once() {
    let photo = jpeg(&gradient(4_000, 3_000), 80);
    let begin = Instant::now();
    let made = from_bytes(&photo).unwrap();
    let took = begin.elapsed();
    println!(
        "12 megapixels, {} bytes: {took:?}, {} bytes",
        photo.len(),
        made.len()
    );
    assert!(took.as_secs() < 10, "{took:?}");
}

#[test]
fn profile_06_nothing_but_pixels_is_left() {
    let mut photo = jpeg(&gradient(60, 30), 90);
    // Turned by a quarter, taken somewhere, by somebody.
    let mut exif =
        b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    exif.extend(b"GPS 54.3233 N 10.1228 E, Alice's camera");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let segment = [&[0xff, 0xe1], &length[..], &exif].concat();
    photo.splice(2..2, segment);
    photo.extend(b"and a letter behind the end");
    let bounds = Bounds {
        edge: 100,
        pixels: 10_000,
        memory: 1 << 20,
    };
    let turned = decode(&photo, ImageFormat::Jpeg, &bounds).unwrap();
    assert_eq!((turned.width(), turned.height()), (30, 60));
    let made = from_bytes(&photo).unwrap();
    for secret in [&b"Exif"[..], b"camera", b"letter"] {
        assert!(!made.windows(secret.len()).any(|part| part == secret));
    }
    assert_eq!(made, from_contact(&made).map(|_| made.clone()).unwrap());
}

#[test]
fn profile_06_what_is_transparent_becomes_white() {
    let clear = ImageBuffer::from_pixel(20, 20, Rgba([200, 0, 0, 0]));
    let clear = DynamicImage::ImageRgba8(clear);
    let made = from_bytes(&written(&clear, ImageFormat::Png)).unwrap();
    let made = image::load_from_memory(&made).unwrap().to_rgb8();
    assert!(made.pixels().all(|pixel| pixel.0.iter().all(|c| *c > 250)));
}

#[test]
fn profile_06_what_no_person_photographs_is_refused_with_a_sentence() {
    let png = written(&gradient(100, 100), ImageFormat::Png);
    let mut flipped = png.clone();
    flipped[png.len() / 2] ^= 1;
    let mut odd = png.clone();
    odd[0] = 0;
    for (bytes, words) in [
        (boasting(50_000, 50_000), "50000 x 50000 pixels"),
        (boasting(8_193, 1), "8193 x 1 pixels"),
        (boasting(8_000, 8_000), "8000 x 8000 pixels"),
        (boasting(0, 5), "damaged"),
        (boasting(5_000, 5_000), "damaged"),
        (boasting_jpeg(65_000, 65_000), "65000 x 65000 pixels"),
        (png[..png.len() / 2].to_vec(), "damaged"),
        (flipped, "damaged"),
        (odd, "JPEG, PNG or WebP"),
        (b"GIF89a\x01\0\x01\0".to_vec(), "JPEG, PNG or WebP"),
        (Vec::new(), "JPEG, PNG or WebP"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            "JPEG, PNG or WebP",
        ),
    ] {
        let refused = from_bytes(&bytes).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}, not {words}");
    }
}

#[test]
fn profile_06_only_a_file_of_ten_megabytes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| from_file(path).unwrap_err().to_string();
    assert!(refused(folder.path()).contains("has to be a file"));
    assert!(refused(&folder.path().join("none")).contains("cannot be read"));
    let large = folder.path().join("large.png");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(FILE_MAX + 1).unwrap();
    assert!(refused(&large).contains("10 MB"));
    file.set_len(FILE_MAX).unwrap();
    assert!(refused(&large).contains("JPEG, PNG or WebP"));
}

#[test]
fn profile_07_a_contacts_picture_is_small_jpeg_and_written_anew() {
    let good = jpeg(&gradient(256, 200), 70);
    let mut behind = good.clone();
    behind.extend(b"<script>");
    let kept = from_contact(&behind).unwrap();
    assert_eq!(size(&kept), (256, 200));
    assert!(!kept.windows(8).any(|part| part == b"<script>"));
    assert_eq!(size(&from_contact(&cmyk()).unwrap()), (8, 8));
    let one = jpeg(&gradient(1, 1), 70);
    assert_eq!(size(&from_contact(&one).unwrap()), (1, 1));
    for (bytes, words) in [
        (written(&gradient(10, 10), ImageFormat::Png), "no picture"),
        (animated(), "no picture"),
        (jpeg(&gradient(257, 10), 30), "more than 256 pixels"),
        (boasting_jpeg(65_500, 65_500), "more than 256 pixels"),
        (vec![0xff; PICTURE_MAX + 1], "too large"),
        (good[..300].to_vec(), "damaged"),
        (Vec::new(), "no picture"),
    ] {
        let refused = from_contact(&bytes).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}, not {words}");
    }
}

/// A body for fuzzing: whatever a contact sends, what is kept is a small picture or nothing.
#[test]
fn profile_07_no_bytes_make_it_panic_or_grow() {
    let seeds = [jpeg(&gradient(64, 48), 60), cmyk()];
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let begin = Instant::now();
    for round in 0..3_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            bytes[at] ^= 1 << random(8);
        }
        bytes.truncate(bytes.len() - random(bytes.len() / 4));
        if let Ok(kept) = from_contact(&bytes) {
            assert!(kept.len() <= PICTURE_MAX);
        }
        if begin.elapsed().as_secs() >= 5 {
            break;
        }
    }
}
