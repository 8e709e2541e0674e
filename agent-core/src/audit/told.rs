//! What was told already, and would be told again at every look and every start.

use super::{Draft, Happening};

/// The newest refusal and the newest safe mode that nothing else came after.
#[derive(Debug, Default)]
pub(super) struct Told {
    rejected: Option<Draft>,
    safe_mode: Option<Draft>,
}

impl Told {
    /// Whether this is news, and keeps in mind that it is none the next time.
    pub(super) fn is_news(&mut self, draft: &Draft) -> bool {
        let told = match draft.happening {
            Happening::Rejected { .. } => &mut self.rejected,
            Happening::SafeMode { .. } => &mut self.safe_mode,
            Happening::Accepted => {
                self.rejected = None;
                return true;
            }
            Happening::Begun { .. } => {
                self.safe_mode = None;
                return true;
            }
            Happening::Done { .. }
            | Happening::Failed { .. }
            | Happening::NotRun { .. }
            | Happening::Interrupted { .. }
            | Happening::Blocked { .. }
            | Happening::RolledBack { .. }
            | Happening::DuplicateIdentity { .. }
            | Happening::LogRecovered { .. } => return true,
        };
        let same = |told: &Draft| told.document == draft.document && told.happening == draft.happening;
        let is_news = !told.as_ref().is_some_and(same);
        *told = Some(draft.clone());
        is_news
    }
}
