# Sourced by the other scripts here: makes the Python environment, installs Debian packages, and reports its steps.
# Each step is done once; a second run skips it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
bin=$root/.venv/bin

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Installs the Debian packages that are not installed yet.
need_packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail "Debian packages missing; run: sudo apt-get install ${missing[*]}"
        as_root=(sudo -n)
    fi
    say "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq >/dev/null || fail "apt-get update failed; check the network and try again"
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install: ${missing[*]}"
}

# Makes sure that there is a Python that can make virtual environments.
need_python() {
    command -v python3 >/dev/null || need_packages python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed: python3"
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
}

# Installs Python packages into an environment. The output of pip goes to .setup/pip.log, and is shown if pip fails.
# usage: pip_install ENVIRONMENT WORDS...
pip_install() {
    local python=$1/bin/python log=$root/.setup/pip-$BASHPID.log
    shift
    mkdir -p "$root/.setup"
    if "$python" -m pip install --quiet --disable-pip-version-check "$@" >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    cat "$log" >&2
    fail "pip could not install ${*: -1}; what it said is above: check the network and try again"
}

# Makes .venv with telnetsd in it, and with the given extra (nothing, or dev).
need_environment() {
    local extra=${1:-} stamp
    need_python
    if ! "$bin/python" -c '' 2>/dev/null; then
        say "making .venv"
        python3 -m venv --clear .venv
    fi
    stamp=$root/.venv/installed-${extra:-run}-$(sha256sum pyproject.toml | cut -c 1-16)
    [ -e "$stamp" ] && return
    say "installing telnetsd${extra:+ and what its tests need} into .venv (a minute the first time)"
    pip_install .venv --editable ".${extra:+[$extra]}"
    touch "$stamp"
}

# Makes an environment for one program whose libraries must not mix with ours: .venv-NAME.
need_tool() {
    local name=$1
    [ -e "$root/.venv-$name/installed" ] && return
    say "installing $name into .venv-$name"
    python3 -m venv --clear "$root/.venv-$name"
    pip_install "$root/.venv-$name" "$name"
    touch "$root/.venv-$name/installed"
}

# Installs the public suites of certificates that belong to the installed version of cryptography.
need_vectors() {
    local version
    version=$("$bin/python" -c 'import cryptography; print(cryptography.__version__)')
    [ -e "$root/.venv/vectors-$version" ] && return
    say "installing the certificates of cryptography $version's tests"
    pip_install .venv "cryptography_vectors==$version"
    touch "$root/.venv/vectors-$version"
}
