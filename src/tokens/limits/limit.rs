//! One number against its limit.

/// What exceeds a limit: field, value and limit.
pub(in crate::tokens) type Check = Result<(), String>;

/// Checks a number against its limit.
pub(super) fn over<N: PartialOrd + std::fmt::Display>(field: &str, what: &str, value: N, limit: N) -> Check {
    if value <= limit { Ok(()) } else { Err(format!("`{field}`: {value} {what}: expected at most {limit}")) }
}
