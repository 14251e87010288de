//! A router that speaks PCP and NAT-PMP, or NAT-PMP alone. The numbers are those of RFC 6887 and RFC 6886.

use super::router::{Heard, Mood, Table};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::UdpSocket;

const EPOCH: [u8; 4] = [0, 0, 0, 9];

pub(crate) async fn serve(table: Arc<Table>, socket: UdpSocket, speaks_pcp: bool) {
    let mut packet = [0; 1_100];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
        let asked = &packet[..len];
        let answer = match (asked, speaks_pcp) {
            ([2, ..], true) => pcp(&table, asked, from).await,
            // RFC 6886, 3.5: the version is not supported.
            ([2, op, ..], false) => Some([&[0, op | 0x80, 0, 1], &EPOCH[..]].concat()),
            ([0, ..], _) => nat_pmp(&table, asked, from).await,
            _ => None,
        };
        let answer = match table.mood() {
            Mood::Silent => None,
            Mood::Garbage(bytes) => Some(bytes),
            _ => answer,
        };
        if let Some(answer) = answer {
            socket.send_to(&answer, from).await.unwrap();
        }
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

/// What is forwarded, from where and for how long; none if it is refused.
async fn grant(table: &Table, internal: SocketAddr, seconds: u32) -> Option<(SocketAddr, u32)> {
    match table.mood() {
        _ if seconds == 0 => {
            table.close(|to, _| to == internal);
            None
        }
        Mood::Grants => Some((table.forward(internal, None).await?, seconds)),
        Mood::Lasts(seconds) => Some((table.forward(internal, None).await?, seconds)),
        Mood::Claims(external) => {
            table.forward(internal, None).await?;
            Some((external, seconds))
        }
        Mood::Refuses | Mood::Silent | Mood::Garbage(_) | Mood::Describes(_) | Mood::Says(_) => None,
    }
}

async fn pcp(table: &Table, asked: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    assert_eq!((asked.len(), asked[1]), (60, 1), "a request to map a port");
    let seconds = u32::from_be_bytes(number(asked, 4));
    let client = Ipv6Addr::from(number::<16>(asked, 8)).to_canonical();
    assert_eq!(client, from.ip(), "it is where it says");
    assert_eq!(asked[36], 17, "UDP");
    let port = u16::from_be_bytes(number(asked, 40));
    table.hear(Heard::Pcp { seconds });
    let granted = grant(table, SocketAddr::new(client, port), seconds).await;
    let result = if granted.is_none() && seconds > 0 { 2 } else { 0 };
    let (external, seconds) = granted.unwrap_or(((Ipv6Addr::UNSPECIFIED, 0).into(), seconds));
    let external_ip = match external.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut answer = [&[2, 0x81, 0, result], &seconds.to_be_bytes()[..], &EPOCH, &[0; 12]].concat();
    answer.extend(&asked[24..42]);
    answer.extend(external.port().to_be_bytes());
    answer.extend(external_ip.octets());
    Some(answer)
}

async fn nat_pmp(table: &Table, asked: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let op = asked[1];
    if op == 0 {
        let ip = match table.mood() {
            Mood::Claims(SocketAddr::V4(external)) => *external.ip(),
            _ => table.external,
        };
        return Some([&[0, 0x80, 0, 0], &EPOCH[..], &ip.octets()].concat());
    }
    assert_eq!((asked.len(), op), (12, 1), "a request to map a port of UDP");
    let port = u16::from_be_bytes(number(asked, 4));
    let seconds = u32::from_be_bytes(number(asked, 8));
    table.hear(Heard::NatPmp { seconds });
    let granted = grant(table, SocketAddr::new(from.ip(), port), seconds).await;
    let result = if granted.is_none() && seconds > 0 { 2 } else { 0 };
    let (external, seconds) = granted.map_or((0, 0), |(external, seconds)| (external.port(), seconds));
    let head = [&[0, 0x81, 0, result], &EPOCH[..], &port.to_be_bytes()].concat();
    Some([&head[..], &external.to_be_bytes(), &seconds.to_be_bytes()].concat())
}
