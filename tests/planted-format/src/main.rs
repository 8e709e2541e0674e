//! An agent that reads the planted format besides its own.

fn main() -> std::process::ExitCode {
    harmony_agent::Agent::new().with_format(planted_format::Banner).main()
}
