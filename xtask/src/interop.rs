//! The outside components that tests need: nginx, and a real OAuth server on Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// Where the components are.
pub(crate) struct Interop {
    pub(crate) directory: PathBuf,
    pub(crate) nginx: PathBuf,
}

/// Finds or installs them: npm packages into `target/`, Debian packages only as root.
pub(crate) fn prepare() -> Result<Interop, String> {
    let node = shell::find("node").ok_or("node is not on the path: install Node.js 20 or newer")?;
    let npm = shell::find("npm").ok_or("npm is not on the path: it comes with Node.js")?;
    let directory = install_oauth_server(&npm)?;
    println!("found: {} for the OAuth server", node.display());
    let nginx = match shell::find("nginx") {
        Some(nginx) => nginx,
        None => install_nginx()?,
    };
    println!("found: {}", nginx.display());
    Ok(Interop { directory, nginx })
}

/// The OAuth server, pinned by its lock file.
fn install_oauth_server(npm: &Path) -> Result<PathBuf, String> {
    let from = shell::root().join("tests/interop");
    let to = shell::root().join("target/interop");
    fs::create_dir_all(&to).map_err(|cause| format!("target/interop cannot be made: {cause}"))?;
    let copy = |name: &str| {
        fs::copy(from.join(name), to.join(name))
            .map_err(|cause| format!("{name} cannot be copied: {cause}"))
    };
    let lock = fs::read(from.join("package-lock.json")).map_err(|cause| cause.to_string())?;
    let stamp = to.join("installed-lock.json");
    copy("package.json")?;
    copy("package-lock.json")?;
    copy("server.mjs")?;
    copy("nginx.conf.in")?;
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(to);
    }
    println!("installing the OAuth server's packages into target/interop ...");
    let mut install = Command::new(npm);
    install
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&to);
    shell::run(&mut install)?;
    fs::write(stamp, lock).map_err(|cause| cause.to_string())?;
    Ok(to)
}

fn install_nginx() -> Result<PathBuf, String> {
    const FIX: &str = "install nginx";
    let user = shell::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" || shell::find("apt-get").is_none() {
        return Err(format!("nginx is not on the path: {FIX}"));
    }
    println!("installing nginx from Debian's packages ...");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        shell::run(
            command
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    apt(&["update", "-qq"])?;
    apt(&[
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "nginx-light",
    ])?;
    shell::find("nginx")
        .ok_or_else(|| format!("nginx is not there after installing it: {FIX} by hand"))
}
