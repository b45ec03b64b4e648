//! What each image can do, as running it has shown: one line per capability, one
//! column per variant.

use super::{
    cell::Wrong,
    table::{self, Grid},
};
use crate::{
    publish::{Evidence, Lang},
    record::{
        capabilities::CapabilityRow,
        cell::{Answer, Capability},
    },
};

/// No answer, and why stands in the file.
const NONE: &str = "–";

/// # Errors
/// When nothing was recorded for the suite.
pub fn grid(evidence: &Evidence, suite: &str, lang: Lang) -> Result<Grid, Wrong> {
    let of_suite = evidence
        .capabilities
        .iter()
        .filter(|row| row.suite == suite);
    let rows: Vec<&CapabilityRow> = of_suite.collect();
    if rows.is_empty() {
        return Err(Wrong {
            what: format!("results/capabilities.csv has no rows of `{suite}`"),
            mend: format!("cargo xtask capabilities {suite}"),
            a_draft_goes_on: true,
        });
    }
    let variants: Vec<&str> = table::variants(evidence, suite)?
        .iter()
        .map(|row| row.variant.as_str())
        .collect();
    let head = Grid::centred(lang, ["of the image", "이미지의 기능"]);
    let mut grid = variants.iter().fold(head, |grid, variant| {
        grid.with_column(&format!("`{variant}`"))
    });
    for (capability, word, _) in Capability::ALL {
        let answers = variants.iter().map(|variant| {
            let row = rows
                .iter()
                .find(|it| it.variant == *variant && it.capability == *word);
            answer(row.and_then(|row| row.answer), lang).to_owned()
        });
        let name = name(*capability, lang).to_owned();
        grid.push(std::iter::once(name).chain(answers).collect());
    }
    Ok(grid)
}

/// What was asked, in a table's few words.
pub fn name(capability: Capability, lang: Lang) -> &'static str {
    match capability {
        Capability::CaRoots => lang.of("CA roots", "CA 인증서"),
        Capability::TimeZones => lang.of("time zones", "시간대 데이터"),
        Capability::Dns => lang.of("DNS, by the program itself", "DNS 조회(프로그램 자체)"),
        Capability::LibcDns => lang.of("DNS, by the image's libc", "DNS 조회(이미지의 libc)"),
        Capability::UserNames => lang.of("user names", "사용자 이름"),
        Capability::NonRootDefault => lang.of("not root by default", "기본 사용자가 root가 아님"),
        Capability::NonRoot => lang.of("runs as another user", "다른 사용자로 실행"),
        Capability::Shell => lang.of("shell", "셸"),
        Capability::PackageManager => lang.of("package manager", "패키지 매니저"),
        Capability::ReadOnlyRoot => lang.of("read-only root", "읽기 전용 루트로 실행"),
        Capability::Sigterm => lang.of("ends on SIGTERM", "SIGTERM에 종료"),
    }
}

fn answer(answer: Option<Answer>, lang: Lang) -> &'static str {
    match answer {
        Some(Answer::Yes) => lang.of("yes", "예"),
        Some(Answer::No) => lang.of("no", "아니요"),
        Some(Answer::Unknown) | None => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::article::testing::evidence;

    #[test]
    fn answers_stand_under_their_variant() {
        let mut rows = evidence();
        for (variant, capability, answer) in [
            ("scratch", "shell", Answer::No),
            ("alpine", "shell", Answer::Yes),
            ("scratch", "libc_dns", Answer::Unknown),
        ] {
            rows.capabilities.push(CapabilityRow {
                suite: "gin".to_owned(),
                variant: variant.to_owned(),
                capability: capability.to_owned(),
                answer: Some(answer),
                ..CapabilityRow::default()
            });
        }
        let text = grid(&rows, "gin", Lang::Ko).unwrap().markdown();
        insta::assert_snapshot!(text, @"
        | 이미지의 기능 | `scratch` | `alpine` | `single-stage` |
        | --- | :---: | :---: | :---: |
        | CA 인증서 | – | – | – |
        | 시간대 데이터 | – | – | – |
        | DNS 조회(프로그램 자체) | – | – | – |
        | DNS 조회(이미지의 libc) | – | – | – |
        | 사용자 이름 | – | – | – |
        | 기본 사용자가 root가 아님 | – | – | – |
        | 다른 사용자로 실행 | – | – | – |
        | 셸 | 아니요 | 예 | – |
        | 패키지 매니저 | – | – | – |
        | 읽기 전용 루트로 실행 | – | – | – |
        | SIGTERM에 종료 | – | – | – |
        ");
    }

    #[test]
    fn a_file_that_is_missing_is_named_with_its_command() {
        let wrong = grid(&evidence(), "gin", Lang::En).map(drop).unwrap_err();
        assert_eq!(wrong.mend, "cargo xtask capabilities gin");
    }
}
