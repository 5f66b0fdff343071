//! The P2P protocol on both wires: as recorded, as clients use it, and as nobody should.

mod git_annex;
mod http_abuse;
mod http_annex;
mod http_broken;
mod http_ends;
mod http_journal;
mod http_model;
mod http_nonsense;
mod http_places;
mod http_proxied;
mod http_strangers;
mod http_transcripts;
mod http_wire;
mod requests;
mod shell_annex;
mod site;
mod stdio_annex;
mod stdio_cluster;
mod stdio_cluster_client;
mod stdio_cluster_versions;
mod stdio_gateways;
mod stdio_proxied;
mod stdio_replay;
mod stdio_wire;
mod users_annex;
