//! How images are served, watched and fetched: the registry, the proxy in front
//! of it, and the upstream registries that bases come from.

mod bases;
mod cold;
mod proxy;
mod registry;
mod support;
mod upstream;
