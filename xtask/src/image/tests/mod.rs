//! Tests that go through several modules of `image`.

mod archive;
mod compare;
mod hostile;
mod layout;
mod model;
mod packages;
mod sizes;
