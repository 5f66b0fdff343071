//! How content is kept, as git config says.

use super::Repository;
use crate::annex::content::{ContentConfig, Hooks, Sharing};
use crate::annex::layout::Hashing;

impl Repository {
    /// How the content of this repository is kept, as git config is now.
    pub fn content_config(&self) -> ContentConfig {
        let text = |name: &str| self.config(name).and_then(|value| String::from_utf8(value).ok());
        let flag = |name: &str| self.config_bool(name).unwrap_or(false);
        let base = ContentConfig::new(self.git_dir(), self.is_bare());
        let cwd = self.work_tree().unwrap_or(self.git_dir());
        let hooks = Hooks {
            freeze: text("annex.freezecontent-command"),
            thaw: text("annex.thawcontent-command"),
            erase: text("annex.secure-erase-command"),
            ..Hooks::new(self.hooks_dir(), cwd)
        };
        ContentConfig {
            annex_dir: self.annex_dir().to_path_buf(),
            hashing: Hashing {
                bare: self.is_bare(),
                one_level: flag("annex.tune.objecthash1"),
                lower: flag("annex.tune.objecthashlower"),
            },
            secure_hashes_only: flag("annex.securehashesonly"),
            reserve: self.reserve(),
            sharing: text("core.sharedrepository").map_or(Sharing::default(), |value| Sharing::parse(&value)),
            thin: flag("annex.thin"),
            crippled: flag("annex.crippledfilesystem"),
            // Older versions lock the object itself.
            lock_files: self.config_size("annex.version").is_none_or(|version| version >= 10),
            hooks,
            ..base
        }
    }
}
