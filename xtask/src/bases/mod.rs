//! The images that Dockerfiles stand on.

pub mod upstream;
