//! The agent with its crash points armed, for tests that cut the power.

fn main() -> std::process::ExitCode {
    crash_point::arm_from_environment();
    harmony_agent::Agent::new().main()
}
