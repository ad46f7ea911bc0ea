//! Writes what a package has beside the program: a manual page for every command, and completions for shells.
//!
//! ```sh
//! cargo run --locked --profile sim --example pages -- DIRECTORY
//! ```
//!
//! Below the directory come `man/` and `completions/`, named as `man` and the shells look for them.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

const NAME: &str = "lockbridge";
/// Administration: it runs as a service.
const SECTION: &str = "8";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [directory] = &arguments[..] else {
        eprintln!("usage: pages DIRECTORY");
        return ExitCode::from(2);
    };
    match write(Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pages: {}: {error}", Path::new(directory).display());
            ExitCode::FAILURE
        }
    }
}

/// Writes all pages and completions below `directory`, in place of those that were there.
///
/// # Errors
///
/// Something could not be written.
pub fn write(directory: &Path) -> io::Result<()> {
    let fresh = |name| {
        let folder = directory.join(name);
        // A page of a command that is gone must not stay.
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(folder)
    };
    let mut command = shipped();
    let completions = fresh("completions")?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, NAME, &completions)?;
    }
    command.build();
    write_page(command, &fresh("man")?)
}

/// The commands of the program that ships: an example is built as tests are, with the feature `sim`.
#[must_use]
pub fn shipped() -> Command {
    let built = lockbridge::cli::command();
    let mut command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .args(built.get_arguments())
        .subcommands(
            built
                .get_subcommands()
                .filter(|command| command.get_name() != "sim"),
        );
    if let Some(about) = built.get_about() {
        command = command.about(about.clone());
    }
    command
}

fn write_page(command: Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write_page(below.clone(), folder)?;
    }
    let source = concat!("lockbridge ", env!("CARGO_PKG_VERSION"));
    Man::new(command)
        .section(SECTION)
        .source(source)
        .generate_to(folder)?;
    Ok(())
}
