//! What only Scores have: types and versions of their own, and files that a device renders.
