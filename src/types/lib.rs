//! Values that every part of the program reads alike: the stores, the repositories and the wires.

pub mod size;
