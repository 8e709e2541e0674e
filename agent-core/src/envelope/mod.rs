//! Envelope version 1.
