//! An agent that has the Score `Motd`.

fn main() -> std::process::ExitCode {
    harmony_agent::Agent::new().with_score::<motd_score::Motd>().main()
}
