//! What a kernel needs beside a file to execute it.

use anyhow::Result;
use object::{
    Endianness,
    elf::{FileHeader32, FileHeader64},
    read::elf::{FileHeader, ProgramHeader as _},
};

use super::{
    Layout,
    walk::{Place, Walk},
};

/// Linkers put the program headers and the loader's name at the front; Linux
/// itself reads no more than 256 bytes of a script's first line.
const HEAD_BYTES: usize = 64 * 1024;
const SCRIPT_LINE_BYTES: usize = 256;

/// Linux executes no file whose loader has a longer name.
const LOADER_NAME_BYTES: usize = 4096;

/// How a file is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// By itself.
    Static,
    /// Through a dynamic loader: this one, and its libraries.
    Dynamic(String),
    /// By another program.
    Script(String),
    /// Neither an ELF file nor a script.
    Unknown,
}

impl Program {
    /// Looks at the first bytes of a file in the image, for which its layer is
    /// inflated up to there.
    ///
    /// # Errors
    /// When the layer cannot be read.
    pub fn read(layout: &Layout, walk: &Walk, file: Place) -> Result<Self> {
        let mut head = Head(Vec::new());
        walk.copy_file(layout, file, &mut head)?;
        Ok(Self::of(&head.0))
    }

    fn of(head: &[u8]) -> Self {
        if let Some(line) = head.strip_prefix(b"#!") {
            let line = &line[..line.len().min(SCRIPT_LINE_BYTES)];
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let text = String::from_utf8_lossy(line);
            let mut words = text.split_ascii_whitespace();
            return Self::Script(words.next().unwrap_or_default().to_owned());
        }
        let elf = loader::<FileHeader64<Endianness>>(head);
        match elf.or_else(|| loader::<FileHeader32<Endianness>>(head)) {
            None => Self::Unknown,
            Some(None) => Self::Static,
            Some(Some(loader)) => Self::Dynamic(loader),
        }
    }
}

/// `None` for what is no ELF file of that class; `Some(None)` for one that asks
/// for no loader.
fn loader<E: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<Option<String>> {
    let header = E::parse(head).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, head).ok()? {
        if let Some(name) = segment.interpreter(endian, head).ok()? {
            if name.len() > LOADER_NAME_BYTES {
                return None;
            }
            return Some(Some(String::from_utf8_lossy(name).into_owned()));
        }
    }
    Some(None)
}

/// Keeps the beginning of what is written to it.
struct Head(Vec<u8>);

impl std::io::Write for Head {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let room = HEAD_BYTES.saturating_sub(self.0.len());
        self.0.extend(&buffer[..buffer.len().min(room)]);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian ELF64 file of one segment of this type, whose contents
    /// are `name`.
    fn elf(segment_type: u32, name: &[u8]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        // Type, machine, version; entry, program and section headers' offsets.
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for offset in [0_u64, 64, 0] {
            file.extend(offset.to_le_bytes());
        }
        file.extend([0; 4]);
        for half in [64_u16, 56, 1, 0, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        file.extend(segment_type.to_le_bytes());
        file.extend([0; 4]);
        for word in [120, 0, 0, name.len() as u64, 0, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend(name);
        file
    }

    #[test]
    fn what_a_file_needs_stands_at_its_beginning() {
        let here = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let test_program = Program::of(&here[..here.len().min(HEAD_BYTES)]);
        assert!(
            matches!(&test_program, Program::Dynamic(loader) if loader.contains("ld"))
                || cfg!(target_feature = "crt-static"),
            "{test_program:?}"
        );
        for (head, expected) in [
            (
                elf(3, b"/lib/ld.so\0"),
                Program::Dynamic("/lib/ld.so".to_owned()),
            ),
            (elf(1, b""), Program::Static),
            (
                b"#! /bin/sh -e\necho".to_vec(),
                Program::Script("/bin/sh".to_owned()),
            ),
            (b"#!".to_vec(), Program::Script(String::new())),
            (b"plain text".to_vec(), Program::Unknown),
            (Vec::new(), Program::Unknown),
            (elf(3, b"no end"), Program::Unknown),
            (elf(3, b"/lib/ld.so\0")[..100].to_vec(), Program::Unknown),
        ] {
            assert_eq!(Program::of(&head), expected);
        }
    }
}
