//! `lockbridge demo`: a stay on four simulated doors, from the booking to the last door empty, and
//! then a gateway to try by hand. It needs no configuration, no service and no lock.
//!
//! ```text
//! mod.rs    the two parts, and how they end     screen.rs  what is written, and how
//! stage.rs  a gateway: its files, its process   hints.rs   lines to try on the gateway that stays
//! story.rs  the stay, act by act                words.rs   what the gateway says, in its words
//! ```
//!
//! The gateway is this same program, in a process of its own, on a real store, and is called as
//! the cloud calls it: over HTTP, with a key. Every line of the story is read from there or from a
//! lock's own table; nothing is taken for granted, and the first thing that does not come true
//! ends the story with what was expected, what was said, and where the log is. The stay plays in
//! simulated time, which ends a day ahead: so the gateway that stays is a new one, in real time.
//!
//! It refuses to touch anything but a directory of its own, which it takes away at the end. It
//! leaves it where something failed, for the logs.

mod hints;
mod screen;
mod stage;
mod story;
mod words;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use clap::Args;
use rand::RngExt;

use super::run::told_to_end;
use super::{Failure, randomness};
use screen::Screen;
use stage::Stage;

/// What the demo can be told.
#[derive(Args)]
pub(super) struct Demo {
    /// Let the gateway that stays talk to this MQTT broker too, and say how to try it.
    #[arg(long, value_name = "mqtt://HOST:PORT")]
    mqtt: Option<String>,
    /// End after the story.
    #[arg(long, hide = true)]
    once: bool,
}

/// Plays the story, then keeps a gateway up until it is told to end.
pub(super) fn demo(options: &Demo) -> Result<(), Failure> {
    let mut home = Home::make()?;
    // The one that stays comes first: what is wrong with the broker is said before the story.
    let mut yours = Stage::furnish(&home.path.join("yours"), options.mqtt.as_deref())?;
    let mut story = Stage::furnish(&home.path.join("story"), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut screen = Screen::new();
    screen.say(&format!(
        "A stay on four simulated doors. All of it happens in {}",
        home.path.display()
    ))?;
    let played = runtime.block_on(both_parts(options, &mut screen, &mut story, &mut yours));
    home.keep = played.is_err();
    played.map_err(|failure| Failure {
        message: format!("{}\nThe logs are in {}", failure.message, home.path.display()),
        ..failure
    })
}

async fn both_parts(
    options: &Demo,
    screen: &mut Screen,
    story: &mut Stage,
    yours: &mut Stage,
) -> Result<(), Failure> {
    // One listener for both, so that no signal falls between them.
    let told = told_to_end()?;
    tokio::pin!(told);

    let played = tokio::select! {
        biased;
        signal = &mut told => Ok(Some(signal)),
        played = story::play(story, screen) => played.map(|()| None),
    };
    // Whatever came of it: first of all the gateway ends.
    let stopped = story.stop().await;
    if let Some(signal) = played? {
        screen.say(&format!("{signal} came: the demo ends"))?;
        return stopped;
    }
    stopped?;
    if options.once {
        return Ok(());
    }

    yours.start().await?;
    hints::show(yours, options.mqtt.as_deref(), screen)?;
    let stayed = tokio::select! {
        biased;
        signal = &mut told => Ok(signal),
        ended = yours.ended() => Err(ended),
    };
    let stopped = yours.stop().await;
    let signal = stayed?;
    screen.say(&format!("{signal} came: the gateway has ended"))?;
    stopped
}

/// A directory of the demo's own, that nobody else can look into: locks' memories have PINs.
/// Gone when dropped, unless it is to be kept.
struct Home {
    path: PathBuf,
    keep: bool,
}

impl Home {
    fn make() -> Result<Home, Failure> {
        let name = format!("lockbridge-demo-{:08x}", randomness().random::<u32>());
        let path = std::env::temp_dir().join(name);
        // Fails if there is one of this name already, whosever it is.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Failure::other(format!("cannot make {}: {error}", path.display())))?;
        Ok(Home { path, keep: false })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed stays: the system tidies up its directory of such files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
