//! A server that speaks TLS, with certificates of known ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::PATIENCE;

/// A certificate for 127.0.0.1 that is its own authority.
#[derive(Debug, Clone, Copy)]
pub enum Certificate {
    /// Ended on 2020-02-01.
    Ended,
    /// Ends on 2099-01-01.
    Valid,
}

impl Certificate {
    /// When it ends, in Unix time.
    pub fn end(self) -> u64 {
        match self {
            Self::Ended => 1_580_515_200,
            Self::Valid => 4_070_908_800,
        }
    }

    /// Its file, in PEM.
    pub fn file(self) -> PathBuf {
        let name = match self {
            Self::Ended => "ended.pem",
            Self::Valid => "valid.pem",
        };
        fixture(name)
    }

    fn key(self) -> Arc<CertifiedKey> {
        let chain = CertificateDer::pem_file_iter(self.file()).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
        Arc::new(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap())
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls").join(name)
}

/// The certificate that is shown at this moment.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }
}

/// The server. It lets clients resume their sessions. Dropping it stops it.
pub struct TlsServer {
    /// Where it listens.
    pub address: SocketAddr,
    shown: Arc<Shown>,
    ended: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
}

impl TlsServer {
    /// Shows `certificate` and answers each request line with what `answer` makes of it: a whole response.
    pub fn start(certificate: Certificate, answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let shown = Arc::new(Shown(Mutex::new(certificate.key())));
        let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let resolver = Arc::clone(&shown) as Arc<dyn ResolvesServerCert>;
        let config = Arc::new(config.with_no_client_auth().with_cert_resolver(resolver));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let worker = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // clients come and go as they like
                let _ = exchange(stream.unwrap(), &config, &answer);
            }
        });
        Self { address, shown, ended, worker: Some(worker) }
    }

    /// Shows another certificate from now on.
    pub fn renew(&self, certificate: Certificate) {
        *self.shown.0.lock().unwrap() = certificate.key();
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.worker.take().map(JoinHandle::join);
    }
}

/// One connection with one request.
fn exchange(
    stream: TcpStream,
    config: &Arc<ServerConfig>,
    answer: &impl Fn(&str) -> String,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let (mut request, mut length) = (String::new(), 0);
    stream.read_line(&mut request)?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    let stream = stream.get_mut();
    stream.write_all(answer(request.trim()).as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}
