//! Tests of reading and writing rows, apart from the code for its length.

use std::{fs, path::Path};

use super::{
    cell::{ErrorWord, Origin},
    exact::{LayerRow, SizeRow},
    row::{Row, columns},
    table::Table,
    timings::{EnvironmentRow, NodeRow, SampleRow, StartRow},
};

fn environment(session: &str, fact: &str, value: &str) -> EnvironmentRow {
    EnvironmentRow {
        session: session.to_owned(),
        fact: fact.to_owned(),
        value: value.to_owned(),
    }
}

fn layer(variant: &str, layer: u64) -> LayerRow {
    LayerRow {
        suite: "gin".to_owned(),
        variant: variant.to_owned(),
        platform: "linux/amd64".to_owned(),
        layer,
        transfer_bytes: Some(0),
        origin: Some(Origin::App),
        created_by: "COPY a, \"b\" /".to_owned(),
        ..LayerRow::default()
    }
}

fn table<R: Row>(rows: impl IntoIterator<Item = R>) -> Table<R> {
    Table::of(Path::new("results/x.csv"), rows)
}

/// Everything that is wrong with `text`.
fn problems<R: Row>(text: &str) -> String {
    Table::<R>::parse(Path::new("results/x.csv"), text)
        .unwrap_err()
        .to_string()
}

#[test]
fn rows_stand_in_the_order_of_their_keys_and_numbers_as_numbers() {
    let table = table([layer("b", 10), layer("b", 2), layer("a", 1)]);
    insta::assert_snapshot!(table.text(), @r#"
    suite,variant,platform,layer,transfer_bytes,buildkit_transfer_bytes,unpacked_bytes,layer_file_bytes,files,origin,created_by,digest,diff_id,inputs
    gin,a,linux/amd64,1,0,,,,,app,"COPY a, ""b"" /",,,
    gin,b,linux/amd64,2,0,,,,,app,"COPY a, ""b"" /",,,
    gin,b,linux/amd64,10,0,,,,,app,"COPY a, ""b"" /",,,
    "#);
}

#[test]
fn what_is_read_and_written_again_does_not_move() {
    let text = table([
        environment("1f", "cpu_model", "Xeon(R), \"Gold\""),
        environment("1f", "kernel", "6.1"),
    ])
    .text();
    let again = Table::<EnvironmentRow>::parse(Path::new("x"), &text).unwrap();
    assert_eq!(again.text(), text);
    assert!(text.ends_with("6.1\n") && !text.contains('\r'));
    assert!(
        text.contains("\n1f,kernel,6.1\n"),
        "quoted only where needed"
    );
}

#[test]
fn every_kind_of_row_reads_what_it_writes() {
    fn check<R: Row + Default>() {
        // Required numbers are 0 in a default row, everything else is empty.
        let text = table([R::default()]).text();
        let again = Table::<R>::parse(Path::new("x"), &text).unwrap();
        assert_eq!(again.rows().next(), Some(&R::default()));
        assert_eq!(R::default().cells().len(), columns::<R>().len());
    }
    check::<SizeRow>();
    check::<LayerRow>();
    check::<super::exact::BaseRow>();
    check::<super::cost::CostRow>();
    check::<NodeRow>();
    check::<StartRow>();
    check::<SampleRow>();
}

#[test]
fn wrong_cells_are_all_named_by_line_and_column() {
    let good = table([layer("a", 1), layer("b", 1), layer("c", 1)]).text();
    let bad = good
        .replace("gin,b,linux/amd64,1,0", "gin,b,linux/amd64,1,1.5 MB")
        .replace(",app,", ",mine,");
    insta::assert_snapshot!(problems::<LayerRow>(&bad), @"
    results/x.csv:2: column `origin`: expected one of `base` `app`, got `mine`
      mend: correct the line, or delete it and run again
    results/x.csv:3: column `transfer_bytes`: expected integer, got `1.5 MB`
      mend: correct the line, or delete it and run again
    results/x.csv:4: column `origin`: expected one of `base` `app`, got `mine`
      mend: correct the line, or delete it and run again
    ");
}

#[test]
fn duplicates_name_both_lines() {
    let text = "session,fact,value\na,b,1\na,c,1\na,b,2\n";
    insta::assert_snapshot!(problems::<EnvironmentRow>(text), @"
    results/x.csv:4: the same session, fact as in line 2
      mend: correct the line, or delete it and run again
    ");
}

#[test]
fn a_short_line_is_not_padded() {
    let text = "session,fact,value\na,b\n";
    insta::assert_snapshot!(problems::<EnvironmentRow>(text), @"
    results/x.csv:2: 2 cells where 3 belong
      mend: correct the line, or delete it and run again
    ");
}

#[test]
fn headers_say_what_is_amiss() {
    let say = |header: &str| {
        let text = problems::<EnvironmentRow>(&format!("{header}\n"));
        let line = text.lines().next().unwrap().to_owned();
        line.strip_prefix("results/x.csv:1: ").unwrap().to_owned()
    };
    assert_eq!(say("session,fact"), "column `value` is missing");
    assert_eq!(say("session,fact,value,x"), "column `x` is unknown");
    assert_eq!(
        say("session,fact,valeu"),
        "column `value` is missing, and `valeu` is unknown"
    );
    assert_eq!(
        say("session,value,fact"),
        "column `value` stands where `fact` belongs"
    );
    assert_eq!(
        say("session,fact,value,fact"),
        "a column stands in it twice"
    );
    let empty = problems::<EnvironmentRow>("");
    assert!(
        empty.starts_with("results/x.csv:1: no header line"),
        "{empty}"
    );
}

#[test]
fn a_merge_conflict_is_recognised_with_its_remedy() {
    let text = "session,fact,value\n<<<<<<< HEAD\na,b,1\n=======\na,b,2\n>>>>>>> other\n";
    insta::assert_snapshot!(problems::<EnvironmentRow>(text), @"
    results/x.csv:2: a merge conflict
      mend: take either side, then run again: what is missing is built or measured
    ");
}

#[test]
fn saving_writes_only_what_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results/environment.csv");
    let mut table = Table::<EnvironmentRow>::load(&path).unwrap();
    assert!(!table.save().unwrap(), "no rows, no file");
    assert!(!path.exists());
    table.upsert(environment("1f", "kernel", "6.1"));
    assert!(table.save().unwrap());
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    let mut table = Table::<EnvironmentRow>::load(&path).unwrap();
    assert!(!table.save().unwrap());
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), written);
    table.upsert(environment("1f", "kernel", "6.2"));
    assert!(table.save().unwrap());
    table.retain(|_| false);
    assert!(table.save().unwrap(), "the last row's removal is a move");
    assert_eq!(fs::read_to_string(&path).unwrap(), "session,fact,value\n");
}

#[test]
fn a_file_out_of_order_is_sorted_when_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("environment.csv");
    fs::write(&path, "session,fact,value\nb,x,1\na,x,1\n").unwrap();
    assert!(
        Table::<EnvironmentRow>::load(&path)
            .unwrap()
            .save()
            .unwrap()
    );
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "session,fact,value\na,x,1\nb,x,1\n");
}

#[test]
fn vanished_variants_go_and_other_platforms_stay() {
    let on_arm = LayerRow {
        platform: "linux/arm64".to_owned(),
        ..layer("gone", 1)
    };
    let mut table = table([layer("a", 1), layer("gone", 1), layer("gone", 2), on_arm]);
    let removed = table.remove_undeclared("linux/amd64", |_, variant| variant == "a");
    assert_eq!(removed, 2);
    assert_eq!(table.rows().count(), 2);
}

#[test]
fn a_failed_row_is_a_key_and_a_word() {
    let row = SizeRow {
        suite: "gin".to_owned(),
        variant: "alpine".to_owned(),
        platform: "linux/amd64".to_owned(),
        error: Some(ErrorWord::BuildFailed),
        ..SizeRow::default()
    };
    assert_eq!(
        table([row]).text().lines().nth(1),
        Some("gin,alpine,linux/amd64,,,,,,,,,,,build_failed,,,,,,,,,,,")
    );
}
