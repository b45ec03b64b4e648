//! What can be timed of a variant, and which of it belongs to which session.

use super::protocol::Precision;
use crate::record::timings::SampleRow;

/// The network as it is: loopback.
pub const UNSHAPED: &str = "unshaped";
/// Body bytes at 100 Mbit/s over all connections together; no latency is added.
pub const SHAPED: &str = "100mbit";

/// The variant's name in the samples of the control cell.
pub const CONTROL: &str = "control";

/// How readiness is seen: two methods, whose times do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// From within the container's network namespace, as in the lab.
    Namespace,
    /// Through a published port: on an engine whose containers are not ours to
    /// enter.
    PublishedPort,
}

impl Probe {
    /// The word in the CSV files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::PublishedPort => "published_port",
        }
    }

    /// What is appended to the names of what holds such times, so that those of
    /// both methods never stand in one file.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Namespace => "",
            Self::PublishedPort => "-docker",
        }
    }
}

/// One way to time a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A new node: pull → create → start → first 200, nothing in between.
    NodeCold,
    /// The image is there and was started before: create → first 200.
    Warm,
    /// As after a reboot: nothing of the image is in the page cache.
    CacheDropped,
    /// As `NodeCold`, with the base's layers present.
    Redeploy,
    /// A cold pull and `syncfs` of the data root.
    PullDurable,
    /// A cold pull straight from the registry: what the recording proxy costs.
    PullDirect,
    /// A start of the control container, which does nothing but answer.
    Control,
}

impl Scenario {
    pub const ALL: [Self; 7] = [
        Self::NodeCold,
        Self::Warm,
        Self::CacheDropped,
        Self::Redeploy,
        Self::PullDurable,
        Self::PullDirect,
        Self::Control,
    ];

    /// The word in the CSV files.
    pub fn word(self) -> &'static str {
        match self {
            Self::NodeCold => "node_cold",
            Self::Warm => "warm",
            Self::CacheDropped => "cache_dropped",
            Self::Redeploy => "redeploy",
            Self::PullDurable => "pull_durable",
            Self::PullDirect => "pull_direct",
            Self::Control => CONTROL,
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }

    /// Whether its row stands in `node.csv`.
    pub fn is_of_node(self) -> bool {
        matches!(self, Self::NodeCold | Self::Redeploy | Self::PullDurable)
    }

    /// Whether its row stands in `start.csv`.
    pub fn is_of_start(self) -> bool {
        matches!(self, Self::Warm | Self::CacheDropped)
    }

    /// What has to be known how well before its cell may stop.
    pub fn goals(self) -> &'static [Goal] {
        const NODE_TOTAL: Goal = (|row| row.node_total_ns, Precision::RELATIVE);
        const START_TOTAL: Goal = (|row| row.start_total_ns, Precision::RELATIVE);
        const APP: Goal = (|row| row.app_ns, Precision::APP);
        const DURABLE: Goal = (|row| row.durable_ns, Precision::RELATIVE);
        match self {
            Self::NodeCold | Self::Redeploy => &[NODE_TOTAL],
            Self::Warm => &[START_TOTAL, APP],
            Self::CacheDropped => &[APP],
            Self::PullDurable => &[DURABLE],
            // They go on as long as anything does.
            Self::PullDirect | Self::Control => &[],
        }
    }
}

/// A time of a sample, in nanoseconds, and the precision that its median needs.
pub type Goal = (fn(&SampleRow) -> Option<u64>, Precision);

/// The scenarios of one visit to a variant, in their order: the later ones need
/// what the earlier ones leave behind.
///
/// On tmpfs nothing is written back and no page can be dropped, so the
/// scenarios about that exist on a disk only; and not on an engine of
/// somebody's, whose machine and data root are not ours to meddle with. A
/// slower network changes pulls and nothing else.
pub fn of_session(probe: Probe, profile: &str, data_root_fs: &str) -> &'static [Scenario] {
    use Scenario::{CacheDropped, NodeCold, PullDurable, Redeploy, Warm};
    match (probe, profile, data_root_fs) {
        (Probe::PublishedPort, UNSHAPED, _) | (_, UNSHAPED, "tmpfs") => &[NodeCold, Warm, Redeploy],
        (Probe::Namespace, UNSHAPED, _) => &[NodeCold, Warm, CacheDropped, PullDurable],
        _ => &[NodeCold, Redeploy],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for scenario in Scenario::ALL {
            assert_eq!(Scenario::parse(scenario.word()), Some(scenario));
        }
        assert_eq!(Scenario::parse("cold"), None);
    }

    #[test]
    fn a_visit_begins_with_the_pull_that_the_rest_needs() {
        let of_disks = [Scenario::CacheDropped, Scenario::PullDurable];
        let sessions = [(UNSHAPED, "tmpfs"), (UNSHAPED, "ext4"), (SHAPED, "tmpfs")];
        for probe in [Probe::Namespace, Probe::PublishedPort] {
            for (profile, fs) in sessions {
                let scenarios = of_session(probe, profile, fs);
                assert_eq!(scenarios[0], Scenario::NodeCold);
                let published = |it: &Scenario| it.is_of_node() != it.is_of_start();
                assert!(scenarios.iter().all(published), "{probe:?} {profile} {fs}");
                let is_of_disk = of_disks.iter().any(|it| scenarios.contains(it));
                assert_eq!(is_of_disk, probe == Probe::Namespace && fs == "ext4");
            }
        }
    }

    #[test]
    fn times_of_two_methods_never_share_a_name() {
        let (inside, outside) = (Probe::Namespace, Probe::PublishedPort);
        assert_ne!(inside.word(), outside.word());
        assert_ne!(inside.suffix(), outside.suffix());
    }
}
