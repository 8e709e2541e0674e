//! The agent.

fn main() -> std::process::ExitCode {
    harmony_agent::main()
}
