//! Which request is a repeat of one whose answer was lost, and which is a new one.

use std::collections::VecDeque;
use std::time::Duration;

use lockbridge::gateway::{Answer, Ask, DeviceSpec, Door, Effect, Event, Gateway, Token, Verb};
use lockbridge::lock::sim::Setup;
use lockbridge::model::{
    Boot, Caller, CodeId, CreateMultiple, Delete, DeviceId, JobId, Mono, Now, RadioId, Reason, Request,
    Settings, Timestamp, Unshared, UpdateMultiple, Window,
};
use lockbridge::store::{MemoryStore, SealKey, Store, Vault};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use uuid::Uuid;

const DEVICE: DeviceId = DeviceId(Uuid::from_u128(1));
const BOOT: Boot = Boot {
    id: Uuid::from_u128(9),
    up: 0,
    at: Mono(0),
};
/// 2027-01-04T00:00:00Z.
const START: Timestamp = Timestamp(1_799_020_800_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A gateway over one lock that nobody gets to hear, and its store.
struct Site {
    gateway: Gateway,
    disk: MemoryStore,
    now: Now,
    rng: ChaCha8Rng,
    commits: usize,
    tokens: u64,
}

fn booted(disk: &mut MemoryStore, now: Now) -> Gateway {
    let (vault, content) = Vault::open(disk, &SealKey::new([7; SealKey::BYTES]), [1; 16]).unwrap();
    let radio = RadioId("radio".into());
    let lock = DeviceSpec {
        device: DEVICE,
        name: "Front door".into(),
        driver: "sim".into(),
        radio: radio.clone(),
        capabilities: Setup::profile("slots").unwrap().capabilities,
        simulated: true,
    };
    let (devices, radios) = (vec![lock], [(radio, 1)].into());
    let (gateway, _) = Gateway::boot(
        vault,
        content,
        devices,
        radios,
        Settings::default(),
        BOOT,
        now.known(),
    )
    .unwrap();
    gateway
}

impl Site {
    fn new() -> Site {
        let mut disk = MemoryStore::new();
        let now = Now {
            wall: START,
            mono: Mono(0),
        };
        Site {
            gateway: booted(&mut disk, now),
            disk,
            now,
            rng: ChaCha8Rng::seed_from_u64(1),
            commits: 0,
            tokens: 0,
        }
    }

    fn wait(&mut self, span: Duration) {
        self.now.wall = self.now.wall + span;
        self.now.mono = self.now.mono + span;
    }

    /// The power fails, and is back at once.
    fn reboot(&mut self) {
        self.disk.crash(0);
        self.now.mono = Mono(0);
        self.gateway = booted(&mut self.disk, self.now);
    }

    /// Lets an event happen, with all that follows at once; the answer, if there is one.
    fn tell(&mut self, event: Event) -> Option<(JobId, Answer)> {
        let mut answered = None;
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let mut effects = Vec::new();
            self.gateway
                .handle(self.now.known(), event, &mut self.rng, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Commit(ticket, batch) => {
                        self.commits += 1;
                        self.disk.commit(&batch).unwrap();
                        self.disk.sync().unwrap();
                        events.push_back(Event::Synced(ticket));
                    }
                    Effect::Reply { job, answer, .. } => answered = Some((job, answer)),
                    Effect::Drive(_) | Effect::Changed(_) | Effect::Export | Effect::WakeAt(_) => {}
                }
            }
        }
        answered
    }

    fn ask(
        &mut self,
        caller: &str,
        handle: Option<&str>,
        verb: Verb,
        hash: u8,
        request: Request,
    ) -> (JobId, Answer) {
        self.tokens += 1;
        let ask = Ask {
            token: Token(self.tokens),
            caller: Caller(caller.into()),
            verb,
            door: Door::Http {
                handle: handle.map(str::to_owned),
            },
            hash: [hash; 32],
            request: Ok(request),
        };
        self.tell(Event::Ask(Box::new(ask)))
            .expect("every request is answered")
    }

    /// Books the door for a time that is far off.
    fn book_as(&mut self, caller: &str, handle: Option<&str>, hash: u8) -> (JobId, Answer) {
        let request = CreateMultiple {
            devices: vec![DEVICE],
            code: None,
            preferred_length: None,
            unshared: Unshared::Throw,
            name: None,
            window: Window::Bound {
                starts_at: START + DAY,
                ends_at: START + DAY * 2,
            },
            attempt_offline: true,
            prefer_native: false,
        };
        let request = Request::CreateMultiple(request);
        self.ask(caller, handle, Verb::CreateMultiple, hash, request)
    }

    fn book(&mut self) -> (JobId, Answer) {
        self.book_as("jane", None, 1)
    }

    fn delete(&mut self, code: CodeId) -> (JobId, Answer) {
        let request = Request::Delete(Delete { code, device: None });
        self.ask("jane", None, Verb::Delete, 9, request)
    }

    /// Groups on record.
    fn groups(&self) -> usize {
        self.gateway.groups().count()
    }

    /// Something that is stored.
    fn something_else(&mut self) {
        self.book_as("somebody", None, 200);
    }
}

fn code(answer: &Answer) -> CodeId {
    match answer {
        Answer::Created(views) => views[0].code,
        other => panic!("no code was made: {other:?}"),
    }
}

#[test]
fn a_lost_answer_is_given_again() {
    let mut site = Site::new();
    let first = site.book();
    site.wait(2 * MINUTE);
    assert_eq!(site.book(), first);
    assert_eq!(site.groups(), 1);
    // The repeat's own answer arrives; who asks now means it.
    site.tell(Event::Answered(first.0.clone()));
    assert_ne!(site.book(), first);
    assert_eq!(site.groups(), 2);
}

#[test]
fn an_answer_that_did_not_get_there_after_all_is_given_again() {
    let mut site = Site::new();
    let first = site.book();
    site.tell(Event::Answered(first.0.clone()));
    site.tell(Event::AnswerLost(first.0.clone()));
    assert_eq!(site.book(), first);
    assert_eq!(site.groups(), 1);
    // What comes too late does not stand in the way of a later booking's own answer.
    site.tell(Event::Answered(first.0.clone()));
    let second = site.book();
    site.tell(Event::AnswerLost(first.0.clone()));
    assert_eq!(site.book(), second);
    assert_eq!(site.groups(), 2);
}

#[test]
fn after_two_minutes_it_is_a_new_request() {
    let mut site = Site::new();
    let first = site.book();
    site.wait(2 * MINUTE + SECOND);
    let second = site.book();
    assert_ne!(second.0, first.0);
    site.wait(MINUTE);
    assert_eq!(site.book(), second);
    assert_eq!(site.groups(), 2);
}

#[test]
fn a_clock_that_was_moved_makes_nothing_a_repeat_for_ever() {
    let mut site = Site::new();
    let first = site.book();
    site.now.wall = site.now.wall - MINUTE;
    assert_eq!(site.book(), first);
    site.now.wall = site.now.wall - 2 * MINUTE;
    assert_ne!(site.book(), first);
}

#[test]
fn another_body_or_caller_or_a_handle_is_another_request() {
    let mut site = Site::new();
    let first = site.book();
    let others = [
        site.book_as("jane", None, 2),
        site.book_as("john", None, 1),
        site.book_as("jane", Some("handle"), 1),
    ];
    assert!(others.iter().all(|other| other.0 != first.0));
    assert_eq!(site.groups(), 4);
    // A handle is a rule of its own: for ever, and for its own requests alone.
    assert_eq!(site.book(), first);
    site.tell(Event::Answered(others[2].0.clone()));
    site.wait(DAY / 2);
    assert_eq!(site.book_as("jane", Some("handle"), 1), others[2]);
    assert_ne!(site.book().0, others[2].0);
}

#[test]
fn what_was_lost_is_known_after_a_start() {
    let mut site = Site::new();
    let first = site.book();
    site.reboot();
    assert_eq!(site.book(), first);
    assert_eq!(site.groups(), 1);
}

#[test]
fn a_mark_makes_no_batch_and_goes_with_the_next() {
    let mut site = Site::new();
    let first = site.book();
    let commits = site.commits;
    site.tell(Event::Answered(first.0.clone()));
    assert_eq!(site.commits, commits);
    // Lost with the power: then it counts as unanswered.
    site.reboot();
    assert_eq!(site.book(), first);

    site.tell(Event::Answered(first.0.clone()));
    site.something_else();
    site.reboot();
    assert_ne!(site.book(), first);
}

#[test]
fn a_delete_that_comes_again_is_told_the_same() {
    let mut site = Site::new();
    let (_, created) = site.book();
    let code = code(&created);
    let first = site.delete(code);
    assert_eq!(first.1, Answer::Ok);
    site.tell(Event::Timer);
    assert!(
        site.gateway.code(code, site.now).is_none(),
        "no lock ever held it"
    );
    assert_eq!(site.delete(code), first);
    site.reboot();
    assert_eq!(site.delete(code), first);

    site.tell(Event::Answered(first.0));
    let Answer::Refused(refusal) = site.delete(code).1 else {
        panic!("there is no such code any more")
    };
    assert_eq!(refusal.reason, Reason::AccessCodeNotFound);
}

#[test]
fn an_update_is_carried_out_again() {
    let mut site = Site::new();
    let (_, created) = site.book();
    let Answer::Created(views) = created else {
        panic!("it was booked")
    };
    let key = views[0].group.clone().unwrap();
    let mut update = || {
        let request = UpdateMultiple {
            key: key.clone(),
            starts_at: None,
            ends_at: Some(START + DAY * 3),
            name: None,
        };
        site.ask(
            "jane",
            None,
            Verb::UpdateMultiple,
            5,
            Request::UpdateMultiple(request),
        )
    };
    let (first, second) = (update(), update());
    assert_ne!(first.0, second.0);
    assert_eq!((first.1, second.1), (Answer::Ok, Answer::Ok));
}
