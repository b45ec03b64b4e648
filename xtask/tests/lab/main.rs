//! The whole chain on the real lab engine: one binary, one test at a time,
//! because they share one machine and one lab. They write to projects of their
//! own under the target folder, never to the workspace.

mod ability;
mod bases;
mod bridged;
mod capabilities;
mod chain;
mod commands;
mod compare;
mod crash;
mod faults;
mod host;
mod images;
mod limits;
mod portable;
mod processes;
mod proofs;
mod sandbox;
mod subject;
mod timed;
mod tiny;
mod user;
mod variants;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};
use xtask::{elevate, engine::init};

use ability::Ability;

type Test = fn() -> Result<()>;

/// In an order in which later ones find what earlier ones made. Each can also
/// run alone.
const TESTS: &[(&str, Test)] = &[
    ("doctor_says_ready", commands::doctor_says_ready),
    (
        "run_all_quick_ends_with_rows_for_every_variant_of_both_suites",
        chain::every_variant_has_its_rows,
    ),
    (
        "a_second_run_writes_nothing_and_starts_no_engine",
        chain::a_second_run_writes_nothing,
    ),
    (
        "totals_are_what_skopeo_the_registry_and_overlay2_say",
        images::totals_are_what_others_say,
    ),
    (
        "no_layer_and_no_config_keeps_a_trace_of_the_hosts_cas",
        images::no_trace_of_the_hosts_cas,
    ),
    (
        "one_static_binary_is_the_same_bytes_wherever_it_is_shipped",
        images::one_binary_everywhere,
    ),
    (
        "contexts_hold_the_sources_and_nothing_else",
        chain::contexts_hold_sources_only,
    ),
    (
        "building_again_from_nothing_gives_the_same_rows_and_digests",
        chain::building_again_gives_the_same_rows,
    ),
    (
        "a_folder_and_three_lines_add_a_row_and_move_no_other",
        variants::a_new_variant_moves_no_other,
    ),
    (
        "a_failing_variant_is_a_row_with_a_log_and_the_others_go_on",
        variants::a_failing_variant_is_a_row,
    ),
    (
        "a_build_that_writes_the_time_is_not_reproducible",
        variants::a_build_that_writes_the_time_is_not_reproducible,
    ),
    (
        "verify_names_what_drifted_and_leaves_results_alone",
        verify::it_finds_what_drifted_and_writes_nothing,
    ),
    (
        "an_image_says_what_it_has_and_what_it_lacks",
        capabilities::an_image_says_what_it_has_and_what_it_lacks,
    ),
    (
        "a_full_disk_is_an_error_and_leaves_nothing_half_written",
        faults::a_full_disk_is_an_error,
    ),
    (
        "an_interrupted_or_killed_build_leaves_nothing_behind",
        crash::during_a_build,
    ),
    (
        "an_interrupted_or_killed_pull_leaves_nothing_behind",
        crash::during_a_pull,
    ),
    (
        "an_interrupted_or_killed_start_leaves_nothing_behind",
        crash::during_a_start,
    ),
    (
        "a_session_that_was_killed_goes_on_where_it_was",
        crash::during_a_session,
    ),
    (
        "a_full_data_root_is_an_error_that_names_the_image",
        faults::a_full_data_root_is_an_error,
    ),
    (
        "a_pull_of_what_is_there_already_does_not_count",
        faults::a_warm_pull_does_not_count,
    ),
    (
        "a_corrupted_blob_is_an_error_and_never_a_time",
        faults::a_corrupted_blob_is_an_error,
    ),
    (
        "what_a_service_waits_moves_the_app_phase_and_no_other",
        proofs::waiting_services_move_the_app_phase_and_no_other,
    ),
    (
        "a_registry_that_is_late_with_one_blob_moves_the_download_alone",
        proofs::a_registry_that_is_late_with_one_blob_moves_the_download_alone,
    ),
    (
        "half_the_rate_doubles_the_download",
        proofs::half_the_rate_doubles_the_download,
    ),
    (
        "the_selftests_rows_follow_from_its_samples",
        proofs::the_selftests_rows_follow_from_its_samples,
    ),
    (
        "a_disks_session_has_durable_pulls_and_starts_without_a_cache",
        proofs::a_disks_session_has_durable_pulls_and_starts_without_a_cache,
    ),
    (
        "every_limit_is_taken_and_no_sample_beats_it",
        limits::every_limit_is_taken_and_no_sample_beats_it,
    ),
    (
        "a_comparison_finds_what_is_there_and_nothing_else",
        compare::it_finds_what_is_there_and_nothing_else,
    ),
    (
        "a_held_lab_names_its_holder_and_is_not_cleaned",
        commands::a_held_lab_names_its_holder,
    ),
    (
        "clean_never_crosses_a_mount",
        commands::clean_never_crosses_a_mount,
    ),
    (
        "a_base_is_rebuilt_and_locked_by_its_packages",
        bases::it_is_rebuilt_and_locked_by_its_packages,
    ),
    (
        "packages_that_moved_move_the_lock_and_the_row_unless_locked",
        bases::moved_packages_move_lock_and_row_unless_locked,
    ),
    (
        "an_upstream_out_of_reach_is_never_another_source",
        bases::an_upstream_out_of_reach_is_never_another_source,
    ),
    (
        "a_stand_in_is_called_so_in_every_row",
        bases::a_stand_in_is_called_so,
    ),
    (
        "the_engine_that_is_there_gives_the_labs_rows_and_loses_nothing",
        host::it_counts_what_the_lab_counts,
    ),
    (
        "the_engine_that_is_there_gives_the_labs_rows_of_a_real_variant",
        host::it_counts_a_real_variant_as_the_lab_does,
    ),
    (
        "an_engine_that_cannot_be_used_is_told_with_what_mends_it",
        host::doctor_knows_it,
    ),
    (
        "a_published_port_accepts_too_early_and_the_portable_probe_is_right",
        portable::it_is_right_where_a_connection_is_not,
    ),
    (
        "somebodys_engine_is_timed_only_when_cold_and_keeps_what_is_theirs",
        portable::it_times_what_was_cold_and_removes_what_is_ours,
    ),
    (
        "a_run_on_somebodys_engine_times_what_is_cold_and_keeps_what_is_theirs",
        timed::it_times_what_is_cold_and_keeps_what_is_theirs,
    ),
    (
        "an_engine_that_does_not_reach_our_registry_is_not_timed",
        timed::an_engine_that_does_not_reach_us_is_refused,
    ),
    (user::NAME, user::everything_belongs_to_the_user_who_called),
];

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().collect();
    // The lab's namespaces run this very program as their first process.
    if let [_, name, spec] = words.as_slice()
        && name == init::SUBCOMMAND
    {
        return exit_code(init::run(spec));
    }
    let tethered = words.iter().any(|word| word == elevate::TETHERED);
    words.retain(|word| word != elevate::TETHERED);
    let mut arguments = Arguments::from_iter(words);
    arguments.test_threads = Some(1);
    let ability = Ability::of_this_machine();
    if ability.needs_sudo() && !arguments.list {
        return elevate::rerun_through_sudo().unwrap_or_else(|error| exit_code(Err(error)));
    }
    if tethered {
        elevate::follow_the_tether();
    }
    let trials = TESTS
        .iter()
        .map(|(name, test)| trial(name, *test, &ability));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    sandbox::give_to_the_caller();
    conclusion.exit_code()
}

/// Where a test cannot run it counts as ignored, by name; where all of them
/// must run that is a failure.
fn trial(name: &str, test: Test, ability: &Ability) -> Trial {
    let hindrance = ability.hindrance(name);
    if let Some(why) = &hindrance {
        eprintln!("{name}: cannot run here: {why}");
    }
    let ignored = hindrance.is_some() && !ability::everything_must_run();
    let run = move || match hindrance {
        Some(why) => Err(anyhow!("this machine cannot run it: {why}")),
        None => test(),
    };
    Trial::test(name, move || {
        run().map_err(|error| Failed::from(format!("{error:#}")))
    })
    .with_ignored_flag(ignored)
}

fn exit_code(outcome: Result<i32>) -> ExitCode {
    match outcome {
        Ok(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
