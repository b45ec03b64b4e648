//! The report on a terminal.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table as Grid};

use super::report::{
    Alternative, Alternatives, Duplicate, File, Folder, How, Identity, Layer, Linking, Report,
    Scenario, Start, Totals, WastedFile,
};
use crate::{human, table::STYLE};

/// Below this, megabytes with one decimal would say nothing.
const WHOLE_BYTES_BELOW: u64 = 1_000_000;

const CREATED_BY_CHARS_MAX: usize = 44;
const VALUE_CHARS_MAX: usize = 100;
const PATH_CHARS_MAX: usize = 72;

/// So many layers are named beside a folder; they are the largest shares.
const SHARES_MAX: usize = 3;

/// In the order of a cold start.
const PHASES: [&str; 6] = ["resolve", "download", "tail", "create", "engine", "app"];

pub fn text(report: &Report) -> String {
    let mut text = identity(&report.name, &report.identity);
    text += &totals(&report.totals);
    section(&mut text, "Layers, lowest first", &layers(&report.layers));
    section(&mut text, "Largest files", &files(&report.largest_files));
    section(
        &mut text,
        "Largest folders",
        &folders(&report.largest_folders),
    );
    if report.wasted.files > 0 {
        let title = format!(
            "Wasted: {} in {}",
            size(report.wasted.bytes),
            human::count(report.wasted.files as usize, "file")
        );
        section(&mut text, &title, &wasted(&report.wasted.largest));
    }
    if report.duplicates.contents > 0 {
        let title = format!(
            "Stored more than once: {} that one copy of each would save",
            size(report.duplicates.bytes)
        );
        section(&mut text, &title, &duplicates(&report.duplicates.largest));
    }
    if let Some(found) = &report.alternatives {
        let title = format!("{} on other bases", found.suite);
        section(&mut text, &title, &alternatives(found));
    }
    if let Some(found) = &report.start {
        section(&mut text, &start_title(found), &scenarios(&found.scenarios));
    }
    if !report.notes.is_empty() {
        text += "\n";
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn identity(name: &str, identity: &Identity) -> String {
    let mut lines = vec![("platform", identity.platform.clone())];
    lines.extend(identity.digest.iter().map(|it| ("digest", it.to_string())));
    lines.push(("image ID", identity.config_digest.to_string()));
    // As Dockerfiles write them, so that spaces and escapes show.
    let words = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    for (key, list) in [("entrypoint", &identity.entrypoint), ("cmd", &identity.cmd)] {
        if !list.is_empty() {
            lines.push((key, words(list)));
        }
    }
    for (key, text) in [("folder", &identity.working_dir), ("user", &identity.user)] {
        if !text.is_empty() {
            lines.push((key, format!("{text:?}").trim_matches('"').to_owned()));
        }
    }
    if let Some(app) = &identity.application {
        let linking = match app.linking {
            Linking::Static => ", linked statically",
            Linking::Dynamic => ", linked dynamically",
            Linking::Script => ", a script",
            Linking::Unknown => "",
        };
        let id = app.sha256.short();
        lines.push((
            "application",
            format!("{}, {}, sha256 {id}{linking}", app.path, size(app.bytes)),
        ));
    }
    let mut text = format!("{name}\n");
    for (key, value) in lines {
        let _ = writeln!(text, "  {key:<13}{}", front(&value, VALUE_CHARS_MAX));
    }
    text
}

fn totals(totals: &Totals) -> String {
    let mut lines = Vec::new();
    let bytes = |bytes: u64| human::grouped(bytes.into());
    if let Some(transfer) = totals.transfer_bytes {
        let split = totals.base_transfer_bytes.zip(totals.app_transfer_bytes);
        let of_base = split.zip(totals.base.as_ref());
        let part = of_base.map_or_else(String::new, |((base, app), name)| {
            format!(
                "   {} of the base {name}, {} of the Dockerfile",
                size(base),
                size(app)
            )
        });
        lines.push(("transfer bytes", bytes(transfer) + &part));
    } else if let Some(base) = &totals.base {
        lines.push(("base", base.clone()));
    }
    lines.push(("unpacked bytes", bytes(totals.unpacked_bytes)));
    lines.push(("layer file bytes", bytes(totals.layer_file_bytes)));
    lines.push(("content bytes", bytes(totals.content_bytes)));
    lines.push(("wasted bytes", bytes(totals.wasted_bytes)));
    lines.push(("files", bytes(totals.files)));
    let mut text = "\n".to_owned();
    for (key, value) in lines {
        let (number, rest) = value.split_once(' ').unwrap_or((&value, ""));
        let line = format!("  {key:<17}{number:>15} {rest}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn layers(layers: &[Layer]) -> Grid {
    let mut grid = grid(
        &[
            "",
            "of",
            "transfer",
            "unpacked",
            "layer files",
            "wasted",
            "made by",
        ],
        &[0, 2, 3, 4, 5],
    );
    for layer in layers {
        grid.add_row([
            layer.layer.to_string(),
            layer.origin.map(|it| it.to_string()).unwrap_or_default(),
            layer.transfer_bytes.map(size).unwrap_or_default(),
            size(layer.unpacked_bytes),
            size(layer.layer_file_bytes),
            or_nothing(layer.wasted_bytes),
            front(
                layer.created_by.as_deref().unwrap_or_default(),
                CREATED_BY_CHARS_MAX,
            ),
        ]);
    }
    grid
}

fn files(files: &[File]) -> Grid {
    let mut grid = grid(&["size", "layer", "path"], &[0, 1]);
    for file in files {
        let links = match file.names {
            1 => String::new(),
            names => format!("  (one of {names} hard links)"),
        };
        grid.add_row([
            size(file.bytes),
            file.layer.to_string(),
            back(&file.path) + &links,
        ]);
    }
    grid
}

fn folders(folders: &[Folder]) -> Grid {
    let mut grid = grid(&["size", "files", "path", "from layers"], &[0, 1]);
    for folder in folders {
        grid.add_row([
            size(folder.bytes),
            human::grouped(folder.files.into()),
            back(&folder.path),
            shares(folder),
        ]);
    }
    grid
}

/// `2 (96 %), 1 (4 %)`; one that brought all of it stands alone.
fn shares(folder: &Folder) -> String {
    if let [only] = &folder.layers[..] {
        return only.layer.to_string();
    }
    let percent = |bytes: u64| u128::from(bytes) * 100 / u128::from(folder.bytes.max(1));
    let shares = folder.layers.iter().take(SHARES_MAX);
    let mut texts: Vec<String> = shares
        .map(|share| format!("{} ({} %)", share.layer, percent(share.bytes)))
        .collect();
    if folder.layers.len() > SHARES_MAX {
        texts.push("…".to_owned());
    }
    texts.join(", ")
}

fn wasted(files: &[WastedFile]) -> Grid {
    let mut grid = grid(&["size", "layer", "by layer", "", "path"], &[0, 1, 2]);
    for file in files {
        let how = match file.how {
            How::Overwritten => "overwritten",
            How::Deleted => "deleted",
        };
        grid.add_row([
            size(file.bytes),
            file.layer.to_string(),
            file.by_layer.to_string(),
            how.to_owned(),
            back(&file.path),
        ]);
    }
    grid
}

fn duplicates(contents: &[Duplicate]) -> Grid {
    let mut grid = grid(&["size", "copies", "paths"], &[0, 1]);
    for content in contents {
        let mut paths: Vec<String> = content.paths.iter().map(|path| back(path)).collect();
        if content.copies > paths.len() as u64 {
            paths.push("…".to_owned());
        }
        grid.add_row([
            size(content.bytes),
            content.copies.to_string(),
            paths.join("\n"),
        ]);
    }
    grid
}

fn alternatives(found: &Alternatives) -> Grid {
    let profiles: Vec<&str> = found
        .variants
        .iter()
        .map(|it| it.times.iter().map(|times| &*times.profile).collect())
        .max_by_key(Vec::len)
        .unwrap_or_default();
    let head = ["variant", "base", "transfer", "", "unpacked", ""].map(str::to_owned);
    let columns = profiles
        .iter()
        .flat_map(|profile| [format!("pull\n{profile}"), format!("node cold\n{profile}")]);
    let mut header: Vec<String> = head.into_iter().chain(columns).collect();
    header.push("application".to_owned());
    let right: Vec<usize> = (2..header.len() - 1).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut grid = grid(&header, &right);
    for variant in &found.variants {
        grid.add_row(alternative(variant, &profiles));
    }
    grid
}

fn alternative(variant: &Alternative, profiles: &[&str]) -> Vec<String> {
    let mut cells = vec![
        variant.variant.clone(),
        // The registry's name says nothing here.
        variant
            .base
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
        size(variant.transfer_bytes),
        difference(variant.transfer_difference_bytes),
        size(variant.unpacked_bytes),
        difference(variant.unpacked_difference_bytes),
    ];
    let time = |us: Option<u64>| us.map(human::time).unwrap_or_default();
    for profile in profiles {
        let times = variant.times.iter().find(|it| it.profile == *profile);
        cells.push(time(times.and_then(|it| it.pull_median_us)));
        cells.push(time(times.and_then(|it| it.node_total_median_us)));
    }
    let application = match variant.same_application {
        Some(true) => "the same",
        Some(false) => "another build",
        None => "",
    };
    cells.push(application.to_owned());
    cells
}

fn start_title(start: &Start) -> String {
    let whose = if start.this_machine {
        "this machine"
    } else {
        "the published machine"
    };
    format!(
        "Its start on {} ({whose}), {}; medians",
        start.machine, start.data_root_fs
    )
}

fn scenarios(scenarios: &[Scenario]) -> Grid {
    let head = ["scenario", "profile", "total"];
    let header: Vec<&str> = head.into_iter().chain(PHASES).chain([""]).collect();
    let right: Vec<usize> = (2..header.len() - 1).collect();
    let mut grid = grid(&header, &right);
    let time = |us: Option<u64>| us.map(human::time).unwrap_or_default();
    for row in scenarios {
        let phase = |name: &str| row.phases.iter().find(|it| it.phase == name);
        let times = PHASES.map(|name| time(phase(name).and_then(|it| it.median_us)));
        let mut cells = vec![
            row.scenario.clone(),
            row.profile.clone(),
            time(row.total.median_us),
        ];
        cells.extend(times);
        cells.push(row.remarks.join(", "));
        grid.add_row(cells);
    }
    grid
}

fn grid(header: &[&str], right: &[usize]) -> Grid {
    let mut grid = Grid::new();
    grid.load_style(STYLE).set_header(header.iter().copied());
    for &column in right {
        if let Some(column) = grid.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    grid
}

fn section(text: &mut String, title: &str, grid: &Grid) {
    if grid.row_count() == 0 {
        return;
    }
    let _ = writeln!(text, "\n{title}");
    for line in grid.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn size(bytes: u64) -> String {
    if bytes < WHOLE_BYTES_BELOW {
        return format!("{} B", human::grouped(bytes.into()));
    }
    format!("{} MB", human::megabytes(bytes))
}

fn or_nothing(bytes: u64) -> String {
    if bytes == 0 {
        String::new()
    } else {
        size(bytes)
    }
}

fn difference(bytes: i64) -> String {
    match bytes {
        0 => String::new(),
        less if less < 0 => format!("-{}", size(less.unsigned_abs())),
        more => format!("+{}", size(more.unsigned_abs())),
    }
}

fn front(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The end of a long path says what it is.
fn back(path: &str) -> String {
    let too_many = path.chars().count().saturating_sub(PATH_CHARS_MAX);
    match too_many {
        0 => path.to_owned(),
        _ => path
            .chars()
            .skip(too_many)
            .fold("…".to_owned(), |mut text, c| {
                text.push(c);
                text
            }),
    }
}
