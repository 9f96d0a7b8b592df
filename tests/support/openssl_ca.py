"""A company's CA, managed with `openssl ca`: a root, an intermediate, users, CRLs."""

from pathlib import Path

from support.openssl import make_csr, make_key, openssl

_CONFIGURATION = """\
[ca]
default_ca = this
[this]
dir = {folder}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 365
default_crl_days = 7
policy = anything
copy_extensions = none
unique_subject = no
email_in_dn = no
[anything]
countryName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
emailAddress = optional
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
certificatePolicies = {policies}
[user]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth,emailProtection
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
{names}
"""


class OpensslCa:
    """One CA in a folder of its own.

    Args:
        folder: The folder.
        subject: Its name, as openssl writes it.
        issuer: The CA above it, or None for a root.
        policies: The certificate policies that it may assert, where it is an intermediate.
    """

    def __init__(
        self, folder: Path, subject: str, issuer: "OpensslCa | None" = None, policies: str = "2.5.29.32.0"
    ) -> None:
        self.folder = folder
        self.policies = policies
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        (folder / "crlnumber").write_text("01\n")
        self.certificate, self.key = folder / "ca.pem", make_key(folder / "ca.key")
        (folder / "ca.csr").write_text(make_csr(self.key, subject))
        signer = issuer or self
        extensions = "intermediate" if issuer else "root"
        words: list[str | Path] = ["-config", signer.folder / "ca.cnf", "-extensions", extensions]
        words += [] if issuer else ["-selfsign", "-keyfile", self.key]
        signer._configure("", policies)
        openssl(
            "ca", "-batch", "-notext", "-days", "3650", *words, "-in", folder / "ca.csr", "-out", self.certificate
        )

    def issue(self, name: str, subject: str, names: str = "", *options: str) -> tuple[Path, Path]:
        """Issue a user's certificate; `names` are further lines of its extensions. Returns the files, key last."""
        key, certificate = make_key(self.folder / f"{name}.key"), self.folder / f"{name}.pem"
        (self.folder / f"{name}.csr").write_text(make_csr(key, subject))
        self._configure(names, self.policies)
        words: list[str | Path] = ["-config", self.folder / "ca.cnf", "-extensions", "user", *options]
        openssl("ca", "-batch", "-notext", *words, "-in", self.folder / f"{name}.csr", "-out", certificate)
        return certificate, key

    def revoke(self, certificate: Path, reason: str = "keyCompromise") -> None:
        openssl("ca", "-config", self.folder / "ca.cnf", "-revoke", certificate, "-crl_reason", reason)

    def write_crl(self, path: Path, *options: str) -> Path:
        self._configure("", self.policies)
        openssl("ca", "-config", self.folder / "ca.cnf", "-gencrl", "-out", path.with_suffix(".part"), *options)
        return path.with_suffix(".part").replace(path)

    def _configure(self, names: str, policies: str) -> None:
        text = _CONFIGURATION.format(folder=self.folder, names=names, policies=policies)
        (self.folder / "ca.cnf").write_text(text)
