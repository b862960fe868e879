//! Pictures of people. What the person here chose is made small and loses everything but its pixels; what a contact sent is decoded
//! under strict limits and written anew, so that no byte from outside is ever shown. The decoders are the `image` crate's (Rust,
//! without C); JPEG (ITU-T T.81), PNG (ISO 15948), WebP (RFC 9649). Lengths are bytes or pixels.

use std::io::{Cursor, Read};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat,
    ImageReader, Limits, RgbImage,
};
use starling_wire::limits::{PICTURE_EDGE_MAX, PICTURE_MAX};

/// A file that a person chose.
pub const FILE_MAX: u64 = 10 * 1024 * 1024;
/// Its width and its height.
const EDGE_MAX: u32 = 8_192;
/// Both together.
const PIXELS_MAX: u64 = 40_000_000;
/// What its pixels may take in memory.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;
/// The same for a contact's picture.
const FOREIGN_MEMORY_MAX: u64 = 1024 * 1024;
/// Edges that are tried, and of each the qualities, until the picture is small enough.
const EDGES: [u32; 3] = [PICTURE_EDGE_MAX, 128, 64];
const QUALITIES: [u8; 5] = [88, 80, 70, 60, 45];
/// Transparent pixels are laid on white.
const BACKGROUND: u32 = 255;

/// Why a picture was refused.
#[derive(Debug, thiserror::Error)]
pub enum AvatarError {
    /// It cannot be read from the disk.
    #[error("the picture cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Something else than a file.
    #[error("the picture has to be a file")]
    NoFile,
    /// Too many bytes.
    #[error("the picture is too large; a file may have 10 MB")]
    FileTooLarge,
    /// None of the known formats.
    #[error("this is no picture that Starling reads; choose a JPEG, PNG or WebP file")]
    Format,
    /// Too many pixels, before any of them was read.
    #[error(
        "the picture has {width} x {height} pixels; 8192 on a side and 40 million together are allowed"
    )]
    TooManyPixels {
        /// As the file says.
        width: u32,
        /// As the file says.
        height: u32,
    },
    /// Larger in memory than allowed.
    #[error("the picture would take too much memory; make it smaller in another program first")]
    Memory,
    /// Not a whole picture of its format.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// What a contact sent has more pixels than agreed.
    #[error("a contact's picture has more than {PICTURE_EDGE_MAX} pixels on a side")]
    ForeignPixels,
}

/// What a decoder may be asked to do.
struct Bounds {
    edge: u32,
    pixels: u64,
    memory: u64,
}

/// `PROFILE-06`: the file as the picture that contacts get. Takes as long as a large photo takes: not for an async task.
pub fn from_file(path: &Path) -> Result<Vec<u8>, AvatarError> {
    // Before it is opened: a pipe would block.
    if !std::fs::metadata(path)?.is_file() {
        return Err(AvatarError::NoFile);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(AvatarError::FileTooLarge);
    }
    from_bytes(&bytes)
}

fn from_bytes(bytes: &[u8]) -> Result<Vec<u8>, AvatarError> {
    let format = image::guess_format(bytes).map_err(|_| AvatarError::Format)?;
    let bounds = Bounds {
        edge: EDGE_MAX,
        pixels: PIXELS_MAX,
        memory: MEMORY_MAX,
    };
    let image = decode(bytes, format, &bounds)?;
    shrunk(&square(image))
}

/// `PROFILE-07`: a contact's picture as it is shown here: JPEG only, at most 256 pixels on a side, written anew.
pub fn from_contact(bytes: &[u8]) -> Result<Vec<u8>, AvatarError> {
    if bytes.len() > PICTURE_MAX {
        return Err(AvatarError::FileTooLarge);
    }
    let format = image::guess_format(bytes).map_err(|_| AvatarError::Format)?;
    if format != ImageFormat::Jpeg {
        return Err(AvatarError::Format);
    }
    let bounds = Bounds {
        edge: PICTURE_EDGE_MAX,
        pixels: u64::from(PICTURE_EDGE_MAX).pow(2),
        memory: FOREIGN_MEMORY_MAX,
    };
    let image = decode(bytes, format, &bounds).map_err(|error| match error {
        AvatarError::TooManyPixels { .. } => AvatarError::ForeignPixels,
        other => other,
    })?;
    shrunk(&image)
}

fn decode(bytes: &[u8], format: ImageFormat, bounds: &Bounds) -> Result<DynamicImage, AvatarError> {
    use ImageFormat::{Jpeg, Png, WebP};
    if !matches!(format, Jpeg | Png | WebP) {
        return Err(AvatarError::Format);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bounds.memory);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    check_pixels(decoder.dimensions(), bounds)?;
    if decoder.total_bytes() > bounds.memory {
        return Err(AvatarError::Memory);
    }
    let orientation = decoder.orientation().map_err(refused)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Before anything is allocated for them.
fn check_pixels((width, height): (u32, u32), bounds: &Bounds) -> Result<(), AvatarError> {
    let pixels = u64::from(width) * u64::from(height);
    if width > bounds.edge || height > bounds.edge || pixels > bounds.pixels {
        return Err(AvatarError::TooManyPixels { width, height });
    }
    if pixels == 0 {
        return Err(AvatarError::Damaged("it has no pixels".to_owned()));
    }
    Ok(())
}

fn refused(error: ImageError) -> AvatarError {
    match error {
        ImageError::Limits(_) => AvatarError::Memory,
        other => AvatarError::Damaged(other.to_string()),
    }
}

/// The largest square in the middle.
fn square(image: DynamicImage) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let edge = width.min(height);
    if width == height {
        return image;
    }
    image.crop_imm((width - edge) / 2, (height - edge) / 2, edge, edge)
}

/// As a JPEG of [`PICTURE_MAX`] bytes at most, with nothing in it but pixels.
fn shrunk(image: &DynamicImage) -> Result<Vec<u8>, AvatarError> {
    let mut last = None;
    for edge in EDGES {
        let (width, height) = (image.width(), image.height());
        let fits = width <= edge && height <= edge;
        let small = if fits {
            image.clone()
        } else {
            image.thumbnail(edge, edge)
        };
        let pixels = on_white(small);
        for quality in QUALITIES {
            let written = write(&pixels, quality)?;
            if written.len() <= PICTURE_MAX {
                return Ok(written);
            }
            last = Some(written.len());
        }
    }
    // Chance at 64 pixels takes 6 kB.
    Err(AvatarError::Damaged(format!("{last:?} bytes are left")))
}

fn on_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut flat = RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.pixels()) {
        let [colours @ .., alpha] = from.0.map(u32::from);
        let laid = colours.map(|colour| (colour * alpha + BACKGROUND * (255 - alpha)) / 255);
        to.0 = laid.map(|colour| u8::try_from(colour).unwrap_or(u8::MAX));
    }
    flat
}

fn write(pixels: &RgbImage, quality: u8) -> Result<Vec<u8>, AvatarError> {
    let mut written = Vec::with_capacity(PICTURE_MAX);
    let encoder = JpegEncoder::new_with_quality(&mut written, quality);
    let (width, height) = pixels.dimensions();
    encoder
        .write_image(pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(refused)?;
    Ok(written)
}

#[cfg(test)]
mod tests;
