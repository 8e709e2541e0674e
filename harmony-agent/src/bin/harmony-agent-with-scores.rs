//! The agent with the Score bridge compiled in.

fn main() -> std::process::ExitCode {
    harmony_agent::Agent::new().main()
}
