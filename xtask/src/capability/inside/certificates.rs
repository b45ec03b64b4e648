//! The roots that a TLS client trusts: certificates where Go's crypto/x509 looks
//! for them on Linux, which are the places of all large distributions.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use super::Answer;

const FILES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
const FOLDERS: [&str; 2] = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A distribution's bundle of the public web's roots has well over a hundred. What
/// stays below is a machine's own certificate, or the authorities of one company.
const ROOTS_MIN: usize = 50;

pub fn roots() -> Answer {
    let files = named("SSL_CERT_FILE", &FILES);
    let folders = named("SSL_CERT_DIR", &FOLDERS);
    let in_files = files.into_iter().map(|path| (in_file(&path).len(), path));
    let in_folders = folders
        .into_iter()
        .map(|path| (in_folder(&path).len(), path));
    told(in_files.chain(in_folders))
}

/// The first place with enough of them; or where the most are.
fn told(places: impl Iterator<Item = (usize, PathBuf)>) -> Answer {
    let mut most = (0, PathBuf::new());
    for (found, path) in places {
        if found >= ROOTS_MIN {
            return Answer::yes(format!("{found} in {}", path.display()));
        }
        if found > most.0 {
            most = (found, path);
        }
    }
    match most {
        (0, _) => Answer::no("none where TLS clients look"),
        (found, path) => Answer::no(format!("only {found} in {}", path.display())),
    }
}

/// The usual paths, unless the image's environment names others.
fn named(variable: &str, usual: &[&str]) -> Vec<PathBuf> {
    match env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(paths) => env::split_paths(&paths).collect(),
        None => usual.iter().map(PathBuf::from).collect(),
    }
}

/// A folder has most of them under several names.
fn in_folder(folder: &Path) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|entry| in_file(&entry.path())).collect()
}

fn in_file(path: &Path) -> BTreeSet<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_default();
    certificates(&String::from_utf8_lossy(&bytes))
}

/// The certificates that a PEM file holds: base64 between two lines, and in it
/// one DER sequence that is as long as it says.
fn certificates(pem: &str) -> BTreeSet<Vec<u8>> {
    let blocks = pem.split(BEGIN).skip(1);
    let encoded = blocks.filter_map(|block| Some(block.split_once(END)?.0));
    encoded
        .filter_map(decode)
        .filter(|der| is_one_sequence(der))
        .collect()
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    let symbols = base64.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for symbol in symbols.take_while(|symbol| *symbol != b'=') {
        let value = ALPHABET.iter().position(|it| *it == symbol)?;
        (bits, held) = ((bits << 6) | value as u32, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

fn is_one_sequence(der: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = der else {
        return false;
    };
    if *length < 0x80 {
        return rest.len() == usize::from(*length);
    }
    // The long form: in how many bytes the length stands.
    let Some((length, content)) = rest.split_at_checked(usize::from(*length & 0x7f)) else {
        return false;
    };
    let length = length
        .iter()
        .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    content.len() == length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(base64: &str) -> String {
        format!("# a comment\n{BEGIN}\n{base64}\n{END}\n")
    }

    #[test]
    fn whole_certificates_are_counted_and_nothing_else() {
        // A sequence of the integer 5, in two lines.
        let whole = pem("MAMC\nAQU=");
        let other = pem("MAMCAQY=");
        assert_eq!(certificates(&whole), [vec![0x30, 3, 2, 1, 5]].into());
        assert_eq!(certificates(&format!("{whole}{other}{whole}")).len(), 2);
        let bad = [
            pem("MAMCAQ=="),
            pem("MAMCAQUF"),
            pem("AgEF"),
            pem("no base64"),
            pem(""),
            whole.replace(END, ""),
            whole.replace(" CERTIFICATE", " PRIVATE KEY"),
        ];
        for text in bad {
            assert_eq!(certificates(&text).len(), 0, "{text}");
            assert_eq!(certificates(&(text + &whole)).len(), 1);
        }
    }

    #[test]
    fn a_handful_of_certificates_is_not_the_roots_of_the_web() {
        let of = |places: &[(usize, &str)]| {
            let places = places.iter().map(|(found, path)| (*found, path.into()));
            told(places).to_string()
        };
        assert_eq!(of(&[(0, "/a")]), "no\tnone where TLS clients look");
        assert_eq!(of(&[(1, "/a"), (49, "/b"), (2, "/c")]), "no\tonly 49 in /b");
        assert_eq!(of(&[(1, "/a"), (50, "/b"), (140, "/c")]), "yes\t50 in /b");
    }

    #[test]
    fn a_certificate_under_two_names_is_one() {
        let folder = env::temp_dir().join(format!("certificates-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["a.pem", "0a1b2c3d.0"] {
            fs::write(folder.join(name), pem("MAMCAQU=")).unwrap();
        }
        let found = in_folder(&folder).len();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, 1);
    }

    #[test]
    fn a_length_may_stand_in_several_bytes() {
        let mut der = vec![0x30, 0x82, 0x01, 0x00];
        der.extend([0; 256]);
        assert!(is_one_sequence(&der));
        assert!(!is_one_sequence(&der[..259]));
        assert!(!is_one_sequence(&der[..3]));
    }
}
