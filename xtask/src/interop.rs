//! The outside components that tests need: nginx, Apache with mod_oauth2, and a real OAuth server on
//! Node.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

/// Where the components are.
pub(crate) struct Interop {
    pub(crate) directory: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) apache: PathBuf,
}

/// Finds or installs them: npm packages into `target/`, Debian packages only as root.
pub(crate) fn prepare() -> Result<Interop, String> {
    let node = shell::find("node").ok_or("node is not on the path: install Node.js 20 or newer")?;
    let npm = shell::find("npm").ok_or("npm is not on the path: it comes with Node.js")?;
    let directory = install_oauth_server(&npm)?;
    println!("found: {} for the OAuth server", node.display());
    let nginx = debian("nginx", &["nginx-light"], None)?;
    let module = Path::new("/usr/lib/apache2/modules/mod_oauth2.so");
    let packages = ["apache2", "libapache2-mod-oauth2"];
    let apache = debian("apache2", &packages, Some(module))?;
    Ok(Interop {
        directory,
        nginx,
        apache,
    })
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
    copy("httpd.conf.in")?;
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

/// A program of Debian's packages, which are installed where it, or the module it needs, is missing.
fn debian(program: &str, packages: &[&str], module: Option<&Path>) -> Result<PathBuf, String> {
    let present = || shell::find(program).filter(|_| module.is_none_or(Path::exists));
    if let Some(found) = present() {
        println!("found: {}", found.display());
        return Ok(found);
    }
    let fix = format!("install {}", packages.join(" and "));
    let user = shell::output(Command::new("id").arg("-u"))?;
    if user.trim() != "0" || shell::find("apt-get").is_none() {
        return Err(format!("{program} is not on the path: {fix}"));
    }
    println!(
        "installing {} from Debian's packages ...",
        packages.join(", ")
    );
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        // Nothing is to be started here: tests start their own, on ports of their own.
        shell::run(command.env("RUNLEVEL", "1"))
    };
    apt(&["update", "-qq"])?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    apt(&[install.as_slice(), packages].concat())?;
    present().ok_or_else(|| format!("{program} is not there after installing it: {fix} by hand"))
}
