use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Places;

/// The keys to sign with, and where their passphrases come from
#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// A key to sign with: a file, or a pkcs11: URI; may be given several times [default: the
    /// machine's own]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<OsString>,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// The PKCS#11 module of keys whose URI names none
    #[arg(long, value_name = "FILE", env = "TREESEAL_PKCS11_MODULE", hide_env_values = true)]
    pub(crate) pkcs11_module: Option<PathBuf>,
}

/// Where passphrases and PINs come from
#[derive(Debug, Args)]
pub(crate) struct Passphrase {
    /// Read passphrases and PINs from this descriptor, a line for each key [default: the systemd
    /// credential treeseal.passphrase, the file beside a key that ends in .password, the terminal]
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
}

/// Make and show keys
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    New(KeyNew),
    Show(KeyShow),
}

/// Make a key pair: FILE, encrypted, and beside it the public key, which ends in .pub
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal key new alice.pem --type ed25519")]
pub(crate) struct KeyNew {
    /// The file of the private key
    pub(crate) file: PathBuf,
    /// The algorithm
    #[arg(long = "type", value_enum, default_value_t)]
    pub(crate) key_type: KeyType,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
}

/// Say which key a file or token holds
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal key show alice.pub")]
pub(crate) struct KeyShow {
    /// A public key, a private key, or a pkcs11: URI
    pub(crate) key: OsString,
    /// Print the public key in PEM, and nothing else
    #[arg(long)]
    pub(crate) public: bool,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    /// The PKCS#11 module of a key whose URI names none
    #[arg(long, value_name = "FILE", env = "TREESEAL_PKCS11_MODULE", hide_env_values = true)]
    pub(crate) pkcs11_module: Option<PathBuf>,
}

/// The algorithms of keys.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum KeyType {
    /// Ed25519
    #[default]
    Ed25519,
    /// ECDSA on NIST P-256, which tokens and cosign have
    P256,
    /// ML-DSA-65, which a quantum computer does not break
    MlDsa65,
}

/// Sign a seal that was made with `seal --unsigned`, or the draft of a trust root
///
/// Only keys that have a say in it sign; the last one completes it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal sign usr.seal.json --key alice.pem")]
pub(crate) struct Sign {
    /// The file, which gets the signatures
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Write the bytes that a key must sign, for signing anywhere else
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal sign-request usr.seal.json --key token.pub > request\n  \
        openssl pkeyutl -sign -rawin -inkey token.pem -in request -out signature\n  \
        treeseal attach usr.seal.json signature --key token.pub"
)]
pub(crate) struct SignRequest {
    /// A seal that was made with `seal --unsigned`, or the draft of a trust root
    pub(crate) file: PathBuf,
    /// The public key of whoever is to sign
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

/// Add a signature that was made elsewhere, or all that another copy of the file has
///
/// Signatures that count for nothing are refused, or left out of a copy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal attach usr.seal.json signature --key token.pub\n  \
        treeseal attach draft.json draft-of-bob.json")]
pub(crate) struct Attach {
    /// A seal that was made with `seal --unsigned`, or the draft of a trust root
    pub(crate) file: PathBuf,
    /// The signature: 64 bytes for Ed25519, DER for P-256, 3309 bytes for ML-DSA-65. Without --key a
    /// copy of FILE that others have signed
    pub(crate) signature: PathBuf,
    /// The public key of whoever made the signature
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Put a seal or a trust root that all have signed into the store
///
/// The seal becomes its stream's current one, the root the next of the chain that readers follow.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal submit usr.seal.json")]
pub(crate) struct Submit {
    /// The file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Say, for some time, that the current seal of a stream is the newest
///
/// For the online role: against a server that keeps new seals back.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  treeseal freshen acme/os/x86_64/stable --for 24h --key online.pem"
)]
pub(crate) struct Freshen {
    /// The stream
    pub(crate) stream: String,
    /// For how long, like 24h or 7d; 31 days at most
    #[arg(long = "for", value_name = "DURATION", default_value = "24h")]
    pub(crate) duration: String,
    #[command(flatten)]
    pub(crate) keys: Keys,
    #[command(flatten)]
    pub(crate) places: Places,
}

/// Keep the rollback floor of a stream in the TPM
#[derive(Debug, Subcommand)]
pub(crate) enum Floor {
    Enrol(FloorEnrol),
    /// Say which floor the TPM keeps
    #[command(
        after_help = "Example:\n  treeseal floor show acme/os/x86_64/stable --tpm /dev/tpmrm0"
    )]
    Show(FloorChange),
    /// End to keep the floor of a stream in the TPM
    #[command(
        after_help = "Example:\n  treeseal floor remove acme/os/x86_64/stable --tpm /dev/tpmrm0"
    )]
    Remove(FloorChange),
}

/// Begin to keep the floor of a stream in the TPM, or move it up
///
/// From then on every command that is given this TPM accepts nothing below its floor, and raises it.
/// It protects from nothing while the password of the TPM's owner is empty.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  treeseal floor enrol acme/os/x86_64/stable --tpm /dev/tpmrm0")]
pub(crate) struct FloorEnrol {
    /// The sequence to begin at [default: the one that is remembered, or 1]
    #[arg(long, value_name = "N")]
    pub(crate) sequence: Option<u64>,
    #[command(flatten)]
    pub(crate) change: FloorChange,
}

/// Which floor is meant, and by whom it is changed
#[derive(Debug, Args)]
pub(crate) struct FloorChange {
    /// The stream
    pub(crate) stream: String,
    /// Ask for the password of the TPM's owner [default: it is empty]
    #[arg(long)]
    pub(crate) owner_password: bool,
    #[command(flatten)]
    pub(crate) passphrase: Passphrase,
    #[command(flatten)]
    pub(crate) places: Places,
}
