//! The witness: what an image can do, asked from within. It prints a line for
//! each question: capability, answer and detail, with tabs between them.
//!
//! `capability/witness.rs` compiles it with the C library inside, so that an
//! image of nothing can run it.

#[path = "mod.rs"]
mod inside;

fn main() {
    for (capability, ask) in inside::QUESTIONS {
        println!("{capability}\t{}", ask());
    }
}
