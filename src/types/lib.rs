//! Values that every part of the program reads alike: the stores, the repositories and the wires.

pub mod decimal;
pub mod hex;
pub mod host;
pub mod percent;
pub mod size;
