//! The arena over time as a picture: steps to the right, bytes upwards, a rectangle for each block.

use super::size::human_bytes;
use super::timeline::{Block, Timeline, occupant_name};
use super::{Occupant, Plan};
use crate::Graph;
use crate::svg::xml_text;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write;

/// Sizes in pixels.
const SIZE: (f64, f64) = (1280.0, 760.0);
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 164.0;
/// The width of a letter, roughly.
const LETTER: f64 = 5.6;
/// How far apart the names below the axis are at least.
const NAME_GAP: f64 = 11.0;
/// The colours of the operators that hold most, of the others, and of scratch memory.
const COLOURS: [&str; 9] =
    ["#8ab6e1", "#f3b27a", "#93cf93", "#e59a9a", "#c3aee0", "#c7ab98", "#f0b8dc", "#d8d67c", "#8fd6d6"];
const OTHER: &str = "#cfcfcf";
const WORKSPACE: &str = "#7a7a7a";
/// How the lines of the arena's size, its lower bound and the peak are drawn.
const ARENA: &str = "fill=\"none\" stroke=\"#c00000\" stroke-width=\"2\"";
const BOUND: &str = "fill=\"none\" stroke=\"#0033aa\" stroke-width=\"1.5\" stroke-dasharray=\"7 5\"";
const PEAK: &str = "fill=\"none\" stroke=\"#c00000\" stroke-width=\"1.5\" stroke-dasharray=\"2 3\"";

/// The arena of a plan over time as an SVG, under a heading. Blocks have the colour of the operator that computes them,
/// forward or backward; what they hold is written on them where there is room, and shown in full under the pointer.
#[must_use]
pub fn arena_svg(graph: &Graph, plan: &Plan, timeline: &Timeline, heading: &str) -> String {
    let picture = Picture::new(graph, plan, timeline);
    let (width, height) = SIZE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        xml_text(heading)
    );
    picture.legend(&mut out);
    picture.axes(&mut out);
    picture.blocks(&mut out);
    picture.marks(&mut out);
    picture.labels(&mut out);
    out + "</svg>\n"
}

struct Picture<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    timeline: &'a Timeline,
    /// The operators with a colour of their own.
    colours: HashMap<String, &'static str>,
    /// What the legend says, in its order.
    legend: Vec<(String, &'static str)>,
    /// The bytes at the upper end of the plot.
    top_bytes: usize,
}

// Writing to a text cannot fail, so results of `writeln!` are not looked at.
impl<'a> Picture<'a> {
    fn new(graph: &'a Graph, plan: &'a Plan, timeline: &'a Timeline) -> Picture<'a> {
        let mut held: HashMap<String, f64> = HashMap::new();
        let mut has_workspace = false;
        for block in &timeline.blocks {
            match operator(graph, block) {
                Some(op) => *held.entry(op).or_default() += block.bytes.len() as f64 * steps(block),
                None => has_workspace = true,
            }
        }
        let mut operators: Vec<(String, f64)> = held.into_iter().collect();
        operators.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let mut legend: Vec<_> = operators.iter().map(|(op, _)| op.clone()).zip(COLOURS).collect();
        let colours = legend.iter().cloned().collect();
        if operators.len() > COLOURS.len() {
            legend.push(("other operators".to_string(), OTHER));
        }
        if has_workspace {
            legend.push(("scratch memory".to_string(), WORKSPACE));
        }
        let top_bytes = plan.planned_bytes.max(1) + plan.planned_bytes / 25;
        Picture { graph, plan, timeline, colours, legend, top_bytes }
    }

    fn x(&self, step: usize) -> f64 {
        LEFT + (SIZE.0 - LEFT - RIGHT) * step as f64 / self.timeline.order.len().max(1) as f64
    }

    fn y(&self, bytes: usize) -> f64 {
        let bottom = SIZE.1 - BOTTOM;
        bottom - (bottom - TOP) * bytes as f64 / self.top_bytes as f64
    }

    fn legend(&self, out: &mut String) {
        let mut x = LEFT;
        let mut row = 0.0;
        for (name, colour) in &self.legend {
            let width = legend_width(name);
            if x + width > SIZE.0 - RIGHT {
                (x, row) = (LEFT, row + 16.0);
            }
            let y = 38.0 + row;
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"12\" height=\"10\" fill=\"{colour}\" stroke=\"#555\" \
                 stroke-width=\"0.5\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 17.0,
                y + 9.0,
                xml_text(name)
            );
            x += width;
        }
        let (arena, bound) = (human_bytes(self.plan.planned_bytes), human_bytes(self.plan.lower_bound_bytes));
        let peak = self.timeline.peak();
        let at = peak.map(|step| format!("peak: {}", self.graph.nodes[self.timeline.order[step]].name));
        let lines = [
            (format!("arena {arena}"), ARENA),
            (format!("lower bound {bound}"), BOUND),
            (at.unwrap_or_else(|| "nothing is alive".to_string()), PEAK),
        ];
        let (mut x, y) = (LEFT, 43.0 + row + 16.0);
        for (name, style) in lines {
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {y:.1}h22\" {style}/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 27.0,
                y + 4.0,
                xml_text(&name)
            );
            x += legend_width(&name) + 10.0;
        }
    }

    /// Bytes to the left, with lines across; the nodes below, as many as there is room for; and which pass they belong to.
    fn axes(&self, out: &mut String) {
        let (left, right, bottom) = (LEFT, SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
        let tick = (self.top_bytes / 5).max(1).next_power_of_two();
        let _ = writeln!(out, "<g stroke=\"#ddd\">");
        for bytes in (0..=self.top_bytes).step_by(tick) {
            let y = self.y(bytes);
            let _ = writeln!(out, "<path d=\"M{left} {y:.1}H{right}\"/>");
        }
        let _ = writeln!(out, "</g>\n<g text-anchor=\"end\">");
        for bytes in (0..=self.top_bytes).step_by(tick) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left - 6.0,
                self.y(bytes) + 3.5,
                human_bytes(bytes)
            );
        }
        let step_width = self.x(1) - self.x(0);
        let every = (NAME_GAP / step_width).ceil().max(1.0) as usize;
        for (step, node) in self.timeline.order.iter().enumerate().step_by(every) {
            let (x, y) = (self.x(step) + step_width / 2.0 + 3.0, bottom + 10.0);
            let name = shorten(&self.graph.nodes[*node].name, 28);
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"9\" transform=\"rotate(-60 {x:.1} {y:.1})\">{}</text>",
                xml_text(&name)
            );
        }
        let of_all = if every == 1 { String::new() } else { format!(", one name in {every}") };
        let steps = self.timeline.order.len();
        let _ = writeln!(
            out,
            "</g>\n<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"12\">execution order ({steps} steps{of_all})</text>\n\
             <text x=\"16\" y=\"{y:.1}\" text-anchor=\"middle\" font-size=\"12\" transform=\"rotate(-90 16 {y:.1})\">place in \
             the arena (bytes)</text>",
            f64::midpoint(left, right),
            SIZE.1 - 10.0,
            y = f64::midpoint(TOP, bottom)
        );
    }

    fn blocks(&self, out: &mut String) {
        // Small ones last, so that their edges are seen.
        let mut blocks: Vec<&Block> = self.timeline.blocks.iter().filter(|block| !block.bytes.is_empty()).collect();
        blocks.sort_by_key(|block| Reverse(block.bytes.len()));
        let _ = writeln!(out, "<g stroke=\"#444\" stroke-width=\"0.5\">");
        for block in &blocks {
            let (x, y, width, height) = self.area(block);
            let colour = match operator(self.graph, block) {
                Some(op) => self.colours.get(&op).copied().unwrap_or(OTHER),
                None => WORKSPACE,
            };
            let _ = writeln!(
                out,
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{colour}\">\
                 <title>{}</title></rect>",
                self.told(block).map(|line| xml_text(&line)).join("&#10;")
            );
        }
        let _ = writeln!(out, "</g>");
    }

    /// Left, top, width and height.
    fn area(&self, block: &Block) -> (f64, f64, f64, f64) {
        let (x, y) = (self.x(*block.steps.start()), self.y(block.bytes.end));
        (x, y, self.x(block.steps.end() + 1) - x, self.y(block.bytes.start) - y)
    }

    /// Writes on blocks what they hold, one after the other, along the longer side, where that can be read.
    fn labels(&self, out: &mut String) {
        let _ = writeln!(out, "<g font-size=\"9\" pointer-events=\"none\">");
        for block in &self.timeline.blocks {
            let (x, y, width, height) = self.area(block);
            let upright = height > width;
            let (along, across) = if upright { (height, width) } else { (width, height) };
            let (letters, names) = (((along - 6.0) / LETTER) as usize, self.names(block));
            let first = names.first().map_or(0, |name| name.chars().count());
            if across < 9.5 || letters < first.min(6) {
                continue;
            }
            let (x, y) =
                if upright { (x + width / 2.0 + 3.2, y + height - 4.0) } else { (x + 4.0, y + height / 2.0 + 3.2) };
            let turn = if upright { format!(" transform=\"rotate(-90 {x:.1} {y:.1})\"") } else { String::new() };
            let colour = if operator(self.graph, block).is_some() { "#111" } else { "white" };
            let text = xml_text(&shorten(&names.join(" → "), letters));
            let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\"{turn}>{text}</text>");
        }
        let _ = writeln!(out, "</g>");
    }

    /// What a block holds, one after the other.
    fn names(&self, block: &Block) -> Vec<String> {
        block.members.iter().map(|(_, occupant)| occupant_name(self.graph, *occupant)).collect()
    }

    /// All about a block, in lines.
    fn told(&self, block: &Block) -> [String; 3] {
        let (first, last) = (*block.steps.start(), *block.steps.end());
        let node = |step: usize| &self.graph.nodes[self.timeline.order[step]].name;
        let bytes = block.bytes.len();
        let size = human_bytes(bytes);
        [
            self.names(block).join(" → "),
            format!("{size} ({bytes} bytes) from byte {} on", block.bytes.start),
            format!("step {} ({}) to {} ({})", first + 1, node(first), last + 1, node(last)),
        ]
    }

    /// The passes, the peak, the size of the arena and its lower bound.
    fn marks(&self, out: &mut String) {
        let (left, right, bottom) = (LEFT, SIZE.0 - RIGHT, SIZE.1 - BOTTOM);
        let (steps, turn) = (self.timeline.order.len(), self.timeline.num_forward);
        let _ = writeln!(out, "<g font-size=\"12\" font-weight=\"bold\" text-anchor=\"middle\">");
        if turn < steps {
            let x = self.x(turn);
            let y = TOP - 8.0;
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {:.1}V{bottom}\" stroke=\"#222\" stroke-width=\"1.5\" stroke-dasharray=\"2 3\"/>\n\
                 <text x=\"{:.1}\" y=\"{y}\">forward →</text><text x=\"{:.1}\" y=\"{y}\">backward →</text>",
                TOP - 20.0,
                f64::midpoint(left, x),
                f64::midpoint(x, right)
            );
        }
        let _ = writeln!(out, "</g>");
        for (bytes, style) in [(self.plan.planned_bytes, ARENA), (self.plan.lower_bound_bytes, BOUND)] {
            let _ = writeln!(out, "<path d=\"M{left} {:.1}H{right}\" {style}/>", self.y(bytes));
        }
        if let Some(peak) = self.timeline.peak() {
            let x = f64::midpoint(self.x(peak), self.x(peak + 1));
            let _ = writeln!(out, "<path d=\"M{x:.1} {bottom}V{:.1}\" {PEAK}/>", self.y(self.plan.planned_bytes));
        }
        let _ = writeln!(out, "<path d=\"M{left} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>");
    }
}

/// Whose output a block holds at first, forward or backward; `None` for scratch memory.
fn operator(graph: &Graph, block: &Block) -> Option<String> {
    let Some((_, Occupant::Entry(entry))) = block.members.first() else { return None };
    let name = graph.nodes[entry.node].op.as_ref()?.name();
    Some(name.strip_prefix("_backward_").unwrap_or(name).to_string())
}

fn legend_width(name: &str) -> f64 {
    32.0 + name.chars().count() as f64 * (LETTER + 0.8)
}

fn steps(block: &Block) -> f64 {
    (block.steps.end() - block.steps.start() + 1) as f64
}

/// The text itself, or its beginning.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
