//! What a gateway may pass on to one deployment at most. Data only.

/// Limits of one deployment that hold for all its callers together; a gateway keeps them.
///
/// ```
/// let limits = gatepass_core::Limits::default();
/// assert_eq!((limits.in_flight, limits.request_body), (None, None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Requests under way at once, from their admission to the end of their answers.
    pub in_flight: Option<u64>,
    /// The longest body of a request, in bytes.
    pub request_body: Option<u64>,
}
