//! Looking names up, as a program that brings its own resolver does and as the
//! image's C library does: one name that stands in the hosts file, and one that
//! only a DNS server knows. The engine was told to add the one to the hosts file,
//! and to name 127.0.0.1 as the server; that server is played here.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::Duration,
};

use super::{Answer, programs::said};

/// A name and its address.
type Known = (&'static str, Ipv4Addr);

pub const IN_HOSTS: Known = ("in-hosts.test", Ipv4Addr::new(192, 0, 2, 1));
pub const ON_SERVER: Known = ("on-server.test", Ipv4Addr::new(192, 0, 2, 2));

const PORT: u16 = 53;
/// What an unencrypted DNS packet is at most.
const PACKET_BYTES: usize = 512;
/// A server on the loopback answers within a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

// RFC 1035, sections 3.2 and 4.1.
const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

const NO_SERVER: &str = "no server can be played on port 53";

/// As a static Go program does it: `/etc/hosts` and the servers of
/// `/etc/resolv.conf`, as far as the image's `/etc/nsswitch.conf` lets it.
pub fn own_lookup() -> Answer {
    if !is_served() {
        return Answer::unknown(NO_SERVER);
    }
    let order = Order::read(&text_of("/etc/nsswitch.conf"));
    let found = [IN_HOSTS, ON_SERVER].map(|(name, address)| {
        let found = look_up(name, &order, &text_of("/etc/hosts"), |name| {
            let servers = servers(&text_of("/etc/resolv.conf"));
            servers
                .into_iter()
                .find_map(|server| ask(server, name).ok()?)
        });
        found == Some(address)
    });
    told(found, &order.detail())
}

/// As the C library does it, which a program of the image has to be asked for.
pub fn libc_lookup() -> Answer {
    let Some(libc) = c_library() else {
        return Answer::no("no C library");
    };
    if !is_served() {
        return Answer::unknown(NO_SERVER);
    }
    let found = [IN_HOSTS, ON_SERVER].map(|(name, address)| {
        let said = said("getent", &["hosts", name])?;
        Some(said.text.contains(&address.to_string()))
    });
    match found {
        [Some(hosts), Some(server)] => told([hosts, server], &format!("getent of {libc}")),
        _ => Answer::unknown(format!("{libc}, and no getent to ask it with")),
    }
}

fn told(found: [bool; 2], by: &str) -> Answer {
    let what = match found {
        [true, true] => "hosts file and DNS server",
        [true, false] => "the hosts file alone",
        [false, true] => "the DNS server alone",
        [false, false] => "neither hosts file nor DNS server",
    };
    Answer::yes_if(found == [true, true], format!("{what}; {by}"))
}

/// Where the image wants names looked up: the words of the `hosts:` line.
struct Order(Option<Vec<String>>);

impl Order {
    fn read(nsswitch_conf: &str) -> Self {
        let words = nsswitch_conf.lines().find_map(|line| {
            let (database, words) = line.split('#').next()?.split_once(':')?;
            (database.trim() == "hosts").then_some(words)
        });
        let words: Vec<String> = words
            .into_iter()
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect();
        Self((!words.is_empty()).then_some(words))
    }

    /// Without a line it is `files dns`.
    fn has(&self, source: &str) -> bool {
        let Self(words) = self;
        words
            .as_ref()
            .is_none_or(|words| words.iter().any(|word| word == source))
    }

    fn detail(&self) -> String {
        match &self.0 {
            Some(words) => format!("nsswitch.conf: {}", words.join(" ")),
            None => "no nsswitch.conf".to_owned(),
        }
    }
}

fn text_of(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn look_up(
    name: &str,
    order: &Order,
    hosts: &str,
    on_servers: impl FnOnce(&str) -> Option<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let in_file = order.has("files").then(|| in_hosts(hosts, name)).flatten();
    in_file.or_else(|| order.has("dns").then(|| on_servers(name)).flatten())
}

fn in_hosts(hosts: &str, name: &str) -> Option<Ipv4Addr> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word == name).then_some(address)
    })
}

fn servers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next())?
    });
    lines.filter_map(|address| address.parse().ok()).collect()
}

/// Asks a server for the address of a name; none where it knows no such name.
fn ask(server: IpAddr, name: &str) -> io::Result<Option<Ipv4Addr>> {
    let local: IpAddr = match server {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((server, PORT))?;
    socket.send(&query(name))?;
    let mut reply = [0; PACKET_BYTES];
    let bytes = socket.recv(&mut reply)?;
    Ok(address_in(&reply[..bytes]))
}

fn query(name: &str) -> Vec<u8> {
    // An id, and that recursion is desired; one question.
    let mut packet = vec![0x62, 0x69, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.bytes());
    }
    packet.push(0);
    packet.extend(TYPE_A.to_be_bytes());
    packet.extend(CLASS_IN.to_be_bytes());
    packet
}

/// The address in a reply of the server below, which gives one and gives it last.
fn address_in(reply: &[u8]) -> Option<Ipv4Addr> {
    let answers = u16_at(reply, 6)?;
    let address: [u8; 4] = *reply.last_chunk()?;
    (answers == 1).then(|| address.into())
}

/// Whether the server is there, which is started by who asks first.
fn is_served() -> bool {
    static SERVED: OnceLock<bool> = OnceLock::new();
    *SERVED.get_or_init(|| serve().is_ok())
}

/// Answers on a thread that ends with the program.
fn serve() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, PORT))?;
    thread::spawn(move || {
        let mut query = [0; PACKET_BYTES];
        while let Ok((bytes, from)) = socket.recv_from(&mut query) {
            if let Some(reply) = reply(&query[..bytes]) {
                let _ = socket.send_to(&reply, from);
            }
        }
    });
    Ok(())
}

/// What the server says: it knows one name, and one address of it.
fn reply(query: &[u8]) -> Option<Vec<u8>> {
    let (name, kind, end) = question(query)?;
    let (known, address) = ON_SERVER;
    let is_known = name.eq_ignore_ascii_case(known);
    let has_address = is_known && kind == TYPE_A;
    let mut reply = query[..2].to_vec();
    // A reply, to whom recursion was desired and is available; no such name, or
    // no error; one question, and the answers to it.
    reply.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1]);
    reply.extend([0, u8::from(has_address), 0, 0, 0, 0]);
    reply.extend(&query[HEADER_BYTES..end]);
    if has_address {
        // Of the name in the question, for a minute, four bytes.
        reply.extend([0xc0, HEADER_BYTES as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The name and type that a query asks for, and where its question ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut at) = (Vec::new(), HEADER_BYTES);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        at += length;
    }
    let end = at + 4;
    query.get(..end)?;
    Some((labels.join("."), u16_at(query, at)?, end))
}

fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// Which C library dynamic programs of the image find.
fn c_library() -> Option<&'static str> {
    let folders = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].map(Path::new);
    let mut files: Vec<(String, PathBuf)> = folders.into_iter().flat_map(entries).collect();
    // Debian has a folder for each architecture.
    let of_architecture = files
        .iter()
        .filter(|(name, _)| name.ends_with("-linux-gnu"));
    let below: Vec<_> = of_architecture
        .flat_map(|(_, path)| entries(path))
        .collect();
    files.extend(below);
    let has = |is_it: fn(&str) -> bool| files.iter().any(|(name, _)| is_it(name));
    if has(|name| name == "libc.so.6") {
        Some("glibc")
    } else if has(|name| name.starts_with("ld-musl-")) {
        Some("musl")
    } else {
        None
    }
}

/// What lies in a folder, by its name; nothing where there is none.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, entry.path())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_gives_the_first_line_with_the_name() {
        let hosts =
            "# 192.0.2.9 a.test\n::1 a.test\n192.0.2.1\tb.test a.test # c.test\n192.0.2.2 a.test";
        assert_eq!(in_hosts(hosts, "a.test"), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(in_hosts(hosts, "c.test"), None);
    }

    #[test]
    fn only_what_the_hosts_line_names_is_asked() {
        let found = |nsswitch_conf: &str| {
            let order = Order::read(nsswitch_conf);
            let look_up = |name| look_up(name, &order, "192.0.2.1 a.test", |_| Some(ON_SERVER.1));
            ["a.test", "b.test"].map(|name| look_up(name).map(|address| address.octets()[3]))
        };
        let default = [Some(1), Some(2)];
        for file in ["", "passwd: files\n", "#hosts: files\n", "hosts:\n"] {
            assert_eq!(found(file), default, "{file}");
        }
        let actions = "passwd: db\n hosts :\tresolve [!UNAVAIL=return] files dns # all\n";
        assert_eq!(found(actions), default);
        assert_eq!(found("hosts: files # dns"), [Some(1), None]);
        assert_eq!(found("hosts: dns"), [Some(2), Some(2)]);
        assert_eq!(found("hosts: myhostname"), [None, None]);
    }

    #[test]
    fn the_detail_is_the_line_as_it_counts() {
        let of = |text| Order::read(text).detail();
        assert_eq!(of("hosts:\tfiles  dns # x"), "nsswitch.conf: files dns");
        assert_eq!(of(""), "no nsswitch.conf");
    }

    #[test]
    fn servers_are_read_in_their_order() {
        let conf = "# nameserver 192.0.2.9\nsearch a\nnameserver 127.0.0.1\nnameserver ::1\nnameserver x\n";
        assert_eq!(
            servers(conf),
            [
                "127.0.0.1".parse::<IpAddr>().unwrap(),
                "::1".parse().unwrap()
            ]
        );
        assert!(servers("").is_empty());
    }

    #[test]
    fn the_server_knows_one_address_of_one_name() {
        let answer = |query: &[u8]| reply(query).unwrap();
        let known = answer(&query("On-Server.test"));
        assert_eq!(address_in(&known), Some(ON_SERVER.1));
        assert_eq!(known[..2], [0x62, 0x69], "the id of the query");
        // Its other addresses are none, which is not that there is no such name.
        let mut other = query(ON_SERVER.0);
        let kind = other.len() - 3;
        other[kind] = 28;
        assert_eq!(
            (address_in(&answer(&other)), answer(&other)[3]),
            (None, 0x80)
        );
        let unknown = answer(&query("other.test"));
        assert_eq!((address_in(&unknown), unknown[3]), (None, 0x83));
        for bytes in 0..query("a.test").len() {
            assert_eq!(reply(&query("a.test")[..bytes]), None, "{bytes}");
        }
    }

    #[test]
    fn both_names_have_to_be_found() {
        let of = |found| told(found, "how").to_string();
        assert_eq!(of([true, true]), "yes\thosts file and DNS server; how");
        assert_eq!(of([true, false]), "no\tthe hosts file alone; how");
        assert_eq!(
            of([false, false]),
            "no\tneither hosts file nor DNS server; how"
        );
    }
}
