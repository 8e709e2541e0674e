//! What a Score is, to whoever writes one.

use agent_model::reader::{Field, Findings};
use semver::Version;
use serde::Serialize;

use crate::{InterpretError, Topology};

/// How a Score travels: the name and version by which a document asks for it, and its body.
///
/// Writing is serde's; reading is not, because deserialising stops at the first problem and an
/// author should see all of them.
pub trait WireForm: Serialize + Sized + 'static {
    /// The name in documents, which no other Score has: a word in PascalCase, or it does not compile.
    const NAME: &'static str;

    /// The version of the body and of what is declared for it. Documents ask for a range of
    /// versions, so a body that an older version could not read, or that now means something else,
    /// takes a version that is incompatible by semver's rules.
    const VERSION: Version;

    /// Reads the body, which is an object. Every problem goes to `findings`; `None` when too little is
    /// left to make anything of. What is returned besides problems is only searched for further ones.
    fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self>;
}

/// A declaration of what is wanted, for every topology that has what it takes: implement it for all
/// `T: Files`, or whichever capabilities are needed, and the compiler holds the Score to them.
pub trait Score<T: Topology>: WireForm {
    /// The Interpret that carries this Score out on such a topology.
    fn create_interpret(&self) -> Box<dyn Interpret<T> + '_>;
}

/// Carries a Score out by declaring resources on a topology.
///
/// Declaring is all that it does: synchronous, without a look at the device but at its facts, and
/// always the same for the same Score and facts. Acting is left to the reconcilers (ADR 026).
pub trait Interpret<T: Topology> {
    /// Declares what the Score stands for.
    ///
    /// # Errors
    /// The document is refused with it, and nothing of it is done.
    fn execute(&self, topology: &mut T) -> Result<(), InterpretError>;
}
