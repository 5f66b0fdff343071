//! What is behind a repository: proxied remotes, peers, and what goes wrong with them.

#[macro_use]
mod everywhere;

mod annex;
mod balance_annex;
mod balance_gateways;
mod broken;
mod cluster_annex;
mod cluster_faults;
mod cluster_kills;
mod cluster_random;
mod cluster_stores;
mod crowd;
mod far;
mod far_faults;
mod faults;
mod gateways;
mod held;
mod networks;
mod peer_annex;
mod places;
mod ranges;
mod recipes;
mod remotes_annex;
mod stress;
mod trips;
mod truth;
mod updateproxy_annex;
