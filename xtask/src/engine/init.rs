//! Process 1 of a namespace: prepares the mounts, runs one command, buries the
//! dead, and leaves the moment that its standard input ends.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    mount::{
        MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
    },
    process::{WaitOptions, chroot, getpid, wait},
};

use super::namespace::{Spec, Step};

/// The hidden subcommand under which xtask starts itself as process 1.
pub const SUBCOMMAND: &str = "namespace-init";

/// What process 1 prints when its steps are done.
pub const READY: &str = "ready\n";

/// The body of process 1; the exit code of the command becomes ours.
pub fn run(spec: &str) -> Result<i32> {
    ensure!(getpid().is_init(), "{SUBCOMMAND} is for xtask's own use");
    let spec: Spec = serde_json::from_str(spec)?;
    leave_when_stdin_ends();
    for step in &spec.steps {
        perform(step).with_context(|| format!("cannot prepare {step:?}"))?;
    }
    if let Some(root) = &spec.root {
        chroot(root).with_context(|| format!("cannot enter {}", root.display()))?;
        std::env::set_current_dir("/")?;
    }
    io::stdout().write_all(READY.as_bytes())?;
    io::stdout().flush()?;
    match start(&spec)? {
        Some(command) => reap_until(command),
        None => loop {
            std::thread::park();
        },
    }
}

/// The other end of our standard input is held by the xtask outside and by
/// nobody else; when it goes, so do we, and the kernel ends everything inside.
fn leave_when_stdin_ends() {
    std::thread::spawn(|| {
        let mut byte = [0; 1];
        while matches!(io::stdin().read(&mut byte), Ok(n) if n > 0) {}
        std::process::exit(0)
    });
}

fn perform(step: &Step) -> Result<()> {
    match step {
        Step::Tmpfs {
            at,
            size_bytes,
            shared,
        } => {
            fs::create_dir_all(at)?;
            let mode = if *shared { "1777" } else { "0755" };
            let options = std::ffi::CString::new(format!("size={size_bytes},mode={mode}"))?;
            mount(
                "tmpfs",
                at,
                "tmpfs",
                MountFlags::empty(),
                options.as_c_str(),
            )?;
        }
        Step::Bind {
            from,
            at,
            read_only,
        } => bind(from, at, *read_only)?,
        Step::Proc { at } => {
            fs::create_dir_all(at)?;
            mount("proc", at, "proc", MountFlags::empty(), None)?;
        }
        Step::Unpack { archive, into } => unpack(archive, into)?,
        Step::Write { path, text, mode } => {
            fs::create_dir_all(path.parent().context("a file needs a folder")?)?;
            // A link that the Debian root left at this place must not lead us
            // out of it.
            let _ = fs::remove_file(path);
            fs::write(path, text)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))?;
        }
    }
    Ok(())
}

fn bind(from: &Path, at: &Path, read_only: bool) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(at)?;
    } else {
        fs::create_dir_all(at.parent().context("a mount point needs a folder")?)?;
        fs::File::create(at)?;
    }
    mount_bind_recursive(from, at)?;
    mount_change(
        at,
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    if read_only {
        mount_remount(at, MountFlags::BIND | MountFlags::RDONLY, "")?;
    }
    Ok(())
}

fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let file =
        fs::File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut tar = tar::Archive::new(zstd::Decoder::new(file)?);
    tar.set_preserve_permissions(true);
    tar.set_preserve_ownerships(true);
    tar.set_overwrite(true);
    tar.unpack(into)?;
    Ok(())
}

fn start(spec: &Spec) -> Result<Option<u32>> {
    let Some((program, arguments)) = spec.command.split_first() else {
        return Ok(None);
    };
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(spec.env.iter().cloned())
        // Our standard input is the tether; the command must not drain it.
        .stdin(std::process::Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    Ok(Some(child.id()))
}

/// Collects every orphan of the namespace until `command` itself has ended.
fn reap_until(command: u32) -> Result<i32> {
    loop {
        let Some((pid, status)) = wait(WaitOptions::empty())? else {
            continue;
        };
        if pid.as_raw_nonzero().get() as u32 == command {
            return Ok(status.exit_status().unwrap_or(1));
        }
    }
}
