//! A real browser without a window: Debian's Chromium, unpacked under
//! `target/tools` and never installed on the host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Why there is no browser here.
pub const NONE: &str = "no browser: that takes root, and mmdebstrap with a Debian mirror";

/// Makes the root file system under a temporary name, then renames it. Korean
/// needs a font of its own. What is made belongs to whom the folder does.
const UNPACK: &str = r#"set -eu
mkdir -p "$1" && cd "$1"
rm -rf chromium.new
mmdebstrap --mode=root --variant=extract --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --include=chromium-headless-shell,fonts-dejavu-core,fonts-nanum trixie chromium.new
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "chromium.new/$folder"; done
mkdir -p chromium.new/dev chromium.new/proc chromium.new/tmp chromium.new/page
chown -R --no-dereference --reference=. chromium.new
mv chromium.new chromium"#;

/// In namespaces of its own: no network, no mount and no process stays behind.
/// The browser speaks on the descriptors 3 and 4.
const ENTER: &str = r#"set -eu
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2" "$1/page"
export HOME=/tmp LANG=C.UTF-8
exec chroot "$1" /usr/lib/chromium/chromium-headless-shell --no-sandbox --disable-gpu \
    --disable-dev-shm-usage --remote-debugging-pipe --user-data-dir=/tmp/profile \
    3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#;

/// The root file system with the browser in it.
pub struct Chromium(PathBuf);

impl Chromium {
    /// None where it cannot be had.
    pub fn unpacked() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tools = workspace.join("target/tools");
        let root = tools.join("chromium");
        if !root.is_dir() {
            let mut shell = Command::new("sh");
            let made = shell.args(["-c", UNPACK, "sh"]).arg(&tools).output().ok()?;
            if !made.status.success() {
                eprintln!("{}", String::from_utf8_lossy(&made.stderr));
                return None;
            }
        }
        Some(Self(root))
    }

    /// Starts it with `page` as its folder `/page`.
    pub fn start(&self, page: &Path) -> Child {
        fs::metadata(page).unwrap();
        Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-c", ENTER, "sh"])
            .args([&self.0, page])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }
}
