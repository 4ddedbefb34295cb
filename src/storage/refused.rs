//! Answers of a store that are not acted upon.

use std::fmt;

/// The response of a store that sends its client elsewhere. It is not followed: `x-amz-security-token` and the other headers of a
/// signed request would go to the other host, and its answer would be believed.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Scheme, host and port of the target.
    pub(crate) target: Option<String>,
    /// The region of the bucket, if the response names it (`x-amz-bucket-region`).
    pub(crate) region: Option<String>,
}

impl Redirect {
    /// Whether the bucket is in another region than the request assumes. S3 then names the region, the endpoint of it, or neither.
    pub(crate) fn is_to_another_region(&self) -> bool {
        let is_amazon = |target: &String| target.ends_with(".amazonaws.com") || target.ends_with(".amazonaws.com.cn");
        self.region.is_some() || self.target.as_ref().is_none_or(is_amazon)
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(region) = &self.region {
            write!(f, ", region {region}")?;
        }
        match &self.target {
            Some(target) => write!(f, ", redirects to {target}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Redirect {}

/// A listing whose next page is the same page again: its continuation token repeats, so it would never end.
#[derive(Debug)]
pub(crate) struct RepeatedPage;

impl fmt::Display for RepeatedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the continuation token of the listing repeats, so it would never end")
    }
}

impl std::error::Error for RepeatedPage {}
