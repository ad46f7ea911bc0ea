//! Certificates of a test's own, with the names and the dates that it needs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// A folder for them.
pub struct Papers(TempDir);

impl Papers {
    pub fn new() -> Papers {
        Papers(tempfile::tempdir().unwrap())
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Who vouches for others.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

/// The files of one.
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        Authority::named("The authority")
    }

    /// Two of one name are told apart by their keys.
    pub fn named(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Vouches for these names and addresses, at all times.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_between(names, 1975, 4096)
    }

    /// The same from the beginning of one year to that of another.
    pub fn issue_between(&self, names: &[&str], from: i32, until: i32) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = named("Somebody");
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Issued {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    /// Writes both, for their owner alone.
    pub fn into_files(self, papers: &Papers, name: &str) -> Files {
        let files = Files {
            cert: papers.file(&format!("{name}.crt"), &self.cert),
            key: papers.file(&format!("{name}.key"), &self.key),
        };
        mode(&files.key, 0o600);
        files
    }
}

/// Who may read a file.
pub fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
