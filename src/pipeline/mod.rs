//! A run: the stages prepare, survey, plan, write and finish, composed by [`mix()`] in one process; and what reads finished
//! mixes and other files: `verify`, `diff`, `report`, `sample`, `stats`, `init` and `clean`.
//!
//! | stage | reads | result |
//! |---|---|---|
//! | [`prepare`] | the listing, the recipe | the job: sources and splits |
//! | [`survey`] | the rows of the splits | samples, texts, and the index: one record per sample |
//! | [`plan`] | the index | which samples each mix holds, how often |
//! | [`write`] | samples, texts, plan | the rows of every file |
//! | [`finish`] | statistics | metrics, report, manifest; everything becomes visible |

mod clean;
mod context;
mod count;
mod deep;
mod diff;
mod documents;
mod examples;
mod fail_on;
mod finish;
mod init;
mod manifest;
mod mix;
mod plan;
mod prepare;
mod report;
mod row_flags;
mod sample;
mod statistics;
mod stats;
mod survey;
mod verify;
mod write;

pub(crate) use clean::clean;
pub(crate) use context::Context;
pub(crate) use deep::{DeepOptions, DeeplyVerified, verify_deep};
pub(crate) use diff::{Change, Diff, Difference, diff};
pub(crate) use finish::Outcome;
pub(crate) use init::init;
pub(crate) use mix::{mix, plan};
pub(crate) use report::{ReportFile, read_report};
pub(crate) use sample::{SampleOptions, Samples, sample};
pub(crate) use stats::{StatsOptions, stats};
pub(crate) use verify::{RUN_AGAIN, Verified, verify};
