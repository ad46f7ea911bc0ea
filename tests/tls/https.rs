//! HTTPS: certificates and their renewal, callers that cannot be served, answers that are lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::common::{BACK, FRONT, Rig, device};
use crate::papers::{Authority, Files, Papers, mode};

const HOST: &[&str] = &["127.0.0.1"];
const CREATE: &str = "/access_codes/create_multiple";
/// More than any of these tests takes.
const SOON: Duration = Duration::from_secs(20);

/// A gateway that serves HTTPS, and the authority that vouches for it.
struct Scene {
    papers: Papers,
    authority: Authority,
    ca: PathBuf,
    files: Files,
    rig: Rig,
}

impl Scene {
    fn set() -> Scene {
        let mut scene = Scene::planned("");
        scene.rig.run();
        scene
    }

    /// One whose gateway does not run yet, with further lines for `[http]`.
    fn planned(more: &str) -> Scene {
        let (papers, authority) = (Papers::new(), Authority::new());
        let ca = papers.file("ca.crt", &authority.pem);
        let files = authority.issue(HOST).into_files(&papers, "gateway");
        let rig = Rig::new(&[
            device(FRONT, "Front door", "slots", ""),
            device(BACK, "Back door", "slots", ""),
        ]);
        let config = std::fs::read_to_string(rig.config()).unwrap();
        let (cert, key) = (files.cert.display(), files.key.display());
        let lines = format!("[http]\ntls_cert = \"{cert}\"\ntls_key = \"{key}\"\n{more}\n");
        std::fs::write(rig.config(), config.replace("[http]\n", &lines)).unwrap();
        Scene {
            papers,
            authority,
            ca,
            files,
            rig,
        }
    }

    /// A call with curl; what curl says if there is no answer.
    fn call(&self, ca: &Path, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--request",
                method,
            ])
            .arg("--cacert")
            .arg(ca)
            .args(["--header", &format!("authorization: Bearer {}", self.rig.key)])
            .args(["--header", "content-type: application/json", "--data", body])
            .arg(format!("https://{}{path}", self.rig.address()))
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    #[track_caller]
    fn ok(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.call(&self.ca, method, path, body).unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        answer
    }

    fn is_trusted(&self, ca: &Path) -> bool {
        match self.call(ca, "GET", "/health", "") {
            Ok(_) => true,
            Err(why) => {
                assert!(why.contains("SSL certificate problem"), "{why}");
                false
            }
        }
    }

    /// How many codes of a name the front door has.
    fn named(&self, name: &str) -> usize {
        let body = json!({"device_id": FRONT}).to_string();
        let listed = self.ok("POST", "/access_codes/list", &body);
        let codes = listed["access_codes"].as_array().unwrap();
        codes.iter().filter(|code| code["name"] == name).count()
    }

    /// A caller of its own, who has been greeted.
    fn caller(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.ca).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(self.rig.address()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        // What is written is there at once, not when what came before it was acknowledged.
        socket.set_nodelay(true).unwrap();
        let mut caller = StreamOwned::new(client, socket);
        caller.conn.complete_io(&mut caller.sock).unwrap();
        caller
    }
}

#[test]
fn everything_is_served_over_https_and_the_command_line_is_as_it_was() {
    let mut scene = Scene::set();
    let ready = scene.rig.says(1, "ready");
    assert!(ready.contains("https://127.0.0.1:"), "{ready}");
    let body = json!({"device_ids": [FRONT, BACK], "name": "Jane"}).to_string();
    let made = scene.ok("POST", CREATE, &body);
    assert_eq!(made["access_codes"].as_array().map(Vec::len), Some(2));
    assert!(scene.rig.told(&["codes"]).contains("Jane"));
    let strangers = scene
        .papers
        .file("stranger.crt", &Authority::named("A stranger").pem);
    assert!(!scene.is_trusted(&strangers));
    scene
        .rig
        .says(1, "it does not accept our certificate (UnknownCA)");
    assert!(scene.rig.terminate().success());
}

/// What stands for a key goes over TLS alone, where there is TLS.
#[test]
fn the_cookie_of_the_page_is_never_sent_in_the_clear() {
    let scene = Scene::set();
    let body = json!({"api_key": scene.rig.key}).to_string();
    let mut caller = scene.caller();
    let request = format!(
        "POST /lockbridge/v1/session HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\norigin: https://127.0.0.1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(request.as_bytes()).unwrap();
    let mut told = String::new();
    // Whether the connection is then ended as TLS has it is another matter.
    let _ = caller.read_to_string(&mut told);
    let cookie = told.lines().find(|line| line.starts_with("set-cookie: "));
    let cookie = cookie.unwrap_or_else(|| panic!("{told}"));
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
    assert!(
        cookie.contains(" __Host-lockbridge_session_") && cookie.contains("; Path=/;"),
        "{cookie}"
    );
}

#[test]
fn a_new_certificate_is_served_after_sighup_and_a_broken_one_is_not() {
    let scene = Scene::set();
    let newer = Authority::named("The next authority");
    let new_ca = scene.papers.file("new.crt", &newer.pem);
    assert!(scene.is_trusted(&scene.ca) && !scene.is_trusted(&new_ca));

    newer.issue(HOST).into_files(&scene.papers, "gateway");
    assert!(
        scene.is_trusted(&scene.ca),
        "nobody has asked for the new one yet"
    );
    scene.rig.signal("HUP");
    scene.rig.says(1, "new callers see the certificate as it is now");
    assert!(scene.is_trusted(&new_ca) && !scene.is_trusted(&scene.ca));

    // A key that belongs to another certificate, and then no certificate at all.
    scene.papers.file("gateway.key", &scene.authority.issue(HOST).key);
    scene.rig.signal("HUP");
    let line = scene.rig.says(1, "the old certificate stays");
    assert!(
        line.contains("is not the key of the first certificate in"),
        "{line}"
    );
    scene.papers.file("gateway.crt", "");
    scene.rig.signal("HUP");
    let line = scene.rig.says(2, "the old certificate stays");
    assert!(line.contains("gateway.crt holds no certificate"), "{line}");
    assert!(scene.is_trusted(&new_ca) && !scene.is_trusted(&scene.ca));
}

#[test]
fn sighup_does_no_harm_without_tls() {
    let rig = Rig::start(&[device(FRONT, "Front door", "slots", "")]);
    rig.signal("HUP");
    rig.says(1, "the configuration is the same");
    assert_eq!(rig.get("/health").status, 200);
}

#[test]
fn files_that_cannot_be_used_are_an_error_of_the_configuration() {
    let scene = Scene::planned("");
    let good = scene.authority.issue(HOST);
    let Files { cert, key } = &scene.files;
    let path = cert.display();
    let locked = Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-aes256", "-pass", "pass:secret"])
        .output()
        .unwrap();
    let encrypted = String::from_utf8(locked.stdout).unwrap();
    let half = good.cert.split("-----END").next().unwrap();
    let cases: [(&Path, Option<&str>, &str); 7] = [
        (cert, None, &format!("`tls_cert` in [http]: {path}: No such file")),
        (cert, Some(""), "gateway.crt holds no certificate"),
        (cert, Some(&good.key), "gateway.crt holds no certificate"),
        (cert, Some(half), "gateway.crt is not PEM as it should be"),
        (key, Some(&good.cert), "gateway.key holds no private key"),
        (key, Some(&encrypted), "without a password"),
        (
            key,
            Some(&good.key),
            &format!(
                "`tls_key` in [http]: {} is not the key of the first certificate in {path}",
                key.display()
            ),
        ),
    ];
    for (file, broken, says) in cases {
        let whole = std::fs::read_to_string(file).unwrap();
        match broken {
            Some(text) => std::fs::write(file, text).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
        let ended = scene.rig.command(&["run"]);
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(
            ended.status.code() == Some(2) && told.contains(says),
            "{says}: {told}"
        );
        assert!(!told.contains(good.key.lines().nth(1).unwrap()), "{told}");
        std::fs::write(file, whole).unwrap();
    }
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let mut scene = Scene::planned("");
    mode(&scene.files.key, 0o644);
    scene.rig.run();
    let warning = scene.rig.says(1, "every user of this machine can read");
    assert!(
        warning.contains("WARN") && warning.contains("chmod o="),
        "{warning}"
    );
}

#[test]
fn callers_that_speak_something_else_are_refused_with_a_reason() {
    let scene = Scene::set();
    let old = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_1",
            "-cipher",
            "DEFAULT@SECLEVEL=0",
            "-connect",
            scene.rig.address(),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!old.status.success(), "{old:?}");
    let line = scene.rig.says(1, "it offers neither TLS 1.2 nor 1.3");
    assert!(
        line.contains("WARN") && line.contains("from=127.0.0.1:"),
        "{line}"
    );

    let mut plain = TcpStream::connect(scene.rig.address()).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    plain
        .write_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    // It may be told so in TLS, or only see the end.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"));
    scene.rig.says(1, "what it sends is not TLS");
    scene.ok("POST", "/devices/list", "{}");
}

#[test]
fn who_says_nothing_holds_up_nobody() {
    let mut scene = Scene::planned("");
    scene.rig.run();
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(scene.rig.address()).unwrap())
        .collect();
    scene.ok("POST", "/devices/list", "{}");
    // Nor is the end held up.
    assert!(scene.rig.terminate().success());
    assert!(!scene.rig.log().contains("kept their connections open"));
    drop(silent);
}

#[test]
fn who_says_nothing_gives_its_place_up_in_time() {
    let mut scene = Scene::planned("timeout = \"1s\"");
    scene.rig.run();
    // More than there are places.
    let mut silent: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(scene.rig.address()).unwrap())
        .collect();
    scene.ok("POST", "/devices/list", "{}");
    silent[0].set_read_timeout(Some(SOON)).unwrap();
    assert!(matches!(silent[0].read(&mut [0]), Ok(0)), "it was let go");
}

/// How a caller goes before it is answered.
#[derive(Clone, Copy, Debug)]
enum Goodbye {
    /// As TLS has it, while its socket stays open.
    InTls,
    /// Its socket ends without a word.
    OfTheSocket,
}

#[test]
fn an_answer_whose_caller_is_gone_did_not_arrive() {
    let scene = Scene::set();
    for goodbye in [Goodbye::InTls, Goodbye::OfTheSocket] {
        let name = format!("Jane {goodbye:?}");
        let body = json!({"device_ids": [FRONT, BACK], "name": name}).to_string();
        // The beginning of a next request keeps the server from looking for the end itself, so
        // that it carries the whole request out.
        let request = format!(
            "PUT {CREATE} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}GET ",
            scene.rig.key,
            body.len()
        );
        let mut caller = scene.caller();
        // It finds the request, and that nobody waits for the answer, at once.
        scene.rig.while_it_stands_still(|| {
            caller.write_all(request.as_bytes()).unwrap();
            match goodbye {
                Goodbye::InTls => {
                    caller.conn.send_close_notify();
                    caller.flush().unwrap();
                }
                Goodbye::OfTheSocket => caller.sock.shutdown(Shutdown::Write).unwrap(),
            }
        });
        // The gateway has given the connection up.
        caller.sock.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(
            scene.named(&name),
            1,
            "a request that came whole was not carried out"
        );

        scene.ok("PUT", CREATE, &body);
        assert_eq!(
            scene.named(&name),
            1,
            "{goodbye:?}: a repeat of what was lost made another group"
        );
        // That one arrived: who asks now means it.
        scene.ok("PUT", CREATE, &body);
        assert_eq!(scene.named(&name), 2);
    }
}
