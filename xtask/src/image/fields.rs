//! The fields of tar headers and the records of PAX headers.

use anyhow::{Context, Result, ensure};
use tar::Header;

use super::sparse;

/// What long-name and PAX headers say about the entry after them.
#[derive(Default)]
pub struct Extensions {
    pub found: bool,
    /// Of all these headers together.
    pub bytes: u64,
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extensions {
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let mut values = self.records.iter().rev();
        let (_, value) = values.find(|(name, _)| name == key.as_bytes())?;
        // An empty value takes an earlier one back.
        Some(&value[..]).filter(|value| !value.is_empty())
    }

    pub fn number(&self, key: &str) -> Result<Option<u64>> {
        let value = self.get(key).map(sparse::number).transpose();
        value.with_context(|| format!("PAX record {key}"))
    }
}

pub fn check_sum(header: &Header) -> Result<()> {
    let bytes = header.as_bytes().iter().enumerate();
    let blanked = bytes.map(|(at, &byte)| if (148..156).contains(&at) { b' ' } else { byte });
    let unsigned: i64 = blanked.clone().map(i64::from).sum();
    // Ancient writers summed signed bytes.
    let signed: i64 = blanked.map(|byte| i64::from(byte as i8)).sum();
    let stored = field(&header.as_old().cksum).context("checksum")?;
    ensure!(
        stored == unsigned || stored == signed,
        "not a tar header (wrong checksum)"
    );
    Ok(())
}

/// A user or group number; Linux has no larger ones than 32 bits.
pub fn owner(bytes: &[u8], record: Option<u64>) -> Result<u64> {
    let id = match record {
        Some(id) => id,
        None => u64::try_from(field(bytes).context("owner")?).context("negative owner")?,
    };
    ensure!(u32::try_from(id).is_ok(), "an owner of {id} is absurd");
    Ok(id)
}

/// A numeric header field: octal, or base 256 where the top bit is set.
pub fn field(bytes: &[u8]) -> Result<i64> {
    if bytes[0] & 0x80 != 0 {
        // Bit 6 is the sign; what does not fit an i64 is no size or time.
        let negative = bytes[0] & 0x40 != 0;
        let first = (bytes[0] & 0x7f) | if negative { 0x80 } else { 0 };
        let mut value = i128::from(first as i8);
        for &byte in &bytes[1..] {
            value = (value << 8) | i128::from(byte);
        }
        return i64::try_from(value).context("the number is too large");
    }
    let text = std::str::from_utf8(bytes).unwrap_or("?");
    let text = text.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.split(['\0', ' ']).next().unwrap_or_default();
    i64::from_str_radix(digits, 8)
        .ok()
        .filter(|&value| value >= 0)
        .with_context(|| format!("`{}` is not an octal number", bytes.escape_ascii()))
}

/// `1700000000.25` and the like, cut to whole seconds.
pub fn seconds(text: &[u8]) -> Result<i64> {
    let whole = text.split(|&b| b == b'.').next().unwrap_or_default();
    std::str::from_utf8(whole)
        .ok()
        .and_then(|text| text.parse().ok())
        .with_context(|| format!("`{}` is not a time", text.escape_ascii()))
}

pub fn without_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// `<length> <key>=<value>\n`, the length counting itself; values may hold
/// anything, so only the lengths tell where a record ends.
pub fn parse_pax(mut text: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut records = Vec::new();
    while !text.is_empty() {
        let space = text.iter().position(|&b| b == b' ').context("no length")?;
        let length = usize::try_from(sparse::number(&text[..space])?)?;
        ensure!(
            length > space + 1 && length <= text.len() && text[length - 1] == b'\n',
            "a record's length is wrong"
        );
        let record = &text[space + 1..length - 1];
        let equals = record.iter().position(|&b| b == b'=').context("no `=`")?;
        records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
        text = &text[length..];
    }
    Ok(records)
}
