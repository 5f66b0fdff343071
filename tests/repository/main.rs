//! A repository: what the program reads and writes there, beside the real git-annex.

mod branch_annex;
mod clusters_annex;
mod content_annex;
mod gc_annex;
mod placement_annex;
mod settings_annex;
mod sim_clones;
mod sim_kills;
mod sim_plain;
mod sims_annex;
mod sizes_annex;
mod versions_annex;
mod wanted;
