//! The program: everything is in the library beside it.

fn main() -> std::process::ExitCode {
    apisec_probe::heap::give_back();
    apisec_top::cli::run(std::env::args_os())
}
