//! A whole stay in virtual time: booked on four doors of which one is out of reach, the power cut
//! in the middle, the door heard again, the stay moved, ended, and gone from every door.

use std::time::Duration;

use lockbridge::gateway::view::{MemberReceipt, Status};
use lockbridge::gateway::{Answer, Phase};
use lockbridge::model::{Mono, Unshared, Window};
use lockbridge::sim::{Item, LockKind, LockPlan, Plan, World};

const FRONT: usize = 0;
const FAR: usize = 3;

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

fn at(n: u64) -> Mono {
    Mono(0) + minutes(n)
}

fn plan() -> Plan {
    let lock = |profile| LockPlan {
        kind: LockKind::Profile(profile),
        capacity: None,
        radio: 0,
        batch: true,
    };
    Plan {
        seed: 1,
        locks: vec![lock("keypad-6"), lock("slots"), lock("masked"), lock("slots")],
        links: vec![3],
        items: vec![
            Item::Away {
                lock: FAR,
                from: at(1),
                until: at(40),
            },
            Item::Create {
                job: 0,
                at: at(2),
                locks: vec![0, 1, 2, 3],
                window: Some((minutes(28), minutes(118))),
                unshared: Unshared::Throw,
            },
            Item::Update {
                job: 1,
                at: at(60),
                of: 0,
                ends: minutes(120),
            },
        ],
        crashes: Vec::new(),
        length: minutes(24 * 60),
        settings: None,
    }
}

fn receipt(world: &World) -> Vec<MemberReceipt> {
    let (gateway, now) = world.gateway().expect("the gateway runs");
    gateway
        .group(world.group(0).expect("booked"), now)
        .expect("the group is on record")
}

fn statuses(world: &World) -> Vec<Status> {
    receipt(world).iter().map(|member| member.code.status).collect()
}

fn codes_on_locks(world: &World) -> Vec<usize> {
    (0..4).map(|lock| world.table_of(lock).len()).collect()
}

fn phase(world: &World, job: u32) -> Phase {
    let (gateway, now) = world.gateway().expect("the gateway runs");
    gateway.job(&world.job_id(job), now).expect("on record").phase
}

#[test]
fn a_stay_from_booking_to_gone() {
    use Status::{Removing, Set, Setting, Unset};
    let mut world = World::new(plan(), true);

    // Booked: one PIN and one key for all; the lock that knows time has it already.
    world.run_until(at(10));
    let Some(Answer::Created(codes)) = world.answer(0) else {
        panic!("not accepted")
    };
    assert_eq!(codes.len(), 4);
    let pin = codes[0].pin.clone();
    assert!(
        codes
            .iter()
            .all(|code| code.pin == pin && code.group.is_some() && code.group == codes[0].group)
    );
    assert_eq!(codes_on_locks(&world), [1, 0, 0, 0]);
    assert_eq!(statuses(&world), [Unset; 4]);
    assert!(receipt(&world)[FRONT].code.scheduled_on_device);

    // The power fails just as the other doors are being set.
    world.run_until(Mono(at(20).0 + 300));
    world.cut_power();
    world.run_until(at(35));
    assert_eq!(
        statuses(&world),
        [Set, Set, Set, Setting],
        "{:#?}",
        receipt(&world)
    );
    assert_eq!(codes_on_locks(&world), [1, 1, 1, 0]);
    let far = &receipt(&world)[FAR];
    assert!(far.proven.is_none() && far.code.device_offline, "{far:?}");
    let (gateway, now) = world.gateway().expect("the gateway runs");
    let queue = gateway.queue(far.code.device, now).expect("a known device");
    assert_eq!((queue.len(), queue[0].reason.word()), (1, "device_silent"));
    assert!(
        queue[0]
            .next_try
            .is_some_and(|next| next > now.wall && next.since(now.wall) <= minutes(1))
    );
    assert_eq!(phase(&world, 0), Phase::Accepted);

    // Heard again: proven within moments.
    world.run_until(at(41));
    assert_eq!(statuses(&world), [Set; 4]);
    assert_eq!(codes_on_locks(&world), [1; 4]);
    assert!(receipt(&world).iter().all(|member| member.proven.is_some()));
    assert_eq!(phase(&world, 0), Phase::Done);

    // A late check-out: the lock that knows time is told, the others need not be.
    world.run_until(at(62));
    assert_eq!(phase(&world, 1), Phase::Done);
    let ends = receipt(&world)[FRONT].code.window.end();
    assert_eq!(
        world.table_of(FRONT)[0].window,
        receipt(&world)[FRONT].code.window
    );
    assert!(world.table_of(1)[0].window == Window::Ongoing);
    world.run_until(at(130));
    assert_eq!(statuses(&world), [Set; 4], "still open past the first end");

    // The end: every door asked, and empty.
    let (_, now) = world.gateway().expect("the gateway runs");
    let end = Mono(now.mono.0 + u64::try_from(ends.0 - now.wall.0).expect("ahead"));
    world.run_until(Mono(end.0 + 10));
    assert_eq!(statuses(&world), [Removing; 4]);
    world.run_until(end + minutes(1));
    assert_eq!(statuses(&world), [Unset; 4]);
    assert_eq!(codes_on_locks(&world), [0; 4]);
    assert_eq!(world.violation(), None);
    let report = world.run();
    assert_eq!(report.violation, None);
    assert_eq!(report.crashes, 1);
}
