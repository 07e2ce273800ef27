//! The signing example runs, so that it stays true.

#[path = "../../examples/hmac_signing.rs"]
#[expect(dead_code, reason = "its main is not called by this binary's")]
mod hmac_signing;

#[test]
fn the_signing_example_signs_as_openssl_does() {
    hmac_signing::check().unwrap();
}
