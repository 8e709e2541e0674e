//! The agent.

fn main() -> std::process::ExitCode {
    harmony_agent::Agent::new().main()
}
