//! The cryptography behind every HTTPS connection.

/// Makes ring the provider of this process. The HTTP client carries none of its
/// own: its default would bring a C and assembly library with a build of its own.
pub fn install_provider() {
    // The error says that one is installed already, which is all we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
