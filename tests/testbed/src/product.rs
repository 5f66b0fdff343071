//! The program that is tested.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Its name, and that of the binary's target.
const NAME: &str = "git-annex-remote-stream";

/// The binary that was built with the tests.
///
/// Cargo names it to what it compiles for the tests of the same package, and this library is another: so the variables that
/// nextest and newer cargos set when they run a test are asked, and then the directory that the test itself was built into.
/// Panics, saying how to build it, where it is not there.
pub fn product() -> &'static Path {
    static PRODUCT: OnceLock<PathBuf> = OnceLock::new();
    PRODUCT.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own file");
        let told =
            ["NEXTEST_BIN_EXE", "CARGO_BIN_EXE"].iter().find_map(|name| std::env::var_os(format!("{name}_{NAME}")));
        let found = told.map_or_else(|| beside(&test), PathBuf::from);
        assert!(found.is_file(), "{} is not there: build it with `cargo build --workspace`", found.display());
        found
    })
}

/// Where cargo puts the binaries of a build that has `test` among its dependencies: target/PROFILE/deps/TEST, target/PROFILE/NAME.
fn beside(test: &Path) -> PathBuf {
    let deps = test.parent().expect("a file is in a directory");
    deps.parent().unwrap_or(deps).join(NAME)
}
