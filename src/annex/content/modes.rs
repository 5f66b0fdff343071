//! File modes as git-annex leaves them.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ContentError;
use super::config::{ContentConfig, Sharing};
use super::hooks;

const WRITE: u32 = 0o222;

/// How often something is tried that needs a directory to be writable, since others freeze it again.
const TRIES: usize = 16;

/// Makes `dir`, which is below the annex, and those above it. Returns how many it had to make.
pub fn make_dirs(config: &ContentConfig, dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o777).create(dir) {
        Ok(()) => share(config, dir, true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound && dir != config.annex_dir => {
            let above = dir.parent().ok_or(e)?;
            make_dirs(config, above)?;
            make_dirs(config, dir)
        }
        Err(e) => Err(e),
    }
}

/// Gives `path`, new and below the annex, the permissions `core.sharedRepository` asks for.
pub fn share(config: &ContentConfig, path: &Path, directory: bool) -> io::Result<()> {
    if config.sharing == Sharing::Unshared {
        return Ok(());
    }
    let now = std::fs::metadata(path)?.mode() & 0o7777;
    let then = shared_mode(config.sharing, now, directory);
    if then == now { Ok(()) } else { std::fs::set_permissions(path, Permissions::from_mode(then)) }
}

/// Takes write permission from the content in `file`.
pub fn freeze_file(config: &ContentConfig, file: &File) -> io::Result<()> {
    if config.crippled {
        return Ok(());
    }
    let mode = file.metadata()?.mode() & 0o7777;
    file.set_permissions(Permissions::from_mode(shared_mode(config.sharing, mode, false) & !WRITE))
}

/// Gives the owner of `file` write permission back.
pub fn thaw_file(config: &ContentConfig, file: &File) -> io::Result<()> {
    if config.crippled {
        return Ok(());
    }
    let mode = file.metadata()?.mode() & 0o7777;
    file.set_permissions(Permissions::from_mode(mode | 0o200))
}

/// Protects the directory of an object, which may be gone.
pub fn freeze_dir(config: &ContentConfig, dir: &Path) -> Result<(), ContentError> {
    if !config.crippled {
        let frozen = match std::fs::symlink_metadata(dir) {
            Ok(metadata) => {
                let mode = metadata.mode() & 0o7777;
                let shared = shared_mode(config.sharing, mode, true);
                let then = match config.sharing {
                    Sharing::Unshared => shared & !WRITE,
                    // Others have to get in to lock and to remove.
                    Sharing::Group | Sharing::All => shared,
                    Sharing::Mode(_) => shared & !0o200,
                };
                if then == mode { Ok(()) } else { std::fs::set_permissions(dir, Permissions::from_mode(then)) }
            }
            Err(e) => Err(e),
        };
        match frozen {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(ContentError::io("protect the directory")(e)),
            Ok(()) => {}
        }
    }
    hooks::freeze(config, dir);
    Ok(())
}

/// Lets the owner write to the directory of an object.
///
/// # Errors
///
/// `NotFound` where it has gone.
pub fn thaw_dir(config: &ContentConfig, dir: &Path) -> io::Result<()> {
    hooks::thaw(config, dir);
    let mode = std::fs::symlink_metadata(dir)?.mode() & 0o7777;
    if mode & 0o200 != 0 || config.crippled {
        return Ok(());
    }
    std::fs::set_permissions(dir, Permissions::from_mode(mode | 0o200))
}

/// Does `act` in a directory of an object that has been made writable, again where others protected it in between.
pub fn in_thawed<T>(config: &ContentConfig, dir: &Path, mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 0;
    loop {
        thaw_dir(config, dir)?;
        match act() {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

fn shared_mode(sharing: Sharing, mode: u32, directory: bool) -> u32 {
    match sharing {
        Sharing::Unshared => mode,
        Sharing::Group if directory => mode | 0o770,
        Sharing::Group => mode | 0o660,
        Sharing::All if directory => mode | 0o775,
        Sharing::All => mode | 0o664,
        Sharing::Mode(bits) if directory => (mode & !0o777) | bits | (bits & 0o444) >> 2,
        Sharing::Mode(bits) => (mode & !0o777) | bits,
    }
}

/// Removes `dir` and the hash directories above it, as far as they are empty and below `top`.
pub(super) fn remove_dirs(top: &Path, dir: &Path) {
    let mut dir: Option<PathBuf> = Some(dir.to_path_buf());
    while let Some(path) = dir.filter(|path| path.starts_with(top) && path != top) {
        // One that is not empty is in use; one that is left does no harm.
        if std::fs::remove_dir(&path).is_err() {
            return;
        }
        dir = path.parent().map(Path::to_path_buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded: modes under `core.sharedRepository` and umask 022 or 077, of what git-annex makes below its directory.
    #[test]
    fn shared_files_have_the_modes_git_annex_gives_them() {
        for (sharing, file, file_then, dir, dir_then) in [
            (Sharing::Unshared, 0o644, 0o644, 0o755, 0o755),
            (Sharing::Unshared, 0o600, 0o600, 0o700, 0o700),
            (Sharing::Group, 0o644, 0o664, 0o2755, 0o2775),
            (Sharing::Group, 0o600, 0o660, 0o2700, 0o2770),
            (Sharing::All, 0o644, 0o664, 0o2755, 0o2775),
            (Sharing::All, 0o600, 0o664, 0o2700, 0o2775),
            (Sharing::Mode(0o640), 0o644, 0o640, 0o2755, 0o2750),
            (Sharing::Mode(0o640), 0o600, 0o640, 0o2700, 0o2750),
            (Sharing::Mode(0o660), 0o644, 0o660, 0o2755, 0o2770),
        ] {
            assert_eq!(shared_mode(sharing, file, false), file_then, "{sharing:?}");
            assert_eq!(shared_mode(sharing, dir, true), dir_then, "{sharing:?}");
        }
    }
}
