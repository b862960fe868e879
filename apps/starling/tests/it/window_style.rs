//! The palette's contrast: WCAG 2.2 AA asks for 4.5:1 for text and 3:1 for the edges of fields (1.4.3, 1.4.11).

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../assets/starling.css");

/// Text on ground.
const TEXT: [(&str, &str); 31] = [
    ("ink", "ground"),
    ("ink", "side"),
    ("ink", "surface"),
    ("ink", "hover"),
    ("ink", "chosen"),
    ("ink", "out"),
    ("ink", "in"),
    ("soft", "ground"),
    ("soft", "side"),
    ("soft", "surface"),
    ("soft", "hover"),
    ("soft", "chosen"),
    ("soft", "out"),
    ("soft", "in"),
    ("accent", "ground"),
    ("accent", "surface"),
    ("accent", "side"),
    ("accent", "out"),
    ("on-accent", "accent"),
    ("good", "side"),
    ("good", "surface"),
    ("good", "chosen"),
    ("good", "hover"),
    ("warn", "warn-ground"),
    ("warn", "out"),
    ("bad", "bad-ground"),
    ("bad", "surface"),
    ("on-call", "call"),
    ("soft-call", "call"),
    ("on-strong", "answer"),
    ("on-strong", "hang-up"),
];
const EDGES: [(&str, &str); 3] = [("edge", "ground"), ("edge", "surface"), ("edge", "side")];

#[test]
fn text_and_edges_stand_out_in_both_themes() {
    let (light, dark) = STYLE
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    let light = tokens(light);
    let mut both = light.clone();
    both.extend(tokens(dark));
    for (theme, colours) in [("light", &light), ("dark", &both)] {
        for (pairs, least) in [(&TEXT[..], 4.5), (&EDGES[..], 3.0)] {
            for (front, ground) in pairs {
                let ratio = contrast(colours[*front], colours[*ground]);
                assert!(
                    ratio >= least,
                    "{theme}: {front} on {ground} is {ratio:.2}, not {least}"
                );
            }
        }
    }
    for hue in 0..8 {
        let (_, rest) = STYLE
            .split_once(&format!(".hue-{hue} {{ --hue: #"))
            .unwrap();
        assert!(
            contrast([1.0; 3], colour(&rest[..6]).unwrap()) >= 4.5,
            "avatar {hue}"
        );
    }
}

/// `--name: #rrggbb;` lines.
fn tokens(text: &str) -> BTreeMap<&str, [f64; 3]> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": #"))
        .filter_map(|(name, value)| Some((name, colour(value.strip_suffix(';')?)?)))
        .collect()
}

fn colour(hex: &str) -> Option<[f64; 3]> {
    let part =
        |at: usize| Some(f64::from(u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?) / 255.0);
    Some([part(0)?, part(2)?, part(4)?])
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [r, g, b] = colour.map(|c| {
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}
