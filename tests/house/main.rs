//! The rules of this house, which need nothing but its files: layers, and pages that tell the truth.

mod docs;
mod layering;
