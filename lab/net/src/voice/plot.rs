//! A picture of PESQ against loss: ours beside plain Opus with FEC, one panel for single losses and one for bursts. SVG, units are pixels.

use std::fmt::Write;

use super::table::mean_pesq;
use super::{Condition, Heard};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 220.0;
/// Around each panel.
const MARGIN: f64 = 45.0;
/// PESQ goes from 1 to this.
const BEST: f64 = 4.6;
const OURS: &str = "#1a5fb4";
const PLAIN: &str = "#c64600";

/// Loss in percent and PESQ.
type Point = (f64, f64);

/// The picture, as far as there are figures.
pub fn plot(conditions: &[Condition], heard: &[Heard]) -> String {
    let width = 2.0 * (WIDTH + 2.0 * MARGIN);
    let height = HEIGHT + 2.0 * MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" \
         role=\"img\" aria-label=\"Wideband PESQ against loss: Starling and plain Opus with FEC\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let panels = [("single losses", "random-"), ("bursts of 80 ms", "bursts-")];
    for (number, (title, prefix)) in panels.into_iter().enumerate() {
        let left = MARGIN + number as f64 * (WIDTH + 2.0 * MARGIN);
        let own: Vec<&Condition> = conditions
            .iter()
            .filter(|condition| condition.name == "clean" || condition.name.starts_with(prefix))
            .collect();
        let most = own.iter().map(|condition| condition.loss() * 100.0);
        let scale = Scale {
            left,
            most: most.fold(1.0, f64::max),
        };
        scale.axes(&mut text, title);
        for (is_ours, colour) in [(false, PLAIN), (true, OURS)] {
            let points = own.iter().filter_map(|condition| {
                let of = heard.iter().filter(|heard| {
                    heard.condition == condition.name && heard.call.is_some() == is_ours
                });
                Some((condition.loss() * 100.0, mean_pesq(of)?))
            });
            scale.line(&mut text, &points.collect::<Vec<_>>(), colour);
        }
        scale.legend(&mut text);
    }
    text.push_str("</svg>\n");
    text
}

/// Where a panel's figures lie.
struct Scale {
    left: f64,
    most: f64,
}

impl Scale {
    fn at(&self, (loss, pesq): Point) -> Point {
        let x = self.left + loss / self.most * WIDTH;
        let y = MARGIN + (BEST - pesq) / (BEST - 1.0) * HEIGHT;
        (x, y)
    }

    fn axes(&self, text: &mut String, title: &str) {
        let ((left, top), (right, bottom)) = (self.at((0.0, BEST)), self.at((self.most, 1.0)));
        let _ = writeln!(
            text,
            "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>\n\
             <text x=\"{left}\" y=\"{}\">Wideband PESQ, {title}</text>\n\
             <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">packets lost, %</text>",
            top - 14.0,
            bottom + 34.0
        );
        for pesq in 1..=4 {
            let (x, y) = self.at((0.0, pesq.into()));
            let _ = writeln!(
                text,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{pesq}</text>\n\
                 <path d=\"M{x} {y}H{right}\" stroke=\"#ddd\"/>",
                x - 6.0,
                y + 4.0
            );
        }
        for quarter in 0..=4 {
            let loss = self.most * f64::from(quarter) / 4.0;
            let (x, y) = self.at((loss, 1.0));
            let _ = writeln!(
                text,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{loss:.0}</text>",
                y + 18.0
            );
        }
    }

    fn line(&self, text: &mut String, points: &[Point], colour: &str) {
        let at: Vec<Point> = points.iter().map(|point| self.at(*point)).collect();
        let joined = at.iter().map(|(x, y)| format!("{x:.1},{y:.1} "));
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            joined.collect::<String>().trim_end()
        );
        for (x, y) in at {
            let _ = writeln!(
                text,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
    }

    fn legend(&self, text: &mut String) {
        let (right, top) = self.at((self.most, BEST));
        for (line, (words, colour)) in [("Starling", OURS), ("Opus with FEC alone", PLAIN)]
            .into_iter()
            .enumerate()
        {
            let _ = writeln!(
                text,
                "<text x=\"{right}\" y=\"{}\" text-anchor=\"end\" fill=\"{colour}\">{words}</text>",
                top + 12.0 + 16.0 * line as f64
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::CONDITIONS;

    #[test]
    fn a_picture_without_figures_is_still_one() {
        let picture = plot(&CONDITIONS, &[]);
        assert_eq!(picture.matches("<polyline points=\"\"").count(), 4);
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
        let burst = CONDITIONS
            .iter()
            .find(|one| one.name == "bursts-40")
            .unwrap();
        assert!((burst.loss() - 0.4).abs() < 1e-9);
    }
}
