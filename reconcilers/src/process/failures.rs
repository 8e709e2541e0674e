//! What can go wrong with a process, in words for the status.

use agent_model::Failure;

pub(super) use crate::held::failures::*;

pub(super) fn wrong_claim() -> Failure {
    Failure::lasting("WrongKind", "this claim is no process; this is a defect")
}
