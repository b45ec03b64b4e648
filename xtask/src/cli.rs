//! The command line, and the help that teaches it.

mod explain;
mod publish;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use explain::Explain;
pub use publish::{Part, Publish};

use crate::cost::prices::USAGE_MAX;

/// Measures what the choice of base image costs a small HTTP service.
///
/// Every experiments/<SUITE>/<VARIANT>/Dockerfile is built, counted to the byte,
/// pulled into an empty engine and started until it answers its first 200; the
/// numbers land in results/*.csv. No Docker engine and no container registry is
/// needed: on Linux xtask makes its own from Debian packages, in target/lab.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
#[command(after_help = "Start here:\n  \
    cargo xtask doctor              is this machine ready?\n  \
    cargo xtask run-all --quick     every variant, a few samples each\n  \
    cargo xtask run-all             the full measurement\n\n\
    What the words mean: docs/METHODOLOGY.md. Every column: results/README.md.")]
pub struct Cli {
    /// The workspace; by default the nearest folder upwards that holds experiments/
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,

    /// Set by xtask when it runs itself through sudo
    #[arg(long, global = true, hide = true)]
    pub tethered: bool,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build, size and measure everything that is out of date, in order
    ///
    /// Says first what it will do: cells, downloads, space, expected minutes. Sizes are written before any
    /// timing starts. It can be stopped at any point; the same command goes on from there. Nothing to do is
    /// said, too, and leaves results/ untouched.
    #[command(after_help = RUN_ALL_EXAMPLES)]
    RunAll(RunAll),
    /// Is this machine ready? What is missing, and the command that mends it
    Doctor(LabOptions),
    /// Provide the bases and build every variant to an OCI layout in target/lab/images
    Build(Step),
    /// Build, then write results/sizes.csv, layers.csv, files.csv, bases.csv and cost.csv
    Size(Step),
    /// What can each image do? Certificates, names, shell, SIGTERM; tried by running it
    ///
    /// Builds and sizes what is out of date, then asks the images that moved and writes
    /// results/capabilities.csv. A static program is brought into a container of each, so that an image of
    /// a single file can be asked, too.
    #[command(after_help = CAPABILITIES_EXAMPLES)]
    Capabilities(Step),
    /// Build and size what is out of date, then measure pull and start again
    Measure(RunAll),
    /// Does this machine tell true differences from none? Proofs under results/<machine>/selftest
    ///
    /// Compares one digest under two names, where there is nothing to find, and with the same image made
    /// 10 % slower, where there is. Takes about a quarter of an hour; fewer comparisons say less in less time.
    Selftest(Selftest),
    /// What moved between two states of results/, each number with its cause; Markdown for a pull request
    ///
    /// A side is a git revision, or a folder that is or holds results/ (./NAME where a revision has that name,
    /// too). Sizes are facts and come with what moved them; times of two sessions do not compare, so they are
    /// shown as context. Exits with 1 when the budget of a suite.toml or a --fail-on rule is passed.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(Diff),
    /// Is HEAD slower than BASE? Both built, both measured again in the same blocks, with a verdict
    ///
    /// Only variants whose images differ are measured. Each time gets `worse`, `better`, `same` (within 5 %)
    /// or `inconclusive`, with the effect, its interval and what would have been found. Nothing in results/ is
    /// touched.
    #[command(after_help = COMPARE_EXAMPLES)]
    Compare(Compare),
    /// Are the committed rows those of this tree? All of it built again from nothing, and compared
    ///
    /// Images and bases are made anew in target/lab/verify; results/ and bases.lock are only read. Digests and
    /// sizes must be the committed ones; where a build does not repeat (`reproducible` is `no`), what can repeat
    /// must be: unpacked bytes, files, the application binary. Exits with 1 where a row did not come
    /// out, and names the input that drifted: Dockerfile, context, a base with its packages, builder, method.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// What storing and pulling each variant costs a month, by the prices of experiments/prices.toml
    ///
    /// Two costs each: in a repository of its own, and what it adds to one that holds the rest of its suite,
    /// with which it shares layers. Without options this writes results/cost.csv; what other usage would cost
    /// is only printed.
    #[command(after_help = COST_EXAMPLES)]
    Cost(Cost),
    /// Bring the rows of several machines or platforms together in results/
    ///
    /// What differs from results/ in a DIR takes its place there: images with their layers, bases, the folder
    /// of a machine as a whole. Rows that no DIR has stay. Two DIRs that say different things of one row are an
    /// error, and then nothing is written. cost.csv follows from what comes out.
    #[command(after_help = MERGE_EXAMPLES)]
    Merge {
        /// Folders of results, or checkouts that hold results/
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
    },
    /// Charts, article and report page out of results/, for the machine that experiments/publish.toml names
    ///
    /// A pure function of results/: the same rows, the same bytes, and no engine. What is to be published
    /// must be measured in full and in one session per chart; rows that are quick, stale or noisy are shown
    /// by --draft alone, and then in target/publish.
    #[command(after_help = publish::EXAMPLES)]
    Publish(Publish),
    /// Where an image's bytes are: layers, largest, wasted and duplicated files, what other bases save
    ///
    /// Of a variant that was built, or of any OCI layout or archive; no engine is needed. Every digest is checked
    /// and every file hashed on the way. Of a variant that results/ knows it also says what the same application
    /// weighs on other bases, and the phases of its start.
    #[command(after_help = explain::EXAMPLES)]
    Explain(Explain),
    /// How far each variant is from what the machine could do at best, from results/<machine>/limits.csv
    Limits {
        /// The folder under results/ [default: the one of this machine]
        #[arg(long, value_name = "NAME")]
        machine: Option<String>,
    },
    /// What the FROM lines stand on: reference, source, identity
    Bases(Bases),
    /// A new variant from a template: its folder, its Dockerfile, its lines in suite.toml
    New {
        /// The variant, for example gin/chainguard
        #[arg(value_name = "SUITE/VARIANT")]
        variant: String,
        /// Why the variant exists, for suite.toml and the reader
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Remove all working state in target/lab; results/ stays
    Clean,
}

impl Command {
    /// Whether the command itself builds, without root, on the engine that is
    /// there.
    pub fn uses_host_engine(&self) -> bool {
        let lab = match self {
            Self::RunAll(options) | Self::Measure(options) => &options.step.lab,
            Self::Build(step) | Self::Size(step) | Self::Capabilities(step) => &step.lab,
            Self::Selftest(selftest) => &selftest.step.lab,
            Self::Compare(compare) => &compare.lab.lab,
            Self::Verify(verify) => &verify.lab.lab,
            Self::Doctor(lab) => lab,
            Self::Diff(_)
            | Self::Cost(_)
            | Self::Merge { .. }
            | Self::Publish(_)
            | Self::Explain(_)
            | Self::Limits { .. }
            | Self::Bases(_)
            | Self::New { .. }
            | Self::Clean => return false,
        };
        lab.is_host()
    }
}

impl LabOptions {
    /// Whether the engine that is there already is used.
    pub fn is_host(&self) -> bool {
        match self.engine {
            EngineChoice::Host => true,
            EngineChoice::Lab => false,
            EngineChoice::Auto => !cfg!(target_os = "linux"),
        }
    }
}

const RUN_ALL_EXAMPLES: &str = "Examples:\n  \
    cargo xtask run-all gin                 one suite\n  \
    cargo xtask run-all gin/scratch axum    one variant of a suite, all of another\n  \
    cargo xtask run-all --quick             at most 10 minutes of measuring\n  \
    cargo xtask run-all --sizes-only        no timings; stale ones are marked\n  \
    cargo xtask run-all --engine host       the Docker that is there, through a published port\n  \
    cargo xtask run-all --base-archives ~/bases   with the archives that bases.toml names";

const CAPABILITIES_EXAMPLES: &str = "Examples:\n  \
    cargo xtask capabilities                 every variant, as far as it is out of date\n  \
    cargo xtask capabilities gin/scratch     one variant";

/// What to measure, and how thoroughly.
#[derive(Args, Clone, Debug)]
pub struct RunAll {
    #[command(flatten)]
    pub step: Step,
    /// One warm-up and five blocks, unshaped; never replaces a fuller row with the same inputs
    #[arg(long)]
    pub quick: bool,
    /// Go on to 60 blocks where 30 leave a median less well known than wanted
    #[arg(long, conflicts_with = "quick")]
    pub thorough: bool,
    /// Record a session that other work on this machine disturbed; its rows are marked noisy
    #[arg(long)]
    pub allow_noisy: bool,
    /// Measure again even where the committed timings are up to date
    #[arg(long)]
    pub refresh: bool,
    /// Build and size only; timings that are out of date are marked stale
    #[arg(long, conflicts_with = "refresh")]
    pub sizes_only: bool,
    /// The folder under results/ for this machine's timings [default: made from what the machine is]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Seed of the random order of cells [default: from the clock, and recorded]
    #[arg(long)]
    pub seed: Option<u64>,
}

/// One step of the chain.
#[derive(Args, Clone, Debug)]
pub struct Step {
    /// Suites or single variants [default: all]
    #[arg(value_name = "SUITE[/VARIANT]")]
    pub selection: Vec<String>,
    /// A folder with the base archives that bases.toml names
    #[arg(long, value_name = "DIR", env = "BASE_ARCHIVES")]
    pub base_archives: Option<PathBuf>,
    /// A rebuilt base whose Debian packages have moved is an error instead of a moved lock
    #[arg(long)]
    pub locked: bool,
    #[command(flatten)]
    pub lab: LabOptions,
}

/// How the engines are made and used.
#[derive(Args, Clone, Debug)]
pub struct LabOptions {
    /// Which engine builds and is measured
    #[arg(long, value_enum, default_value_t = EngineChoice::Auto)]
    pub engine: EngineChoice,
    /// Keep the subject's images in this folder instead of in memory
    #[arg(long, value_name = "DIR")]
    pub data_root: Option<PathBuf>,
    /// Leave at once when another command holds target/lab
    #[arg(long)]
    pub no_wait: bool,
    /// Install what the host lacks (mmdebstrap) without asking
    #[arg(long, short)]
    pub yes: bool,
}

/// Where Docker comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// `lab` on Linux, even beside a running Docker (it measures better), else `host`
    Auto,
    /// Engines of our own, made from Debian packages
    Lab,
    /// The Docker engine that DOCKER_HOST or the default socket leads to
    Host,
}

/// How much to prove.
#[derive(Args, Clone, Debug)]
pub struct Selftest {
    /// Comparisons of the same digest, each of fifteen blocks
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub comparisons: u32,
    /// Seed of the random order of cells [default: from the clock, and recorded]
    #[arg(long)]
    pub seed: Option<u64>,
    /// The folder under results/ for this machine's timings [default: made from what the machine is]
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    #[command(flatten)]
    pub step: BaseOptions,
}

const DIFF_EXAMPLES: &str = "Examples:\n  \
    cargo xtask diff                                  what is not on main yet\n  \
    cargo xtask diff HEAD~1 HEAD                      what the last commit moved\n  \
    cargo xtask diff old-results ./results            two folders\n  \
    cargo xtask diff --fail-on 'transfer_bytes>+5%'   an error when any image grew by more\n\n\
    A rule is COLUMN>AMOUNT, of a number of sizes.csv; +5% and +100_000 are growth, 12_000_000 is\n\
    the number itself. How to read the diff: docs/REVIEWING.md.";

/// Which states, and how their difference is told.
#[derive(Args, Clone, Debug)]
pub struct Diff {
    /// What was before [default: what main and HEAD have in common]
    #[arg(value_name = "BASE")]
    pub base: Option<String>,
    /// What came of it [default: the working tree]
    #[arg(value_name = "HEAD")]
    pub head: Option<String>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    pub format: Format,
    /// Leave with an error when this is so of any image, as 'transfer_bytes>+5%'; may be repeated
    #[arg(long, value_name = "RULE")]
    pub fail_on: Vec<String>,
}

const COMPARE_EXAMPLES: &str = "Examples:\n  \
    cargo xtask compare main                        what is not committed yet, against main\n  \
    cargo xtask compare main my-branch              two revisions\n  \
    cargo xtask compare main --only gin/scratch     one variant\n  \
    cargo xtask compare HEAD HEAD --all --only axum/scratch   one version twice: nothing to be found";

/// What is compared with what.
#[derive(Args, Clone, Debug)]
pub struct Compare {
    /// A git revision: what was before
    #[arg(value_name = "BASE")]
    pub base: String,
    /// A git revision: what came of it [default: the working tree]
    #[arg(value_name = "HEAD")]
    pub head: Option<String>,
    /// Suites or single variants [default: all]
    #[arg(long, value_name = "SUITE[/VARIANT]")]
    pub only: Vec<String>,
    /// Measure variants too whose image is the same on both sides
    #[arg(long)]
    pub all: bool,
    /// How the report is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Leave with an error when any time is worse
    #[arg(long)]
    pub fail_on_worse: bool,
    /// Give verdicts although other work disturbed the session
    #[arg(long)]
    pub allow_noisy: bool,
    /// Seed of the random order of cells [default: from the clock]
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub lab: BaseOptions,
}

impl Compare {
    pub fn head_name(&self) -> String {
        self.head
            .as_deref()
            .unwrap_or("the working tree")
            .to_owned()
    }

    /// What is built of both.
    pub fn step(&self) -> Step {
        Step {
            selection: self.only.clone(),
            base_archives: self.lab.base_archives.clone(),
            locked: false,
            lab: self.lab.lab.clone(),
        }
    }
}

const VERIFY_EXAMPLES: &str = "Examples:\n  \
    cargo xtask verify                 every variant and every base, twice: as long as a first run\n  \
    cargo xtask verify gin/scratch     one variant, and what it is built on";

/// What is built again.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// Suites or single variants [default: all]
    #[arg(value_name = "SUITE[/VARIANT]")]
    pub selection: Vec<String>,
    #[command(flatten)]
    pub lab: BaseOptions,
}

impl Verify {
    pub fn step(&self) -> Step {
        Step {
            selection: self.selection.clone(),
            base_archives: self.lab.base_archives.clone(),
            // A base that moved is what it is to find.
            locked: false,
            lab: self.lab.lab.clone(),
        }
    }
}

const COST_EXAMPLES: &str = "Examples:\n  \
    cargo xtask cost                             at the usage that prices.toml states\n  \
    cargo xtask cost --nodes 500                 on many nodes\n  \
    cargo xtask cost --versions 1 --pulls 0 --nodes 0    one version, stored and never pulled";

/// How much of a registry is used.
#[derive(Args, Clone, Debug)]
pub struct Cost {
    /// Versions of each variant pushed in the month, and kept [default: as in experiments/prices.toml]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=USAGE_MAX))]
    pub versions: Option<u64>,
    /// Pulls in the month by somebody who has nothing of the image [default: as in experiments/prices.toml]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=USAGE_MAX))]
    pub pulls: Option<u64>,
    /// Nodes that pull every version and keep the base's layers [default: as in experiments/prices.toml]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=USAGE_MAX))]
    pub nodes: Option<u64>,
}

const MERGE_EXAMPLES: &str = "Examples:\n  \
    cargo xtask merge ../on-arm64                 a checkout of the same commit, where an arm64 machine ran\n  \
    cargo xtask merge rows-amd64 rows-arm64       what two jobs of a CI matrix left";

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a pull request
    Markdown,
    /// For a program
    Json,
    /// For a terminal
    Table,
}

#[derive(Args, Clone, Debug)]
pub struct Bases {
    #[command(subcommand)]
    pub command: Option<BasesCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub enum BasesCommand {
    /// Resolve bases again and change experiments/bases.lock
    Update {
        /// References as bases.toml has them [default: all]
        names: Vec<String>,
        /// Where they come from from now on
        #[arg(long, value_enum)]
        source: Option<SourceChoice>,
        #[command(flatten)]
        step: BaseOptions,
    },
    /// Make a reference known, so that a Dockerfile may say FROM it
    Add {
        /// The reference as the Dockerfile has it, for example cgr.dev/chainguard/static
        reference: String,
        #[command(flatten)]
        step: BaseOptions,
    },
}

#[derive(Args, Clone, Debug)]
pub struct BaseOptions {
    /// A folder with the base archives that bases.toml names
    #[arg(long, value_name = "DIR", env = "BASE_ARCHIVES")]
    pub base_archives: Option<PathBuf>,
    #[command(flatten)]
    pub lab: LabOptions,
}

/// A base's source, as the lock spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SourceChoice {
    /// The registry the reference names, by digest
    Upstream,
    /// A file in --base-archives, by its sha256
    Archive,
    /// The recipe under experiments/bases, from Debian packages
    Rebuilt,
}
