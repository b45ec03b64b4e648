//! The lab: Docker engines made from Debian packages, on any Linux box, beside
//! whatever else runs there.
//!
//! An outer namespace holds the unpacked Debian root. Each engine runs in a
//! namespace of its own inside that one, with its own data root, and is reached
//! through its socket by way of /proc. No bridge, no firewall rule, no published
//! port: the host's network is not touched.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    client::Client,
    data_root::DataRoot,
    lock::Lock,
    namespace::{Namespace, Spec, Step},
    rootfs,
    scratch::Scratch,
};
use crate::{files, project::Project, shell};

/// The unpacked Debian root is 0.6 GB; a cap keeps a bug from eating the memory.
const ROOT_BYTES: u64 = 3 << 30;

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// In front of the builder's PATH only: the subject keeps the genuine runc.
const SHIM_FOLDER: &str = "/run/shim";
const CA_BUNDLE: &str = "/run/host-ca.pem";
const SOCKET: &str = "/run/docker.sock";
/// Where the lab's registry keeps its blobs.
pub const REGISTRY_STORAGE: &str = "/var/lib/registry";
/// Where an engine keeps its images.
const DATA_ROOT: &str = "/var/lib/docker";
/// Where the containerd of an engine with that store keeps things: the blobs of
/// pulls under way, whole blobs, unpacked layers.
const CONTAINERD: &str = "/var/lib/docker/containerd/daemon";
const UNFINISHED_BLOBS: &str = "io.containerd.content.v1.content/ingest";
const WHOLE_BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";
const SNAPSHOTS: &str = "io.containerd.snapshotter.v1.overlayfs/snapshots";
const CONTAINERD_SOCKET: &str = "/run/docker/containerd/containerd.sock";
/// Where the builder sees the project, read-only.
pub const PROJECT: &str = "/project";

/// Where distributions keep the CAs that the host trusts.
const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What an engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Builds and pushes; its builds trust the host's CAs.
    Builder,
    /// Pulls and runs, and is measured.
    Subject,
}

/// Where an engine keeps its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Containerd,
    Overlay2,
}

/// The held lab: one at a time per project, by a lock on `target/lab`.
pub struct Lab {
    // Dropped in this order: the engines' outer world first, the lock last.
    outer: Namespace,
    root: PathBuf,
    project: Project,
    _lock: Lock,
}

impl Lab {
    /// Unpacks the Debian root (made first if this project has none yet).
    ///
    /// # Errors
    /// When the root cannot be made or unpacked: the step, its cause, the log.
    pub fn open(project: &Project, lock: Lock) -> Result<Self> {
        let archive = rootfs::prepare(&project.lab(), &project.logs().join("engine-root.log"))?;
        let root = project.lab().join("root");
        files::create_dir_all(&root)?;
        let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let spec = Spec {
            steps: vec![
                Step::Tmpfs {
                    at: root.clone(),
                    size_bytes: ROOT_BYTES,
                    shared: false,
                },
                Step::Unpack {
                    archive,
                    into: root.clone(),
                },
                Step::Write {
                    path: root.join("etc/resolv.conf"),
                    text: resolv,
                    mode: 0o644,
                },
            ],
            ..Spec::default()
        };
        let outer = Namespace::start("the lab", &spec, None, &project.logs().join("lab.log"))?;
        Ok(Self {
            outer,
            root,
            project: project.clone(),
            _lock: lock,
        })
    }

    /// Starts an engine on an empty data root and waits until it answers.
    ///
    /// # Errors
    /// When dockerd ends or does not answer in time: the end of its log.
    pub fn engine(&self, role: Role, store: Store, data_root: DataRoot) -> Result<LabEngine> {
        let name = match role {
            Role::Builder => "builder",
            Role::Subject => "subject",
        };
        let log = self.project.logs().join(format!("{name}.dockerd.log"));
        // An engine's log is about this run; older ones only mislead.
        let _ = fs::remove_file(&log);
        let spec = self.engine_spec(role, store, &data_root)?;
        let mut namespace = Namespace::start(name, &spec, Some(&self.outer), &log)?;
        let socket = namespace.path(SOCKET);
        wait_until(&mut namespace, name, &log, || {
            UnixStream::connect(&socket).is_ok()
        })?;
        let engine = LabEngine {
            client: Client::connect(&socket)?,
            namespace,
            project: self.project.clone(),
            data_root,
        };
        if role == Role::Subject && store == Store::Containerd {
            // A new node has removed nothing, and this one removes every image
            // that it has pulled. containerd may not have come to it yet.
            let snapshots = engine.part(SNAPSHOTS);
            files::create_dir_all(&snapshots)?;
            files::spread(&snapshots)?;
        }
        Ok(engine)
    }

    /// Starts the CNCF distribution registry with the configuration `config`,
    /// its storage an empty tmpfs, and waits until it listens at `address`.
    ///
    /// # Errors
    /// When it ends or does not listen in time: the end of its log.
    pub fn registry(&self, config: &str, address: SocketAddr) -> Result<LabRegistry> {
        let log = self.project.logs().join("registry.log");
        let _ = fs::remove_file(&log);
        let mut spec = Spec {
            steps: self.world(),
            root: Some(self.root.clone()),
            env: vec![("PATH".into(), PATH.into())],
            command: ["docker-registry", "serve", "/run/registry.yml"]
                .map(str::to_owned)
                .to_vec(),
        };
        let storage = DataRoot::choose(None, &self.project.lab().join("data"), 0)?;
        spec.steps
            .push(storage.mount_at(self.root.join(REGISTRY_STORAGE.trim_start_matches('/'))));
        spec.steps.push(Step::Write {
            path: self.root.join("run/registry.yml"),
            text: config.to_owned(),
            mode: 0o644,
        });
        let mut namespace = Namespace::start("registry", &spec, Some(&self.outer), &log)?;
        wait_until(&mut namespace, "registry", &log, || {
            TcpStream::connect(address).is_ok()
        })?;
        Ok(LabRegistry {
            _namespace: namespace,
            _storage: storage,
        })
    }

    /// Runs a shell script in the Debian root, alone, with a tmpfs as /tmp; what
    /// it prints can be read from the namespace.
    pub fn script(
        &self,
        name: &str,
        script: &Path,
        env: &[(&str, &str)],
        log: &Path,
    ) -> Result<Namespace> {
        let text = fs::read_to_string(script)
            .with_context(|| format!("cannot read {}", script.display()))?;
        let mut spec = Spec {
            steps: self.world(),
            root: Some(self.root.clone()),
            env: vec![
                ("PATH".into(), PATH.into()),
                ("HOME".into(), "/root".into()),
            ],
            command: vec!["sh".into(), "/run/script".into()],
        };
        spec.env.extend(shell::proxies());
        spec.env.extend(
            env.iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        spec.steps.push(Step::Tmpfs {
            at: self.root.join("tmp"),
            size_bytes: ROOT_BYTES,
            shared: true,
        });
        spec.steps.push(Step::Write {
            path: self.root.join("run/script"),
            text,
            mode: 0o700,
        });
        Namespace::start(name, &spec, Some(&self.outer), log)
    }

    /// What every namespace with the Debian root as its root needs.
    fn world(&self) -> Vec<Step> {
        let bind = |path: &str| Step::Bind {
            from: Path::new("/").join(path),
            at: self.root.join(path),
            read_only: false,
        };
        vec![
            bind("dev"),
            bind("sys"),
            Step::Proc {
                at: self.root.join("proc"),
            },
            Step::Tmpfs {
                at: self.root.join("run"),
                size_bytes: 256 << 20,
                shared: false,
            },
        ]
    }

    fn engine_spec(&self, role: Role, store: Store, data_root: &DataRoot) -> Result<Spec> {
        let mut spec = Spec {
            steps: self.world(),
            root: Some(self.root.clone()),
            env: vec![("PATH".into(), PATH.into())],
            command: dockerd(),
        };
        spec.steps
            .push(data_root.mount_at(self.root.join(DATA_ROOT.trim_start_matches('/'))));
        spec.steps.push(Step::Write {
            path: self.root.join("run/daemon.json"),
            text: daemon_json(store),
            mode: 0o644,
        });
        if role == Role::Builder {
            self.add_builder_parts(&mut spec)?;
        }
        Ok(spec)
    }

    fn add_builder_parts(&self, spec: &mut Spec) -> Result<()> {
        spec.steps.push(Step::Bind {
            from: self.project.root().to_owned(),
            at: self.root.join(PROJECT.trim_start_matches('/')),
            read_only: true,
        });
        let Some(bundle) = host_ca_bundle() else {
            return Ok(()); // Nothing to trust beyond what the images bring.
        };
        spec.steps.push(Step::Bind {
            from: bundle.canonicalize()?,
            at: self.root.join(CA_BUNDLE.trim_start_matches('/')),
            read_only: true,
        });
        spec.steps.push(Step::Write {
            path: self.root.join("run/shim/runc"),
            text: include_str!("runc-with-host-ca.sh").to_owned(),
            mode: 0o755,
        });
        spec.env = vec![("PATH".into(), format!("{SHIM_FOLDER}:{PATH}"))];
        Ok(())
    }
}

/// The CAs that this host trusts, wherever its distribution keeps them.
pub fn host_ca_bundle() -> Option<PathBuf> {
    std::env::var_os("SSL_CERT_FILE")
        .map(PathBuf::from)
        .into_iter()
        .chain(CA_BUNDLES.iter().map(PathBuf::from))
        .find(|path| path.is_file())
}

fn dockerd() -> Vec<String> {
    [
        "dockerd",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--userland-proxy=false",
        "--config-file=/run/daemon.json",
        "--host=unix:///run/docker.sock",
        "--log-level=warn",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn daemon_json(store: Store) -> String {
    let containerd = store == Store::Containerd;
    serde_json::json!({ "features": { "containerd-snapshotter": containerd } }).to_string()
}

fn wait_until(
    namespace: &mut Namespace,
    name: &str,
    log: &Path,
    ready: impl Fn() -> bool,
) -> Result<()> {
    let ended = || Ok(namespace.exit_code()?.is_some());
    shell::wait_until(
        &format!("the lab's {name}"),
        "does not answer",
        log,
        ended,
        ready,
    )
}

/// The running registry; dropping it ends it, and then its storage goes.
pub struct LabRegistry {
    _namespace: Namespace,
    _storage: DataRoot,
}

/// A running engine of the lab; dropping it ends it and frees its data root.
pub struct LabEngine {
    client: Client,
    // After the namespace that uses it: a disk folder is removed on drop.
    namespace: Namespace,
    project: Project,
    data_root: DataRoot,
}

impl LabEngine {
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Process 1 of the engine's namespace, as the outside numbers it.
    pub fn pid(&self) -> u32 {
        self.namespace.pid()
    }

    /// The engine's socket, as the outside reaches it.
    pub fn socket(&self) -> PathBuf {
        self.namespace.path(SOCKET)
    }

    pub fn data_root(&self) -> &DataRoot {
        &self.data_root
    }

    /// A program of the Debian root, run beside the engine.
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(
            program,
            &[
                ("PATH", PATH),
                ("HOME", "/root"),
                ("SSL_CERT_FILE", CA_BUNDLE),
            ],
        )
    }

    /// Writes everything that the data root's file system holds back to its
    /// device. On tmpfs there is none, and this does nothing.
    pub fn sync_data_root(&self) -> Result<()> {
        let path = self.namespace.path(DATA_ROOT);
        let folder =
            fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        rustix::fs::syncfs(folder).with_context(|| format!("cannot sync {}", path.display()))
    }

    /// Removes what pulls that broke off have left: a later pull would go on from
    /// there, damaged bytes included, and the space stays taken.
    ///
    /// # Errors
    /// When something stays all the same: the next pull would not be cold.
    pub fn forget_unfinished_pulls(&self) -> Result<()> {
        for blob in self.stored(UNFINISHED_BLOBS) {
            files::remove_dir_all(&blob)?;
        }
        if self.is_store_empty() {
            return Ok(());
        }
        // containerd collects garbage when an image goes, and these blobs never
        // became one; the synchronous end of a lease makes it look as well.
        let lease = "collect-garbage";
        self.containerd(&["leases", "create", "--id", lease])?;
        self.containerd(&["leases", "delete", "--sync", lease])?;
        if !self.is_store_empty() {
            bail!("the subject's store still holds something after everything was removed");
        }
        Ok(())
    }

    /// Another store than containerd's has neither folder.
    fn is_store_empty(&self) -> bool {
        [WHOLE_BLOBS, SNAPSHOTS]
            .iter()
            .all(|part| self.stored(part).is_empty())
    }

    fn stored(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.part(part)).into_iter().flatten();
        entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    }

    /// A folder of containerd's store.
    fn part(&self, part: &str) -> PathBuf {
        self.namespace.path(CONTAINERD).join(part)
    }

    fn containerd(&self, words: &[&str]) -> Result<()> {
        let mut ctr = self.command("ctr");
        ctr.args(["--address", CONTAINERD_SOCKET, "--namespace", "moby"]);
        shell::read(ctr.args(words)).map(drop)
    }

    /// An empty folder on the file system of the data root.
    pub fn scratch(&self, name: &str) -> Result<Scratch> {
        Scratch::create(&self.namespace, &format!("{DATA_ROOT}/limits"), name)
    }

    /// Whether the engine finds `program` in its PATH.
    pub fn has(&self, program: &str) -> bool {
        PATH.split(':')
            .any(|folder| self.namespace.path(folder).join(program).exists())
    }

    /// A path of the project as the builder sees it.
    ///
    /// # Errors
    /// When `path` lies outside the project.
    pub fn inside(&self, path: &Path) -> Result<PathBuf> {
        let relative = path.strip_prefix(self.project.root()).with_context(|| {
            format!(
                "{} lies outside the project {}",
                path.display(),
                self.project.root().display()
            )
        })?;
        Ok(Path::new(PROJECT).join(relative))
    }

    /// A file in the engine's own /run, as the outside reaches it.
    pub fn run_file(&self, name: &str) -> PathBuf {
        self.namespace.path("/run").join(name)
    }
}
