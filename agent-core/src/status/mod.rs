//! From what the runtime knows to the status document.
