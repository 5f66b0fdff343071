//! The external special remote: git-annex starts this program and talks with it over stdin and stdout.
//!
//! The first thread reads stdin, feeds the session and answers all that needs no store. Starting it costs next to nothing,
//! because git-annex starts programs like this one only to ask for their settings. The second thread, the data thread, is
//! started by the first request that needs a store; every job runs there as a task.
//!
//! | file | what |
//! |---|---|
//! | `talk` | the first thread |
//! | `port` | what both threads say to git-annex |
//! | `data` | the data thread: tasks, signals, the end |
//! | `worker` | one request at a store |
//! | `tree` | likewise, where it is about a tree |
//! | `server_copy` | content that is in the tree twice |
//! | `names` | where a tree has content, for WHEREIS |
//! | `opened` | the stores of a remote and the names in them |
//! | `local` | the file on this side of a transfer |
//! | `rates` | `annex.bwlimit` |
//! | `verdict` | the table from errors to replies |
//! | `settings` | environment variables |
//! | `trace` | what stores log, as DEBUG lines |

mod data;
mod local;
mod names;
mod opened;
mod port;
mod rates;
mod server_copy;
mod settings;
mod talk;
mod trace;
mod tree;
mod verdict;
mod work;
mod worker;

use std::io::IsTerminal;
use std::process::ExitCode;

pub use crate::resolve::environment;
pub use settings::Settings;

/// Serves git-annex on stdin and stdout until stdin ends.
pub fn main() -> ExitCode {
    if std::io::stdin().is_terminal() {
        eprintln!(
            "This program is started by git-annex and speaks its external special remote protocol.\n\
             To set a remote up: git annex initremote NAME type=external externaltype=stream encryption=none scheme=...\n\
             To learn more: git-annex-remote-stream --help"
        );
    }
    match Settings::from_env(&|name| std::env::var_os(name)) {
        Ok(settings) => talk::run(settings),
        Err(why) => talk::refuse(&why),
    }
}
