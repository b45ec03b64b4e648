//! Who a program of the image is, and what `/etc/passwd` calls whom.

use std::fs;

use super::Answer;

/// The number that Linux itself keeps for nobody.
const NOBODY: u32 = 65534;

pub fn nobody() -> Answer {
    let Ok(passwd) = fs::read_to_string("/etc/passwd") else {
        return Answer::no("no /etc/passwd");
    };
    match name_of(&passwd, NOBODY) {
        Some(name) => Answer::yes(format!("uid {NOBODY} is {name}")),
        None => Answer::no(format!("uid {NOBODY} has no name")),
    }
}

pub fn default() -> Answer {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let Some(uid) = effective_uid(&status) else {
        return Answer::unknown("no /proc");
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let detail = match name_of(&passwd, uid) {
        Some(name) => format!("uid {uid}, {name}"),
        None => format!("uid {uid}, without a name"),
    };
    Answer::yes_if(uid != 0, detail)
}

/// The first name of the number, as lookups find it.
fn name_of(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == uid).then_some(name)
    })
}

fn effective_uid(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_first_name_that_has_it() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\nnobody:x:65534:65534::/:\nlast:x:0:0";
        assert_eq!(name_of(passwd, 0), Some("root"));
        assert_eq!(name_of(passwd, NOBODY), Some("nobody"));
        assert_eq!(name_of(passwd, 1), None);
    }

    #[test]
    fn the_effective_number_is_the_second() {
        let status = "Name:\tx\nUid:\t0\t65532\t0\t0\nGid:\t1\t1\t1\t1\n";
        assert_eq!(effective_uid(status), Some(65532));
        assert_eq!(effective_uid(""), None);
    }
}
