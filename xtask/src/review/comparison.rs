//! What `compare` says of two versions: sizes as facts, times with a verdict.

use std::fmt::Write as _;

use anyhow::Result;
use comfy_table::Table as Grid;
use serde::Serialize;

use crate::{
    cli::Format,
    human,
    measure::comparison::{Finding, LOOKS},
    schema,
    stats::{
        looks::{ALPHA, alpha_per_look},
        power::POWER,
        verdict::Verdict,
    },
};

/// The version of the JSON's shape.
const SCHEMA: u32 = 1;

/// Two versions side by side.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// As the command line named them.
    pub base: String,
    pub head: String,
    /// Every variant that both have.
    pub weights: Vec<Weight>,
    /// Variants whose image is the same to the byte, which were not measured.
    pub identical: Vec<String>,
    /// How the lock of the bases differs.
    pub bases: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Declared on both sides and not built on one of them.
    pub failed: Vec<String>,
    /// How often other work disturbed the session; none without one.
    pub noise: Option<String>,
    pub findings: Vec<Finding>,
}

/// What an image weighs in both versions.
#[derive(Debug, Serialize)]
pub struct Weight {
    pub variant: String,
    pub base_transfer_bytes: u64,
    pub head_transfer_bytes: u64,
}

impl Weight {
    fn moved(&self) -> bool {
        self.base_transfer_bytes != self.head_transfer_bytes
    }
}

/// The columns of the times, in all forms.
const HEADER: [&str; 9] = [
    "variant",
    "time",
    "base",
    "head",
    "effect",
    "interval",
    "p",
    "verdict",
    "would have shown",
];

impl Comparison {
    pub fn is_worse(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Worse)
    }

    /// The variants one of whose versions never gave what was to be compared.
    pub fn untimed(&self) -> Vec<&str> {
        let untimed = self.findings.iter().filter(|finding| finding.blocks == 0);
        let mut names: Vec<_> = untimed.map(|finding| &*finding.variant).collect();
        names.dedup();
        names
    }

    /// Prints it to standard output.
    pub fn print(&self, format: Format) -> Result<()> {
        print!("{}", self.text(format)?);
        Ok(())
    }

    fn text(&self, format: Format) -> Result<String> {
        Ok(match format {
            Format::Markdown => self.markdown(),
            Format::Json => self.json()?,
            Format::Table => self.plain(),
        })
    }

    fn json(&self) -> Result<String> {
        schema::document(SCHEMA, self)
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "## {} against {}\n\n{}\n",
            self.head,
            self.base,
            self.headline()
        );
        for line in self.facts() {
            let _ = writeln!(text, "- {line}");
        }
        if !self.findings.is_empty() {
            let _ = writeln!(text, "\n| {} |", HEADER.join(" | "));
            let _ = writeln!(text, "|---|---|--:|--:|--:|---|--:|---|--:|");
            for finding in &self.findings {
                let _ = writeln!(text, "| {} |", cells(finding).join(" | "));
            }
            let _ = writeln!(text, "\n{}", self.small_print());
        }
        text
    }

    fn plain(&self) -> String {
        let mut text = format!("{} against {}: {}\n", self.head, self.base, self.headline());
        for line in self.facts() {
            let _ = writeln!(text, "  {line}");
        }
        if !self.findings.is_empty() {
            let mut grid = Grid::new();
            grid.load_style(crate::table::STYLE);
            grid.set_header(HEADER);
            for finding in &self.findings {
                grid.add_row(cells(finding));
            }
            let _ = writeln!(text, "{grid}\n{}", self.small_print());
        }
        text
    }

    /// The answer in one sentence.
    fn headline(&self) -> String {
        if self.findings.is_empty() {
            return match self.identical.len() {
                0 => "No variant is in hand on both sides: nothing was measured.".to_owned(),
                _ => "Every image that both have is the same to the byte: nothing was measured."
                    .to_owned(),
            };
        }
        let count = |verdict| {
            self.findings
                .iter()
                .filter(|it| it.verdict == verdict)
                .count()
        };
        format!(
            "{}: {} worse, {} better, {} same, {} inconclusive.",
            human::count(self.findings.len(), "time"),
            count(Verdict::Worse),
            count(Verdict::Better),
            count(Verdict::Same),
            count(Verdict::Inconclusive),
        )
    }

    /// What needs no clock.
    fn facts(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .weights
            .iter()
            .filter(|it| it.moved())
            .map(weight)
            .collect();
        let lists = [
            (
                "the same image on both sides, not measured",
                &self.identical,
            ),
            ("other bases in head", &self.bases),
            ("only in head", &self.added),
            ("only in base", &self.removed),
            ("not built on one side", &self.failed),
        ];
        lines.extend(
            lists
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{what}: {}", names.join(", "))),
        );
        lines
    }

    fn small_print(&self) -> String {
        let noise = self.noise.as_deref().unwrap_or("no session");
        format!(
            "The chance that any verdict `worse` or `better` above is false is at most {:.0} % (signed-rank tests in the \
             same blocks, Holm over {}, {LOOKS} looks). `same`: the interval lies within 5 % either way, \
             whatever p. The last column is the increase that these blocks would have shown, with an adjusted p of at \
             most {:.1} %, with a chance of about {:.0} %. In this session {noise}.",
            ALPHA * 100.0,
            human::count(self.findings.len(), "test"),
            alpha_per_look(ALPHA, LOOKS) * 100.0,
            POWER * 100.0,
        )
    }
}

fn weight(weight: &Weight) -> String {
    let (base, head) = (weight.base_transfer_bytes, weight.head_transfer_bytes);
    let difference = i128::from(head) - i128::from(base);
    format!(
        "{} transfers {head} bytes instead of {base}: {difference:+}, {:+.1} %",
        weight.variant,
        difference as f64 / base.max(1) as f64 * 100.0,
    )
}

fn cells(finding: &Finding) -> Vec<String> {
    let time = |us: Option<u64>| us.map(human::time).unwrap_or_default();
    let percent = |of: Option<f64>| {
        of.map(|of| format!("{:+.1} %", of * 100.0))
            .unwrap_or_default()
    };
    let interval = match (finding.effect_low, finding.effect_high) {
        (Some(low), Some(high)) => format!("{} to {}", percent(Some(low)), percent(Some(high))),
        _ => String::new(),
    };
    vec![
        finding.variant.clone(),
        finding.time.to_owned(),
        time(finding.base_median_us),
        time(finding.head_median_us),
        percent(finding.effect),
        interval,
        finding
            .p_adjusted
            .map(|p| format!("{p:.4}"))
            .unwrap_or_default(),
        finding.verdict.to_string(),
        percent(finding.minimum_detectable_effect),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison() -> Comparison {
        Comparison {
            base: "main".to_owned(),
            head: "the working tree".to_owned(),
            weights: vec![
                Weight {
                    variant: "gin/scratch".to_owned(),
                    base_transfer_bytes: 10_000_000,
                    head_transfer_bytes: 60_000_000,
                },
                Weight {
                    variant: "gin/alpine".to_owned(),
                    base_transfer_bytes: 5,
                    head_transfer_bytes: 5,
                },
            ],
            identical: vec!["gin/alpine".to_owned()],
            bases: vec!["debian:bookworm-slim linux/amd64: libc6 1 -> 2".to_owned()],
            added: vec!["gin/new".to_owned()],
            removed: Vec::new(),
            failed: Vec::new(),
            noise: Some("other work on this machine disturbed 1 of 60 samples".to_owned()),
            findings: vec![Finding {
                variant: "gin/scratch".to_owned(),
                time: "pull",
                blocks: 15,
                base_median_us: Some(150_000),
                head_median_us: Some(600_000),
                effect: Some(3.0),
                effect_low: Some(2.9),
                effect_high: Some(3.1),
                p_adjusted: Some(0.00012),
                minimum_detectable_effect: Some(0.02),
                verdict: Verdict::Worse,
            }],
        }
    }

    #[test]
    fn markdown_has_facts_verdicts_and_the_error_rate() {
        insta::assert_snapshot!(comparison().markdown(), @"
        ## the working tree against main

        1 time: 1 worse, 0 better, 0 same, 0 inconclusive.
        - gin/scratch transfers 60000000 bytes instead of 10000000: +50000000, +500.0 %
        - the same image on both sides, not measured: gin/alpine
        - other bases in head: debian:bookworm-slim linux/amd64: libc6 1 -> 2
        - only in head: gin/new

        | variant | time | base | head | effect | interval | p | verdict | would have shown |
        |---|---|--:|--:|--:|---|--:|---|--:|
        | gin/scratch | pull | 150 ms | 600 ms | +300.0 % | +290.0 % to +310.0 % | 0.0001 | worse | +2.0 % |

        The chance that any verdict `worse` or `better` above is false is at most 5 % (signed-rank tests in the same blocks, Holm over 1 test, 2 looks). `same`: the interval lies within 5 % either way, whatever p. The last column is the increase that these blocks would have shown, with an adjusted p of at most 2.5 %, with a chance of about 80 %. In this session other work on this machine disturbed 1 of 60 samples.
        ");
    }

    #[test]
    fn what_gave_no_block_is_named_once() {
        let mut comparison = comparison();
        assert_eq!(comparison.untimed(), [""; 0]);
        for finding in &mut comparison.findings {
            finding.blocks = 0;
        }
        comparison.findings.extend(comparison.findings.clone());
        assert_eq!(comparison.untimed(), ["gin/scratch"]);
    }

    #[test]
    fn nothing_to_measure_is_said() {
        let same = Comparison {
            findings: Vec::new(),
            added: Vec::new(),
            weights: Vec::new(),
            ..comparison()
        };
        insta::assert_snapshot!(same.plain(), @"
        the working tree against main: Every image that both have is the same to the byte: nothing was measured.
          the same image on both sides, not measured: gin/alpine
          other bases in head: debian:bookworm-slim linux/amd64: libc6 1 -> 2
        ");
        assert!(!same.is_worse() && comparison().is_worse());
    }

    #[test]
    fn json_carries_its_schema_and_the_plain_numbers() {
        let json: serde_json::Value = serde_json::from_str(&comparison().json().unwrap()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["findings"][0]["verdict"], "worse");
        assert_eq!(json["findings"][0]["effect"], 3.0);
        assert_eq!(json["weights"][0]["head_transfer_bytes"], 60_000_000);
    }
}
