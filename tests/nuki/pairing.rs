//! Pairing with the simulated lock.

use lockbridge::lock::nuki::{
    Applicant, Characteristic, Credentials, ErrorCode, Kept, LinkLost, NukiDriver, Pairing, PairingError,
    SecurityPin, Trouble, Turn, capabilities, pair,
};
use lockbridge::model::{Finding, Step};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::air::{Air, Cut, Spoil};
use super::house::{House, KINDS, PROVEN, content, driver_of, model, put, right_pin, stay, wrong_pin};
use super::lock::wire::plain;
use super::lock::{Kind, SimLock};

async fn try_pairing(
    lock: &mut SimLock,
    air: &mut Air,
    pin: SecurityPin,
    seed: u64,
) -> Result<Credentials, PairingError> {
    let applicant = Applicant {
        app_id: 77,
        name: "lockbridge at Villa Sieben, für Gäste".to_owned(),
    };
    let mut link = air.link(lock).expect("nobody else is connected");
    let keep = |_: &Credentials| -> Kept<'_> { Box::pin(async { true }) };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    pair(&mut link, &mut rng, applicant, pin, &keep).await
}

#[tokio::test]
async fn a_pairing_leaves_credentials_that_work() {
    for kind in KINDS {
        for lengths in [vec![512], vec![20], vec![1], vec![7, 1, 30]] {
            let mut lock = SimLock::new(kind, 1);
            lock.pairing = true;
            let mut air = Air::clear();
            air.lengths = lengths;
            let credentials = try_pairing(&mut lock, &mut air, right_pin(kind), 2)
                .await
                .unwrap();
            let user = &lock.users[&credentials.authorization];
            assert_eq!((user.kind, user.app_id), (0, 77));
            // 32 bytes, and no half of a letter.
            assert_eq!(user.name, "lockbridge at Villa Sieben, für");
            assert_eq!(&user.key, credentials.key.expose());
            assert_eq!(credentials.model, model(kind));

            let mut driver = NukiDriver::new(credentials, right_pin(kind), capabilities());
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let steps = [put(&content(739_185, stay(1, 24)), &[]), Step::Read];
            let mut link = air.link(&mut lock).unwrap();
            let found = driver
                .exchange(&mut link, &mut rng, &|| None, &steps)
                .await
                .findings;
            assert_eq!(found[0], PROVEN);
            assert!(matches!(&found[1], Finding::Table(table) if table.len() == 1));
        }
    }
}

#[tokio::test]
async fn a_lock_that_deletes_us_answers_nothing_more() {
    for kind in KINDS {
        let mut house = House::new(kind, 1);
        let (driver, mut link, rng) = house.parts();
        assert_eq!(driver.be_deleted(&mut link, rng).await, Ok(()));
        assert!(house.lock.users.is_empty());
        assert_eq!(house.ask(&[Step::Read]).await, [Finding::Unanswered]);

        let mut house = House::new(kind, 1);
        house.driver = driver_of(kind, wrong_pin(kind));
        let (driver, mut link, rng) = house.parts();
        let refused = driver.be_deleted(&mut link, rng).await;
        assert_eq!(refused, Err(Trouble::Refused(ErrorCode::BAD_PIN)));
        assert_eq!((house.lock.users.len(), house.driver.has_pin()), (1, false));
    }
}

#[tokio::test]
async fn two_pairings_share_no_key() {
    for kind in KINDS {
        let mut lock = SimLock::new(kind, 1);
        lock.pairing = true;
        let mut air = Air::clear();
        let first = try_pairing(&mut lock, &mut air, right_pin(kind), 2)
            .await
            .unwrap();
        let second = try_pairing(&mut lock, &mut air, right_pin(kind), 3)
            .await
            .unwrap();
        assert_ne!(first.authorization, second.authorization);
        assert_ne!(first.key, second.key);
        assert_eq!(lock.users.len(), 2);
    }
}

#[tokio::test]
async fn a_lock_whose_ring_is_dark_says_what_to_do() {
    for kind in KINDS {
        let mut lock = SimLock::new(kind, 1);
        let refused = try_pairing(&mut lock, &mut Air::clear(), right_pin(kind), 2).await;
        assert_eq!(refused, Err(PairingError::NotPairing));
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("hold its button for five seconds"), "{said}");
    }
}

#[tokio::test]
async fn an_ultra_refuses_a_wrong_security_pin() {
    let mut lock = SimLock::new(Kind::Ultra, 1);
    lock.pairing = true;
    let refused = try_pairing(&mut lock, &mut Air::clear(), wrong_pin(Kind::Ultra), 2).await;
    assert_eq!(refused, Err(PairingError::Refused(ErrorCode::BAD_PIN)));
    assert!(lock.users.is_empty());
}

/// Whatever is cut or spoilt, it ends, and with an error unless nothing was amiss for the lock.
#[tokio::test]
async fn a_pairing_over_bad_air_ends_and_is_not_believed() {
    for kind in KINDS {
        let mut lock = SimLock::new(kind, 1);
        lock.pairing = true;
        let mut air = Air::clear();
        try_pairing(&mut lock, &mut air, right_pin(kind), 2)
            .await
            .unwrap();
        let (writes, indications) = (air.writes, air.indications);
        assert!(writes >= 4 && indications >= 8, "{writes} {indications}");

        let cuts = (0..writes)
            .flat_map(|at| [Cut::BeforeWrite(at), Cut::AfterWrite(at)])
            .chain((0..indications).map(Cut::Indication));
        for cut in cuts {
            let mut lock = SimLock::new(kind, 1);
            lock.pairing = true;
            let mut air = Air::clear();
            air.cut = Some(cut);
            let lost = try_pairing(&mut lock, &mut air, right_pin(kind), 2).await;
            // The fourth write tells an Ultra the security PIN: from there on nobody may try again by himself.
            let expected = match (kind, air.writes) {
                (Kind::Ultra, 4..) => PairingError::AnswerLost,
                _ => PairingError::Link(LinkLost),
            };
            assert_eq!(lost, Err(expected), "{kind:?} {cut:?}");
            // The next try finds nothing in its way.
            air.cut = None;
            try_pairing(&mut lock, &mut air, right_pin(kind), 4)
                .await
                .unwrap();
        }
        for at in 0..indications {
            for spoil in [Spoil::Garbage, Spoil::Truncated, Spoil::Flipped, Spoil::Replayed] {
                let mut lock = SimLock::new(kind, 1);
                lock.pairing = true;
                let mut air = Air::clear();
                air.spoil = Some((at, spoil));
                let spoilt = try_pairing(&mut lock, &mut air, right_pin(kind), 2).await;
                match spoilt {
                    // Before and in the first message there is nothing to replay.
                    Ok(_) => assert!(at < 2 && spoil == Spoil::Replayed, "{kind:?} {at} {spoil:?}"),
                    Err(_) => assert!(at >= 2 || spoil != Spoil::Replayed, "{kind:?} {at} {spoil:?}"),
                }
            }
        }
    }
}

/// What somebody says who stands between us and the lock, with checksums that are right.
#[test]
fn an_impostor_is_not_believed() {
    let begin = || {
        let applicant = Applicant {
            app_id: 77,
            name: "lockbridge".to_owned(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (pairing, first) = Pairing::begin(applicant, right_pin(Kind::Classic), &mut rng);
        (pairing, first, rng)
    };
    let characteristic = Characteristic::Pairing(model(Kind::Classic)).uuid();
    // Byte 32 and the three after it are the authorization id.
    for changed in 0..84 {
        let mut lock = SimLock::new(Kind::Classic, 1);
        lock.pairing = true;
        let (mut pairing, mut said, mut rng) = begin();
        let error = loop {
            let mut heard = lock.write(characteristic, &said).remove(0).value;
            if heard[0] == 0x07 {
                heard[2 + changed] ^= 1;
                heard = plain(0x07, &heard[2..86]);
            }
            match pairing.hear(&heard, &mut rng) {
                Ok(Turn::Say(next, message)) => (pairing, said) = (next, message),
                Ok(_) => panic!("byte {changed} was believed"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, PairingError::NotAuthentic, "byte {changed}");
    }
    // Keys with which everybody comes to the same secret.
    let mut one = [0; 32];
    one[0] = 1;
    for key in [[0; 32], one] {
        let (pairing, _, mut rng) = begin();
        let weak = pairing.hear(&plain(0x03, &key), &mut rng).err();
        assert_eq!(weak, Some(PairingError::NotAuthentic));
    }
    // Out of turn.
    let (pairing, _, mut rng) = begin();
    let early = pairing.hear(&plain(0x0e, &[0]), &mut rng).err();
    assert_eq!(early, Some(PairingError::OutOfTurn));
}
