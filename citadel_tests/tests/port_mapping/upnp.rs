//! A router that speaks UPnP: search, description, control. What it says is shaped as the devices of miniupnpd say it.

use super::router::{Heard, Mood, Table};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

const SERVICE: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";

pub(crate) async fn serve(table: &Arc<Table>, tasks: &mut JoinSet<()>) {
    let search = UdpSocket::bind((table.gateway, 1_900)).await.unwrap();
    let control = TcpListener::bind((table.gateway, 0)).await.unwrap();
    let at = control.local_addr().unwrap();
    table.control.set(at).unwrap();
    tasks.spawn(answer_searches(Arc::clone(table), search, at));
    let table = Arc::clone(table);
    tasks.spawn(async move {
        while let Ok((stream, _)) = control.accept().await {
            // A client that goes away in the middle is no fault of the router.
            let _served = answer(&table, stream).await;
        }
    });
}

async fn answer_searches(table: Arc<Table>, socket: UdpSocket, control: SocketAddr) {
    let mut packet = [0; 1_500];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut packet).await else { continue };
        let asked = String::from_utf8_lossy(&packet[..len]).into_owned();
        assert!(asked.starts_with("M-SEARCH * HTTP/1.1\r\n"), "{asked}");
        table.hear(Heard::Search);
        let others = table.others.lock().clone();
        for (other, names) in others {
            other.send_to(located(names).as_bytes(), from).await.unwrap();
        }
        let answer = match table.mood() {
            Mood::Silent => continue,
            // A router that is somewhere else.
            Mood::Claims(_) => located("127.0.0.1:9".parse().unwrap()),
            _ => located(control),
        };
        socket.send_to(answer.as_bytes(), from).await.unwrap();
    }
}

fn located(at: SocketAddr) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: {SERVICE}\r\nUSN: uuid:1::{SERVICE}\r\nEXT:\r\n\
         SERVER: tests\r\nLOCATION: http://{at}/rootDesc.xml\r\n\r\n"
    )
}

async fn answer(table: &Table, mut stream: TcpStream) -> std::io::Result<()> {
    let (mut asked, mut part) = (Vec::new(), [0; 4_096]);
    let (head, body) = loop {
        let len = stream.read(&mut part).await?;
        asked.extend_from_slice(&part[..len]);
        let text = String::from_utf8_lossy(&asked).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length(head)
        {
            break (head.to_owned(), body.to_owned());
        }
        if len == 0 {
            return Ok(());
        }
    };
    if head.starts_with("GET /rootDesc.xml ") {
        table.hear(Heard::Description);
    }
    let (status, said) = match table.mood() {
        Mood::Describes(bytes) if head.starts_with("GET /rootDesc.xml ") => ("200 OK", bytes),
        Mood::Garbage(bytes) => ("200 OK", bytes),
        _ if head.starts_with("GET /rootDesc.xml ") => ("200 OK", description(&Odd::default())),
        _ if head.starts_with("GET /WANIPCn.xml ") => ("200 OK", actions().into_bytes()),
        _ => act(table, &head, &body).await,
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        said.len()
    );
    stream.write_all(&[head.as_bytes(), &said].concat()).await?;
    stream.shutdown().await
}

fn length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().map_or(0, |(_, length)| length.trim().parse().unwrap())
}

/// The text of an element of a request.
fn field<'a>(body: &'a str, name: &str) -> &'a str {
    let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {body}"));
    rest.split_once('<').unwrap().0
}

async fn act(table: &Table, head: &str, body: &str) -> (&'static str, Vec<u8>) {
    assert!(head.starts_with("POST /ctl/IPConn "), "{head}");
    if body.contains("GetExternalIPAddress") {
        table.hear(Heard::External);
        if let Mood::Says(bytes) = table.mood() {
            return ("200 OK", bytes);
        }
        let ip = format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", table.external);
        return said("GetExternalIPAddress", &ip);
    }
    assert_eq!(field(body, "NewProtocol"), "UDP");
    let external: u16 = field(body, "NewExternalPort").parse().unwrap();
    if body.contains("DeletePortMapping") {
        table.close(|_, from| from.port() == external);
        table.hear(Heard::Upnp { seconds: 0 });
        return said("DeletePortMapping", "");
    }
    let ip = field(body, "NewInternalClient").parse().unwrap();
    let internal = SocketAddr::new(ip, field(body, "NewInternalPort").parse().unwrap());
    assert_eq!(field(body, "NewPortMappingDescription"), "citadel");
    let seconds = field(body, "NewLeaseDuration").parse().unwrap();
    table.hear(Heard::Upnp { seconds });
    match table.mood() {
        Mood::Refuses => fault(606, "Action not authorized"),
        // RFC and devices agree on little else: the port is another one's.
        _ => match table.forward(internal, Some(external)).await {
            Some(_) => said("AddPortMapping", ""),
            None => fault(718, "ConflictInMappingEntry"),
        },
    }
}

fn envelope(body: &str) -> Vec<u8> {
    odd_envelope(&Odd::default(), body)
}

fn odd_envelope(odd: &Odd, body: &str) -> Vec<u8> {
    let Odd { before, declares, holds } = odd;
    format!(
        "<?xml version=\"1.0\"?>\r\n{before}<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"{declares}><s:Body>{body}</s:Body>{holds}</s:Envelope>"
    )
    .into_bytes()
}

/// What a text has besides what it needs: before its root, in the root's tag, in the root.
#[derive(Clone, Default)]
pub(crate) struct Odd {
    pub(crate) before: String,
    pub(crate) declares: String,
    pub(crate) holds: String,
}

/// An address outside, as a router says it that has one.
pub(crate) fn external(odd: &Odd) -> Vec<u8> {
    let ip = "<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress>";
    let name = "u:GetExternalIPAddressResponse";
    odd_envelope(odd, &format!("<{name} xmlns:u=\"{SERVICE}\">{ip}</{name}>"))
}

fn said(action: &str, fields: &str) -> (&'static str, Vec<u8>) {
    let name = format!("u:{action}Response");
    ("200 OK", envelope(&format!("<{name} xmlns:u=\"{SERVICE}\">{fields}</{name}>")))
}

fn fault(code: u16, why: &str) -> (&'static str, Vec<u8>) {
    let error = format!(
        "<UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{why}</errorDescription></UPnPError>"
    );
    let fault = format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>{error}</detail></s:Fault>"
    );
    ("500 Internal Server Error", envelope(&fault))
}

pub(crate) fn description(odd: &Odd) -> Vec<u8> {
    let service = format!(
        "<serviceList><service><serviceType>{SERVICE}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>\
         <SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>/ctl/IPConn</controlURL><eventSubURL>/evt/IPConn</eventSubURL>\
         </service></serviceList>"
    );
    let device = |kind: &str, inner: &str| {
        format!(
            "<device><deviceType>urn:schemas-upnp-org:device:{kind}:1</deviceType><friendlyName>{kind}</friendlyName>\
             <UDN>uuid:1</UDN>{inner}</device>"
        )
    };
    let list = |device: String| format!("<deviceList>{device}</deviceList>");
    let connection = device("WANConnectionDevice", &service);
    let wan = device("WANDevice", &list(connection));
    let root = device("InternetGatewayDevice", &list(wan));
    let Odd { before, declares, holds } = odd;
    format!(
        "<?xml version=\"1.0\"?>{before}<root xmlns=\"urn:schemas-upnp-org:device-1-0\"{declares}>\
         <specVersion><major>1</major><minor>0</minor></specVersion>{root}{holds}</root>"
    )
    .into_bytes()
}

fn actions() -> String {
    let action = |name: &str, arguments: &[&str]| {
        let arguments: String = arguments
            .iter()
            .map(|name| format!("<argument><name>{name}</name><direction>in</direction></argument>"))
            .collect();
        format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
    };
    let add = [
        "NewRemoteHost",
        "NewExternalPort",
        "NewProtocol",
        "NewInternalPort",
        "NewInternalClient",
        "NewEnabled",
        "NewPortMappingDescription",
        "NewLeaseDuration",
    ];
    format!(
        "<?xml version=\"1.0\"?><scpd xmlns=\"urn:schemas-upnp-org:service-1-0\"><actionList>{}{}</actionList></scpd>",
        action("AddPortMapping", &add),
        action("DeletePortMapping", &add[..3]),
    )
}
