//! The simulated lock as a driver of the gateway: it takes its time, keeps its memory in a file,
//! and says what a radio would hear.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::{Busy, Clock};
use crate::lock::{Fact, Findings, Lock, Report};
use crate::model::{Capabilities, DeviceId, Entry, Finding, Now, Pin, Slot, Step};

use super::body::{HandError, SimLock};
use super::fault::Fault;
use super::memory::{ByHand, Memory};
use super::setup::Setup;

/// A simulated lock that the gateway drives, and that a person can steer.
pub struct SimDriver {
    device: DeviceId,
    capabilities: Capabilities,
    clock: Clock,
    report: Report,
    /// The LOCK's memory, not the gateway's: what a real lock keeps in its own flash, true PINs
    /// included. The gateway proper never reads it; it is there so that a restarted gateway
    /// meets the same lock.
    file: PathBuf,
    lock: Mutex<SimLock>,
}

/// What outlives the program, so that a restarted gateway meets the same lock in the same place:
/// the lock's own memory, where its bolt is, and whether somebody took the lock out of reach.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    away: bool,
    locked: bool,
    codes: Memory,
}

impl Kept {
    /// Of a lock from the factory.
    fn fresh() -> Kept {
        Kept {
            away: false,
            locked: true,
            codes: Memory::default(),
        }
    }

    fn of(lock: &SimLock) -> Kept {
        Kept {
            away: !lock.connected(),
            locked: lock.locked(),
            codes: lock.memory().clone(),
        }
    }
}

/// Why a simulated lock could not be taken out of its box.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its file cannot be read, or its folder cannot be made.
    #[error("{path}: {source}; the folder must be writable for the gateway")]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its file is not a lock's memory.
    #[error("{path}: not the memory of a simulated lock; remove the file to start with an empty lock")]
    Damaged {
        /// Where.
        path: PathBuf,
    },
}

impl SimDriver {
    /// A lock with the memory that it had, in the file of its name in `folder`.
    ///
    /// # Errors
    /// The memory cannot be read.
    pub fn open(
        device: DeviceId,
        setup: Setup,
        folder: &Path,
        clock: Clock,
        report: Report,
    ) -> Result<SimDriver, OpenError> {
        let file = folder.join(format!("{device}.json"));
        let unreadable = |source| OpenError::Unreadable {
            path: file.clone(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unreadable)?;
        let kept = match fs::read(&file) {
            // Not with the parser's own words: they may quote a PIN.
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|_| OpenError::Damaged { path: file.clone() })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::fresh(),
            Err(error) => return Err(unreadable(error)),
        };
        let capabilities = setup.capabilities.clone();
        let mut lock = SimLock::new(setup, kept.codes);
        lock.move_bolt(kept.locked);
        if kept.away {
            lock.disconnect();
            report(Fact::Lost(device));
        }
        Ok(SimDriver {
            device,
            capabilities,
            clock,
            report,
            file,
            lock: Mutex::new(lock),
        })
    }

    /// The lock's true table.
    #[must_use]
    pub fn table(&self) -> Vec<Entry> {
        self.touch(|lock, _| lock.table())
    }

    /// Whether its bolt is out.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.held().locked()
    }

    /// Brings a fault upon the lock.
    pub fn fault(&self, fault: Fault) {
        self.touch(|lock, now| lock.fault(now.mono, fault));
    }

    /// Somebody changes the lock at the door.
    ///
    /// # Errors
    /// There is no such code, or the lock's own rules forbid the change.
    pub fn by_hand(&self, change: &ByHand) -> Result<Slot, HandError> {
        self.touch(|lock, now| lock.by_hand(now, change))
    }

    /// Somebody types digits at the door: whether it opens.
    #[must_use]
    pub fn keypad(&self, code: &Pin) -> bool {
        self.touch(|lock, now| lock.keypad(now, code))
    }

    /// Brings the lock within reach.
    pub fn connect(&self) {
        if self.touch(|lock, _| lock.connect()) {
            (self.report)(Fact::Heard(self.device));
        }
    }

    /// Takes the lock out of reach.
    pub fn disconnect(&self) {
        if self.touch(|lock, _| lock.disconnect()) {
            (self.report)(Fact::Lost(self.device));
        }
    }

    /// Takes the lock away for good: until the gateway starts again with it in its config.
    pub fn remove(&self) {
        if self.touch(|lock, _| lock.remove()) {
            (self.report)(Fact::Removed(self.device));
        }
    }

    /// One step: half of its time, the change, the other half; so that a kill can fall in between.
    async fn step(&self, step: &Step, busy: &Busy) -> Finding {
        let began = self.clock.in_lock();
        let half = self.held().rehearse(began, step) / 2;
        busy.until(began.mono + half).await;
        let performed = self.touch(|lock, now| lock.perform(now, step));
        busy.until(began.mono + performed.took.max(half)).await;
        performed.finding
    }

    /// Does something with the lock as time has made it, and keeps what changed.
    ///
    /// The file is written while the lock is held and without leaving the task: it has some
    /// hundred rows at most, only simulated locks come here, and the order of the files then is
    /// the order of the changes.
    fn touch<T>(&self, deed: impl FnOnce(&mut SimLock, Now) -> T) -> T {
        let mut lock = self.held();
        let before = Kept::of(&lock);
        let now = self.clock.in_lock();
        lock.pass(now);
        let result = deed(&mut lock, now);
        let after = Kept::of(&lock);
        if after != before
            && let Err(error) = self.keep(&after)
        {
            let file = self.file.display();
            tracing::error!(%file, %error, "a simulated lock cannot keep its memory over a restart");
        }
        result
    }

    /// Writes the whole memory beside the old one, and only then puts it in its place.
    fn keep(&self, kept: &Kept) -> io::Result<()> {
        let fresh = self.file.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&serde_json::to_vec_pretty(kept)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.file)?;
        match self.file.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn held(&self) -> MutexGuard<'_, SimLock> {
        // A panic within a step leaves the lock as some real lock may be left: half done.
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lock for SimDriver {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn exchange<'a>(&'a self, steps: &'a [Step], busy: &'a Busy) -> Findings<'a> {
        Box::pin(async move {
            let mut findings = vec![Finding::Untried; steps.len()];
            for (step, finding) in steps.iter().zip(&mut findings) {
                *finding = self.step(step, busy).await;
                if *finding == Finding::Unanswered {
                    break;
                }
            }
            findings
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::Voucher;
    use crate::model::{CodeId, Content, How, Window};

    const DOOR: DeviceId = DeviceId(uuid::Uuid::nil());

    fn open(folder: &Path, clock: &Clock) -> SimDriver {
        let mut setup = Setup::profile("slots").unwrap();
        // So slow that real time brings nothing about within a test.
        setup.latency = Duration::from_secs(3600);
        setup.capabilities.patience = Duration::from_secs(86_400);
        SimDriver::open(DOOR, setup, folder, clock.clone(), Arc::new(|_| {})).unwrap()
    }

    fn put() -> [Step; 1] {
        let content = Content {
            pin: Pin::parse("4711").unwrap(),
            name: None,
            window: Window::Ongoing,
        };
        [Step::Put {
            code: CodeId(uuid::Uuid::nil()),
            generation: 1,
            slot: Slot(1),
            content,
            stale: Vec::new(),
        }]
    }

    #[tokio::test]
    async fn steered_time_takes_a_step_through_its_change_to_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real(Voucher::System);
        let driver = open(folder.path(), &clock);
        let busy = clock.busy();
        let call = async {
            let findings = driver.exchange(&put(), &busy).await;
            drop(busy);
            findings
        };
        let steering = async {
            let mut held = Vec::new();
            loop {
                clock.quiet().await;
                held.push(driver.table().len());
                let Some(due) = clock.next_sleeper() else {
                    break held;
                };
                clock.jump_to(due);
            }
        };
        let (findings, held) = tokio::join!(call, steering);
        assert_eq!(findings, [Finding::Proven(How::ReadBack)]);
        // Before the change, after it, and after the answer.
        assert_eq!(held, [0, 1, 1]);
    }

    #[tokio::test]
    async fn a_restarted_gateway_meets_the_same_lock() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::real(Voucher::System);
        let add = ByHand::Add {
            slot: Some(Slot(9)),
            code: Pin::parse("4711").unwrap(),
        };
        let first = open(folder.path(), &clock);
        assert_eq!(first.by_hand(&add), Ok(Slot(9)));
        let table = first.table();
        first.disconnect();
        drop(first);
        let second = open(folder.path(), &clock);
        assert_eq!(second.table(), table);
        assert!(second.keypad(&Pin::parse("4711").unwrap()));
        assert!(!second.held().connected());
        let mode = fs::metadata(&second.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&second.file, r#"[{"slot":1,"pin":"4711"#).unwrap();
        let damaged = SimDriver::open(
            DOOR,
            Setup::profile("slots").unwrap(),
            folder.path(),
            clock,
            Arc::new(|_| {}),
        );
        let said = damaged.err().unwrap().to_string();
        assert!(
            said.contains("not the memory of a simulated lock") && !said.contains("4711"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn what_a_radio_would_hear_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let setup = Setup {
            silence_after: Duration::ZERO,
            ..Setup::profile("slots").unwrap()
        };
        let report: Report = Arc::new({
            let heard = heard.clone();
            move |fact| heard.lock().unwrap().push(fact)
        });
        let clock = Clock::real(Voucher::System);
        let driver = SimDriver::open(DOOR, setup, folder.path(), clock.clone(), report).unwrap();
        driver.connect();
        driver.disconnect();
        driver.disconnect();
        let busy = clock.busy();
        let steps = [Step::Read, Step::Read];
        let silence = [Finding::Unanswered, Finding::Untried];
        assert_eq!(driver.exchange(&steps, &busy).await, silence);
        driver.connect();
        driver.remove();
        driver.connect();
        let heard = heard.lock().unwrap();
        let facts = [Fact::Lost(DOOR), Fact::Heard(DOOR), Fact::Removed(DOOR)];
        let same = |(one, other): (&Fact, &Fact)| matches!((one, other), (Fact::Lost(a), Fact::Lost(b)) | (Fact::Heard(a), Fact::Heard(b)) | (Fact::Removed(a), Fact::Removed(b)) if a == b);
        assert!(heard.len() == facts.len() && heard.iter().zip(&facts).all(same));
    }
}
