//! The registry as a program of this machine, for runs without the lab.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Child,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::config_yaml;
use crate::{files, project::Project, shell};

/// What CNCF distribution is called by Debian, and by its own authors.
const NAMES: [&str; 2] = ["docker-registry", "registry"];

/// CNCF distribution, as this machine has it.
pub struct Program(PathBuf);

impl Program {
    /// # Errors
    /// When PATH has none: how to get it.
    pub fn find() -> Result<Self> {
        Self::among(shell::find)
    }

    fn among(find: impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        let found = NAMES.into_iter().find_map(find);
        found.map(Self).with_context(|| {
            format!(
                "no registry to pull from: PATH has neither `{}` nor `{}` (CNCF distribution); mend: apt-get install \
                 docker-registry, or go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0; \
                 without one, --sizes-only builds and counts",
                NAMES[0], NAMES[1]
            )
        })
    }

    /// Starts it on an empty folder of its own and waits until it listens at
    /// `address`.
    ///
    /// # Errors
    /// When it ends or does not listen in time: the end of its log.
    pub fn serve(&self, project: &Project, address: SocketAddr) -> Result<Served> {
        let log = project.logs().join("registry.log");
        // A registry's log is about this run; older ones only mislead.
        let _ = fs::remove_file(&log);
        let folder = folder(project)?;
        let config = folder.path().join("config.yml");
        files::write_atomic(&config, config_yaml(&folder.path().join("blobs"), address)?)?;
        let mut command = shell::tied(&self.0);
        command.arg("serve").arg(&config);
        // From version 3 on it would send traces to whoever collects them.
        command.env("OTEL_TRACES_EXPORTER", "none");
        // Its own variables would overrule the file.
        let names = std::env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_string_lossy().starts_with("REGISTRY_")) {
            command.env_remove(name);
        }
        let said = files::append(&log)?;
        command.stdout(said.try_clone()?).stderr(said);
        let mut served = Served {
            child: shell::spawn(&mut command)?,
            _folder: folder,
        };
        shell::wait_until(
            "the registry",
            "does not listen",
            &log,
            || Ok(served.child.try_wait()?.is_some()),
            || TcpStream::connect(address).is_ok(),
        )?;
        Ok(served)
    }
}

/// Where it keeps blobs and configuration; a run that was killed leaves it to
/// the next one, which sweeps such names.
fn folder(project: &Project) -> Result<TempDir> {
    let data = project.lab().join("data");
    files::create_dir_all(&data)?;
    tempfile::Builder::new()
        .prefix(".tmp-registry-")
        .tempdir_in(&data)
        .with_context(|| format!("cannot create a folder in {}", data.display()))
}

/// The running registry; dropping it ends it, and then its folder goes.
pub struct Served {
    child: Child,
    _folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;
    use crate::registry::free_address;

    /// A project whose registry is this shell script.
    fn with_script(script: &str) -> (TempDir, Project, Program) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("experiments")).unwrap();
        let program = folder.path().join("docker-registry");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let project = Project::at(folder.path()).unwrap();
        (folder, project, Program(program))
    }

    #[test]
    fn debians_name_comes_first_and_none_is_told_with_what_mends_it() {
        let found = |there: &[&str]| {
            let find = |name: &str| there.contains(&name).then(|| PathBuf::from(name));
            Program::among(find).map(|program| program.0)
        };
        let both = found(&["registry", "docker-registry"]).unwrap();
        assert_eq!(both, Path::new("docker-registry"));
        assert_eq!(found(&["registry"]).unwrap(), Path::new("registry"));
        let error = found(&[]).unwrap_err().to_string();
        for word in ["mend: apt-get install docker-registry", "--sizes-only"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn one_that_ends_is_told_with_its_words() {
        let (_folder, project, program) = with_script("echo no such option >&2; exit 2");
        let Err(error) = program.serve(&project, free_address().unwrap()) else {
            panic!("it listens");
        };
        let text = format!("{error:#}");
        assert!(
            text.contains("ended") && text.contains("no such option"),
            "{text}"
        );
        let data = fs::read_dir(project.lab().join("data")).unwrap();
        assert_eq!(data.count(), 0, "its folder is left");
    }

    #[test]
    fn it_is_led_to_its_file_and_ends_when_it_is_dropped() {
        let (_folder, project, program) = with_script("echo \"$1 $2\"; exec sleep 60");
        // Somebody listens for it: the script cannot.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = program.serve(&project, address).unwrap();
        let folder = served._folder.path().to_owned();
        let config = fs::read_to_string(folder.join("config.yml")).unwrap();
        assert!(config.contains(&format!("addr: {address}")), "{config}");
        let pid = served.child.id();
        drop(served);
        let mut said = String::new();
        let mut log = fs::File::open(project.logs().join("registry.log")).unwrap();
        log.read_to_string(&mut said).unwrap();
        assert!(!folder.exists() && !Path::new(&format!("/proc/{pid}")).exists());
        // It may have been ended before it said a word.
        let expected = format!("serve {}\n", folder.join("config.yml").display());
        assert!(said.is_empty() || said == expected, "{said}");
    }
}
