//! What is running, how far it is, and how long it still takes.
//!
//! On a terminal these are bars that redraw themselves; anywhere else each
//! event is one plain line with the time since the start, so that the log of a
//! CI job reads as a story. Either way it goes to standard error, and only the
//! results go to standard output.

pub mod plan;

use std::{
    borrow::Cow,
    fmt,
    io::{self, IsTerminal as _, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::human;

/// How often a task's spinner turns. Steps have none: a thread that redraws
/// while samples are timed would be noise of our own making.
const SPIN_INTERVAL: Duration = Duration::from_millis(120);

/// A step reports to a plain log each time it has come this much further.
const PLAIN_STRIDE_PERCENT: u64 = 10;

/// Where the parts of a run report to. Clones report to the same place, from
/// any thread.
#[derive(Clone)]
pub struct Progress(Arc<Inner>);

struct Inner {
    display: Display,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

enum Display {
    Bars(MultiProgress),
    Plain(Mutex<Box<dyn Write + Send>>),
    Hidden,
}

impl Progress {
    /// Bars when standard error is a terminal, plain lines when it is not.
    pub fn to_stderr() -> Self {
        let display = if io::stderr().is_terminal() {
            Display::Bars(MultiProgress::new())
        } else {
            Display::Plain(Mutex::new(Box::new(io::stderr())))
        };
        let started = Instant::now();
        Self::new(display, move || started.elapsed())
    }

    /// Says nothing: for tests, and for commands that are part of another.
    pub fn hidden() -> Self {
        Self::new(Display::Hidden, Duration::default)
    }

    fn new(display: Display, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            display,
            clock: Box::new(clock),
        }))
    }

    /// One line that stays, above the bars if there are any.
    pub fn note(&self, line: impl fmt::Display) {
        match &self.0.display {
            // A terminal that went away is no reason to stop measuring.
            Display::Bars(bars) => drop(bars.println(self.stamped(&line))),
            Display::Plain(out) => {
                let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
                drop(writeln!(out, "{}", self.stamped(&line)));
            }
            Display::Hidden => {}
        }
    }

    /// Begins a part of the run that consists of `total` like pieces.
    pub fn step(&self, name: impl Into<String>, total: u64) -> Step {
        let name = name.into();
        let bar = self.add_bar(|| {
            ProgressBar::new(total)
                .with_style(style(
                    "{prefix} {wide_bar} {pos}/{len} {elapsed}, {eta} to go",
                ))
                .with_prefix(name.clone())
        });
        if bar.is_none() {
            self.note(format_args!("{name}: begins"));
        }
        Step {
            begun: self.elapsed(),
            progress: self.clone(),
            name,
            total,
            state: Mutex::default(),
            bar,
        }
    }

    /// Begins something that runs beside others and has no known length, such
    /// as a build.
    pub fn task(&self, name: impl Into<String>) -> Task {
        let name = name.into();
        let bar = self.add_bar(|| {
            let bar = ProgressBar::new_spinner()
                .with_style(style("{spinner} {prefix} {elapsed} {wide_msg}"))
                .with_prefix(name.clone());
            bar.enable_steady_tick(SPIN_INTERVAL);
            bar
        });
        if bar.is_none() {
            self.note(format_args!("{name}: begins"));
        }
        Task {
            begun: self.elapsed(),
            progress: self.clone(),
            name,
            last: Mutex::default(),
            bar,
        }
    }

    fn add_bar(&self, make: impl FnOnce() -> ProgressBar) -> Option<ProgressBar> {
        match &self.0.display {
            Display::Bars(bars) => Some(bars.add(make())),
            Display::Plain(_) | Display::Hidden => None,
        }
    }

    fn elapsed(&self) -> Duration {
        (self.0.clock)()
    }

    fn stamped(&self, line: &impl fmt::Display) -> String {
        format!("[{:>5}] {line}", human::elapsed(self.elapsed()))
    }
}

/// The templates are constants of this module, and a test draws them.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A part of the run under way. Dropped without a word, it leaves none.
pub struct Step {
    progress: Progress,
    name: String,
    total: u64,
    begun: Duration,
    state: Mutex<StepState>,
    bar: Option<ProgressBar>,
}

#[derive(Default)]
struct StepState {
    position: u64,
    reported_percent: u64,
}

impl Step {
    /// `pieces` more are done.
    pub fn advance(&self, pieces: u64) {
        if let Some(bar) = &self.bar {
            return bar.inc(pieces);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.position += pieces;
        let percent = (100 * state.position)
            .checked_div(self.total)
            .unwrap_or(100);
        if percent >= state.reported_percent + PLAIN_STRIDE_PERCENT && percent < 100 {
            state.reported_percent = percent - percent % PLAIN_STRIDE_PERCENT;
            self.progress.note(format_args!(
                "{}: {} of {}, about {} to go",
                self.name,
                state.position,
                self.total,
                human::wait(self.to_go(state.position))
            ));
        }
    }

    /// What is left at the pace so far.
    fn to_go(&self, position: u64) -> Duration {
        let spent = self.progress.elapsed().saturating_sub(self.begun);
        let left = self.total.saturating_sub(position);
        spent.mul_f64(left as f64 / position.max(1) as f64)
    }

    /// Ends the step with what came of it.
    pub fn done(self, outcome: impl fmt::Display) {
        ended(&self.progress, &self.name, self.begun, &outcome);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        clear(self.bar.as_ref());
    }
}

/// Something under way beside others. Dropped without a word, it leaves none.
pub struct Task {
    progress: Progress,
    name: String,
    begun: Duration,
    last: Mutex<String>,
    bar: Option<ProgressBar>,
}

impl Task {
    /// What it is doing now.
    pub fn set<'a>(&self, doing: impl Into<Cow<'a, str>>) {
        let doing = doing.into().into_owned();
        if let Some(bar) = &self.bar {
            return bar.set_message(doing);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != doing {
            self.progress.note(format_args!("{}: {doing}", self.name));
            *last = doing;
        }
    }

    /// Ends the task with what came of it.
    pub fn done(self, outcome: impl fmt::Display) {
        ended(&self.progress, &self.name, self.begun, &outcome);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        clear(self.bar.as_ref());
    }
}

fn ended(progress: &Progress, name: &str, begun: Duration, outcome: &impl fmt::Display) {
    let took = human::elapsed(progress.elapsed().saturating_sub(begun));
    progress.note(format_args!("{name}: {outcome} ({took})"));
}

fn clear(bar: Option<&ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use indicatif::{InMemoryTerm, ProgressDrawTarget};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Plain progress with a log to read and a clock to set.
    fn plain() -> (Progress, Log, Arc<AtomicU64>) {
        let (log, seconds) = (Log::default(), Arc::new(AtomicU64::new(0)));
        let display = Display::Plain(Mutex::new(Box::new(log.clone())));
        let clock = Arc::clone(&seconds);
        let progress = Progress::new(display, move || {
            Duration::from_secs(clock.load(Ordering::Relaxed))
        });
        (progress, log, seconds)
    }

    fn read(log: &Log) -> String {
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_plain_log_has_one_line_for_each_event() {
        let (progress, log, seconds) = plain();
        progress.note("lab: engines are up");
        let alpine = progress.task("build gin/alpine");
        let scratch = progress.task("build gin/scratch");
        seconds.store(5, Ordering::Relaxed);
        alpine.set("step 2/9");
        alpine.set("step 2/9");
        seconds.store(21, Ordering::Relaxed);
        scratch.done("6.2 MB");
        seconds.store(83, Ordering::Relaxed);
        alpine.done("failed: build_failed");
        insta::assert_snapshot!(read(&log), @"
        [ 0:00] lab: engines are up
        [ 0:00] build gin/alpine: begins
        [ 0:00] build gin/scratch: begins
        [ 0:05] build gin/alpine: step 2/9
        [ 0:21] build gin/scratch: 6.2 MB (0:21)
        [ 1:23] build gin/alpine: failed: build_failed (1:23)
        ");
    }

    #[test]
    fn a_step_says_now_and_then_how_long_is_left() {
        let (progress, log, seconds) = plain();
        let step = progress.step("measure gin unshaped", 150);
        for piece in 1..=150 {
            seconds.store(piece * 4, Ordering::Relaxed);
            step.advance(1);
        }
        step.done("15 blocks");
        insta::assert_snapshot!(read(&log), @"
        [ 0:00] measure gin unshaped: begins
        [ 1:00] measure gin unshaped: 15 of 150, about 9 min to go
        [ 2:00] measure gin unshaped: 30 of 150, about 8 min to go
        [ 3:00] measure gin unshaped: 45 of 150, about 7 min to go
        [ 4:00] measure gin unshaped: 60 of 150, about 6 min to go
        [ 5:00] measure gin unshaped: 75 of 150, about 5 min to go
        [ 6:00] measure gin unshaped: 90 of 150, about 4 min to go
        [ 7:00] measure gin unshaped: 105 of 150, about 3 min to go
        [ 8:00] measure gin unshaped: 120 of 150, about 2 min to go
        [ 9:00] measure gin unshaped: 135 of 150, about 60 s to go
        [10:00] measure gin unshaped: 15 blocks (10:00)
        ");
    }

    #[test]
    fn a_step_without_pieces_is_no_division_by_zero() {
        let (progress, log, _) = plain();
        let step = progress.step("nothing", 0);
        step.advance(1);
        drop(step);
        assert_eq!(read(&log), "[ 0:00] nothing: begins\n");
    }

    #[test]
    fn bars_show_what_runs_and_leave_only_the_outcomes() {
        let terminal = InMemoryTerm::new(10, 60);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let bars = MultiProgress::with_draw_target(target);
        let progress = Progress::new(Display::Bars(bars), Duration::default);
        let step = progress.step("measure", 4);
        let task = progress.task("build gin/alpine");
        task.set("step 2/9");
        step.advance(1);
        task.bar.as_ref().unwrap().tick();
        let drawn = terminal.contents();
        assert!(drawn.contains("build gin/alpine"), "{drawn}");
        assert!(drawn.contains("step 2/9"), "{drawn}");
        assert!(drawn.contains("1/4"), "{drawn}");
        task.done("9.8 MB");
        step.done("4 cells");
        let left = terminal.contents();
        assert_eq!(
            left.trim(),
            "[ 0:00] build gin/alpine: 9.8 MB (0:00)\n[ 0:00] measure: 4 cells (0:00)"
        );
    }

    #[test]
    fn several_threads_report_whole_lines() {
        let (progress, log, _) = plain();
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let task = progress.task(name);
                scope.spawn(move || {
                    (0..50).for_each(|step| task.set(format!("step {step} of this")));
                    task.done("done");
                });
            }
        });
        let text = read(&log);
        assert_eq!(text.lines().count(), 4 * 52);
        assert!(text.lines().all(|line| line.starts_with("[ 0:00] ")));
    }

    #[test]
    fn hidden_is_silent_and_works_all_the_same() {
        let progress = Progress::hidden();
        let step = progress.step("x", 2);
        step.advance(2);
        step.done("done");
        progress.task("y").done("done");
    }
}
