//! The special remote: the protocol as recorded, and the program driven by git-annex and by a pretend one.

mod annex_kill;
mod annex_layout;
mod annex_testremote;
mod annex_use;
mod driver;
mod import_annex;
mod model;
mod services_annex;
mod site_annex;
mod transcripts;
