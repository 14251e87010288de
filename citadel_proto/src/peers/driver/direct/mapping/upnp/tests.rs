//! What counts of a router's words, one by one.

use super::text::{MAX_TEXT, SECOND, check, service};
use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const FIRST: &str = "urn:schemas-upnp-org:service:WANIPConnection:1";
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

fn description(base: &str, kind: &str, control: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\">{base}<device><serviceList>\
         <service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/l3</controlURL>\
         </service><service><serviceType>{kind}</serviceType><SCPDURL>/x.xml</SCPDURL><controlURL>{control}</controlURL>\
         </service></serviceList></device></root>"
    )
}

#[test]
fn fix_0083_a_text_that_would_take_more_memory_than_it_has_is_not_read() {
    let spaces = |count: usize| (0..count).map(|n| format!(" xmlns:a{n}='b'")).collect::<String>();
    let children = "<a/>".repeat(100_000);
    for text in [
        format!("<r{}>{}</r>", spaces(3_000), "<a/>".repeat(1_000)),
        format!("<r{}>{children}</r>", spaces(3_000)),
        format!("<r{}/>", spaces(17)),
        // One alone, and long: each element has a copy of it.
        format!("<r xmlns='{}'>{}</r>", "b".repeat(30_000), "<a/>".repeat(1_000)),
        format!("<r xmlns\n=\n\"{}\"/>", "b".repeat(1_100)),
        "<r xmlns='b/>".to_owned(),
        "<r>".repeat(2_049),
        format!("<!DOCTYPE r [<!ENTITY e \"{}\">]><r>&e;&e;</r>", "b".repeat(100)),
        "<!doctype r><r/>".to_owned(),
        "<!EnTiTy e 'b'><r/>".to_owned(),
        format!("<r>{}</r>", "b".repeat(MAX_TEXT)),
        // UTF-16, which is well-formed UTF-8 as well.
        "<!DOCTYPE r><r/>".chars().flat_map(|letter| [letter, '\0']).collect(),
    ] {
        assert!(check(&text).is_err(), "{:.80}", text);
    }
}

#[test]
fn fix_0083_what_routers_say_is_read() {
    for text in [
        description("", FIRST, "/ctl"),
        format!("<r{}/>", " xmlns:a=\"urn:schemas-upnp-org:device-1-0\"".repeat(16)),
        format!("<r>{}</r>", "b".repeat(MAX_TEXT - 7)),
    ] {
        assert_eq!(check(&text), Ok(()), "{text:.80}");
    }
}

#[test]
fn fix_0083_an_answer_counts_if_it_names_the_address_that_it_comes_from() {
    let at = |location: &str| {
        let answer = format!("HTTP/1.1 200 OK\r\nST: x\r\nLocation: {location}\r\nEXT:\r\n\r\n");
        self::location(answer.as_bytes(), ROUTER).map(String::from)
    };
    for own in ["http://192.168.1.1:5000/desc.xml?a=b", "http://192.168.1.1/"] {
        assert_eq!(at(own).as_deref(), Some(own));
    }
    for other in [
        "http://192.168.1.2:5000/desc.xml",
        "http://router:5000/desc.xml",
        "http://[::1]:5000/desc.xml",
        "http://[::ffff:192.168.1.1]/desc.xml",
        "https://192.168.1.1/desc.xml",
        "http://192.168.1.1:0/desc.xml",
        "http://user@192.168.1.1/desc.xml",
        "http://192.168.1.1@192.168.1.2/desc.xml",
        "file:///etc/passwd",
        "/desc.xml",
        "",
    ] {
        assert_eq!(at(other), None, "{other}");
    }
    assert_eq!(location(b"HTTP/1.1 200 OK\r\n\r\n", ROUTER), None);
    assert_eq!(location(&[0xff; 40], ROUTER), None);
    let long = format!("LOCATION: http://192.168.1.1/\r\n{}", "a".repeat(1_500));
    assert_eq!(location(long.as_bytes(), ROUTER), None, "longer than a packet");
}

#[test]
fn fix_0083_a_router_is_asked_where_its_description_is_and_nowhere_else() {
    let described_at = Url::parse("http://192.168.1.1:5000/a/desc.xml").unwrap();
    let asked = |base: &str, control: &str| {
        let (kind, control) = service(&description(base, FIRST, control))?.resolved(&described_at)?;
        assert_eq!(kind, FIRST);
        Some(control.to_string())
    };
    for (base, control, at) in [
        ("", "/ctl/IPConn", "http://192.168.1.1:5000/ctl/IPConn"),
        ("", " ctl?a=b\n", "http://192.168.1.1:5000/a/ctl?a=b"),
        ("", "http://192.168.1.1:5000/ctl", "http://192.168.1.1:5000/ctl"),
        ("<URLBase>http://192.168.1.1:5000/b/</URLBase>", "ctl", "http://192.168.1.1:5000/b/ctl"),
        ("<URLBase/>", "<![CDATA[/ctl]]>", "http://192.168.1.1:5000/ctl"),
    ] {
        assert_eq!(asked(base, control).as_deref(), Some(at));
    }
    for (base, control) in [
        ("", ""),
        ("", "http://192.168.1.1:5001/ctl"),
        ("", "http://192.168.1.2:5000/ctl"),
        ("", "https://192.168.1.1:5000/ctl"),
        ("", "//192.168.1.2:5000/ctl"),
        ("", "/\\192.168.1.2:5000/ctl"),
        ("<URLBase>http://192.168.1.2:5000/</URLBase>", "/ctl"),
    ] {
        assert_eq!(asked(base, control), None, "{base} {control}");
    }
    assert_eq!(service(&description("", "urn:schemas-upnp-org:service:WANIPConnection:3", "/ctl")), None);
    for broken in ["", "<root/>", "<root><service>", "words"] {
        assert_eq!(service(broken), None, "{broken}");
    }
}

#[test]
fn any_port_is_asked_for_where_the_standard_has_it() {
    let names = |service: &str| {
        let mut names: Vec<String> = actions(service).into_keys().collect();
        names.sort();
        names
    };
    assert_eq!(names(FIRST), ["AddPortMapping", "DeletePortMapping"]);
    assert_eq!(names(SECOND), ["AddAnyPortMapping", "AddPortMapping", "DeletePortMapping"]);
}

/// What comes of an answer of these bytes.
async fn answered(answer: Vec<u8>) -> Result<String, igd_next::RequestError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(at) = listener.local_addr().unwrap() else { unreachable!("it is bound to IPv4") };
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4_096];
        let _len = stream.read(&mut asked).await.unwrap();
        // Who has heard enough goes away.
        let _written = stream.write_all(&answer).await;
    };
    futures::future::join(serving, http::fetched(at, "/desc.xml")).await.1
}

#[tokio::test]
async fn fix_0083_of_an_answer_no_more_is_taken_than_there_may_be() {
    let with = |head: &str, body: &[u8]| [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat();
    assert_eq!(answered(with("200 OK\r\nContent-Length: 4", b"<a/>")).await.unwrap(), "<a/>");
    assert_eq!(answered(with("200 OK\r\nConnection: close", b"<a/>")).await.unwrap(), "<a/>");
    let chunked = with("200 OK\r\nTransfer-Encoding: chunked", b"4\r\n<a/>\r\n0\r\n\r\n");
    assert_eq!(answered(chunked).await.unwrap(), "<a/>");
    for refused in [
        with("200 OK", &vec![b'a'; MAX_TEXT + 1]),
        with("200 OK", &[0xff; 8]),
        with("200 OK", b"<!DOCTYPE r><r/>"),
        with("404 Not Found\r\nContent-Length: 4", b"<a/>"),
        with("302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0", b""),
        with(&format!("200 OK\r\n{}", "A: b\r\n".repeat(100)), b"<a/>"),
        with(&format!("200 OK\r\nA: {}", "b".repeat(1 << 20)), b"<a/>"),
        b"garbage\r\n\r\n".to_vec(),
        Vec::new(),
    ] {
        assert!(answered(refused.clone()).await.is_err(), "{:.80}", String::from_utf8_lossy(&refused));
    }
}
