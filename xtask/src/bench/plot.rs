//! A picture of a scaling curve, drawn by hand: two panels, logarithmic in both directions.

use super::scaling::Point;
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 60.0;

const COLOURS: [&str; 4] = ["#1f6fb2", "#7ab3dd", "#b2521f", "#dda17a"];

/// One quantity over the number of entries.
struct Panel {
    title: &'static str,
    value: fn(&Point) -> f64,
    /// Powers of ten at the lower and the upper edge.
    range: (i32, i32),
}

const PANELS: [Panel; 2] = [
    Panel { title: "CPU, microseconds an entry", value: Point::microseconds, range: (-1, 2) },
    Panel { title: "peak memory, bytes an entry", value: Point::bytes, range: (1, 5) },
];

/// Powers of ten of the numbers of entries.
const ENTRIES: (i32, i32) = (3, 7);

pub(super) fn svg(points: &[Point]) -> String {
    let (width, height) = (2.0 * (WIDTH + 2.0 * MARGIN), HEIGHT + 3.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (index, panel) in PANELS.iter().enumerate() {
        let left = MARGIN + index as f64 * (WIDTH + 2.0 * MARGIN);
        let _ = writeln!(text, "<g transform=\"translate({left},{MARGIN})\">");
        axes(&mut text, panel);
        for (number, (task, cores)) in curves(points).into_iter().enumerate() {
            curve(&mut text, panel, points, (task, cores), COLOURS[number % COLOURS.len()]);
            legend(&mut text, number, task, cores);
        }
        text.push_str("</g>\n");
    }
    text + "</svg>\n"
}

/// The tasks and numbers of cores, each once, in the order in which they come.
fn curves(points: &[Point]) -> Vec<(&'static str, usize)> {
    let mut curves = Vec::new();
    for point in points {
        if !curves.contains(&(point.task, point.cores)) {
            curves.push((point.task, point.cores));
        }
    }
    curves
}

fn axes(text: &mut String, panel: &Panel) {
    let _ = writeln!(text, "<text x=\"0\" y=\"-14\" font-size=\"14\">{}</text>", panel.title);
    for power in ENTRIES.0..=ENTRIES.1 {
        let x = place(f64::from(power), ENTRIES, WIDTH);
        let _ = writeln!(
            text,
            "<line x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{HEIGHT}\" stroke=\"#dddddd\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">10^{power}</text>",
            HEIGHT + 18.0
        );
    }
    for power in panel.range.0..=panel.range.1 {
        let y = HEIGHT - place(f64::from(power), panel.range, HEIGHT);
        let _ = writeln!(
            text,
            "<line x1=\"0\" y1=\"{y}\" x2=\"{WIDTH}\" y2=\"{y}\" stroke=\"#dddddd\"/>\
             <text x=\"-6\" y=\"{}\" text-anchor=\"end\">10^{power}</text>",
            y + 4.0
        );
    }
    let _ = writeln!(
        text,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">entries</text>",
        WIDTH / 2.0,
        HEIGHT + 36.0
    );
}

fn curve(
    text: &mut String,
    panel: &Panel,
    points: &[Point],
    (task, cores): (&str, usize),
    colour: &str,
) {
    let wanted = points.iter().filter(|point| point.task == task && point.cores == cores);
    let corners: Vec<String> = wanted
        .map(|point| {
            let x = place((point.entries as f64).log10(), ENTRIES, WIDTH);
            let y = HEIGHT - place((panel.value)(point).log10(), panel.range, HEIGHT);
            format!("{x:.1},{:.1}", y.clamp(0.0, HEIGHT))
        })
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        corners.join(" ")
    );
}

fn legend(text: &mut String, number: usize, task: &str, cores: usize) {
    let y = 14.0 + 18.0 * number as f64;
    let _ = writeln!(
        text,
        "<line x1=\"{0}\" y1=\"{1}\" x2=\"{2}\" y2=\"{1}\" stroke=\"{3}\" stroke-width=\"2\"/>\
         <text x=\"{4}\" y=\"{5}\">{task}, {cores} cores</text>",
        WIDTH - 190.0,
        y,
        WIDTH - 165.0,
        COLOURS[number % COLOURS.len()],
        WIDTH - 158.0,
        y + 4.0
    );
}

/// Where a power of ten lies on an axis of this length.
fn place(power: f64, (low, high): (i32, i32), length: f64) -> f64 {
    (power - f64::from(low)) / f64::from(high - low) * length
}
