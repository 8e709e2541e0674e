//! The only writer of this device's status (ADR-023).
