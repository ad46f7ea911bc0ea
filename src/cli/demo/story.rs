//! The stay, act by act. What happens before the gateway is killed and after it runs again must
//! happen at the same time of day: a gateway starts with the machine's clock. So the stay begins
//! now, and time is moved on only when nothing but its end is left.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::screen::Screen;
use super::stage::{DOORS, Door, PAUSE, Stage};
use super::words::{clock_time, date, expect, items, progress, range, text, unmet};
use crate::api::time;
use crate::cli::Failure;
use crate::cli::client::segment;
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::model::Voucher;

/// The door that is out of reach at first.
const AWAY: &Door = &DOORS[3];
const GUEST: &str = "Jane's reservation";
const SIGKILL: i32 = 9;

const HOUR: Duration = Duration::from_secs(3600);
/// A little after: what is told of a moment is true then.
const SOON_AFTER: Duration = Duration::from_secs(60);
/// What is waited for comes within a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays the stay.
pub(super) async fn play(stage: &mut Stage, screen: &mut Screen) -> Result<(), Failure> {
    let clock = Clock::real(Voucher::System);
    let began = clock.now().mono;
    let mut story = Story { stage, screen, clock };
    story.four_doors().await?;
    let booking = story.book().await?;
    let before = story.fan_out(&booking).await?;
    story.kill(&booking, &before).await?;
    story.heard_again(&booking).await?;
    story.late_checkout(&booking).await?;
    story.time_passes(&booking).await?;
    let took = story.clock.now().mono.0.saturating_sub(began.0);
    let line = format!("\nThe story took {} s.", took / 1000);
    Ok(story.screen.say(&line)?)
}

struct Story<'a> {
    stage: &'a mut Stage,
    screen: &'a mut Screen,
    clock: Clock,
}

/// What the caller has in hand once a booking is answered.
struct Booking {
    /// The reply.
    codes: Vec<Value>,
    /// The `common_code_key`.
    key: String,
    /// When the stay was to end at first, and when it ends.
    ends_at: Timestamp,
    later: Timestamp,
}

impl Booking {
    fn pin(&self) -> &Value {
        self.codes.first().map_or(&Value::Null, |code| &code["code"])
    }

    fn receipt(&self) -> String {
        format!("/lockbridge/v1/groups/{}", segment(&self.key))
    }
}

impl Story<'_> {
    async fn four_doors(&mut self) -> Result<(), Failure> {
        self.screen.act("A gateway starts, with four doors")?;
        let id = self.stage.start().await?;
        let (address, log) = (self.stage.address, self.stage.log.display().to_string());
        self.screen.tell(&format!("process {id}: http://{address}"))?;
        self.screen.tell(&format!("its log: {log}"))?;
        let disconnect = json!({"device_id": AWAY.id});
        self.stage
            .post("/devices/simulate/disconnect", disconnect)
            .await?;
        for door in &DOORS {
            let told = self
                .stage
                .get(&format!("/devices/get?device_id={}", door.id))
                .await?;
            let properties = &told["device"]["properties"];
            let online = properties["online"] == true;
            expect(
                online != (door.id == AWAY.id),
                "every door online but the one that was disconnected",
                &told,
            )?;
            self.screen.tell(&format!(
                "{:12} {:9} {:8} PINs of {} digits, {} codes, read back: {}, own schedule: {}",
                text(&told["device"]["display_name"]),
                door.profile,
                if online { "online" } else { "OFFLINE" },
                range(&properties["supported_code_lengths"]),
                properties["max_active_codes_supported"],
                text(&properties["lockbridge"]["read_back"]),
                text(&properties["lockbridge"]["native_window"]),
            ))?;
        }
        Ok(())
    }

    async fn book(&mut self) -> Result<Booking, Failure> {
        self.screen
            .act(&format!("The cloud books {GUEST}, from now on, on all four"))?;
        let now = self.clock.now().wall.floor_second();
        let day = i64::try_from(HOUR.as_millis() * 24).unwrap_or(i64::MAX);
        let tomorrow = Timestamp(now.0 - now.0.rem_euclid(day)) + HOUR * 24;
        let (ends_at, later) = (tomorrow + HOUR * 10, tomorrow + HOUR * 14);
        let ids: Vec<&str> = DOORS.iter().map(|door| door.id).collect();
        let request = json!({
            "device_ids": ids,
            "name": GUEST,
            "starts_at": time::show(now),
            "ends_at": time::show(ends_at),
        });
        self.screen.tell("POST /access_codes/create_multiple")?;
        let reply = self.stage.post("/access_codes/create_multiple", request).await?;
        let booking = Booking {
            codes: items(&reply["access_codes"]).cloned().collect(),
            key: text(&reply["access_codes"][0]["common_code_key"]),
            ends_at,
            later,
        };
        let shared = booking.codes.iter().all(|code| code["code"] == *booking.pin());
        expect(
            booking.codes.len() == DOORS.len() && shared && booking.pin().is_string(),
            "four access codes with one PIN that suits every door",
            &reply,
        )?;
        self.screen.tell(&format!(
            "its reply, at once: code {} on {} doors, until {}",
            text(booking.pin()),
            booking.codes.len(),
            date(&reply["access_codes"][0]["ends_at"]),
        ))?;
        self.screen.tell(&format!("common_code_key {}", booking.key))?;
        Ok(booking)
    }

    /// Returns the receipt in the middle of the work.
    async fn fan_out(&mut self, booking: &Booking) -> Result<Value, Failure> {
        self.screen.act("The codes go onto the doors")?;
        let expected = "two doors proven, and the one out of reach queued with its next try";
        let receipt = self
            .watch(booking, expected, |receipt| {
                let queued = items(&receipt["receipts"]).any(|member| {
                    member["device_id"] == AWAY.id
                        && member["waiting"]["reason"] == "device_silent"
                        && member["waiting"]["tries"] != 0
                });
                queued && receipt["proven"].as_u64() >= Some(2)
            })
            .await?;
        let proven = &receipt["proven"];
        self.screen
            .tell(&format!("the receipt: proven {proven} of {}", receipt["members"]))?;
        self.show_queue().await?;
        Ok(receipt)
    }

    async fn show_queue(&mut self) -> Result<(), Failure> {
        let path = format!("/lockbridge/v1/devices/{}/queue", AWAY.id);
        let told = self.stage.get(&path).await?;
        let row = &told["queue"][0];
        expect(
            row["reason"] == "device_silent",
            "the queue of the door out of reach has the command and its reason",
            &told,
        )?;
        self.screen.tell(&format!(
            "{}'s queue: {}, {}, tries {}, next at {}",
            AWAY.name,
            text(&row["aim"]),
            text(&row["reason"]),
            row["tries"],
            clock_time(&row["next_try"]),
        ))?;
        Ok(self.screen.tell(&format!("its hint: {}", text(&row["hint"])))?)
    }

    async fn kill(&mut self, booking: &Booking, before: &Value) -> Result<(), Failure> {
        self.screen.act("The gateway is killed in the middle of it")?;
        let ended = self.stage.kill().await?;
        expect(
            ended.signal() == Some(SIGKILL),
            "the process ended by SIGKILL",
            &Value::from(ended.to_string()),
        )?;
        self.screen.tell(&format!("the process ended: {ended}"))?;
        let began = self.clock.now().mono;
        let id = self.stage.start().await?;
        let took = self.clock.now().mono.0.saturating_sub(began.0);
        self.screen
            .tell(&format!("started again: process {id}, ready after {took} ms"))?;

        let after = self.stage.get(&booking.receipt()).await?;
        let known =
            |field: &str| -> Vec<Value> { booking.codes.iter().map(|code| code[field].clone()).collect() };
        for field in ["access_code_id", "device_id", "code", "starts_at", "ends_at"] {
            let now: Vec<Value> = items(&after["receipts"])
                .map(|member| member[field].clone())
                .collect();
            expect(
                now == known(field),
                &format!("each `{field}` as it was replied"),
                &after,
            )?;
        }
        let kept = items(&before["receipts"])
            .zip(items(&after["receipts"]))
            .all(|(before, after)| before["proven"].is_null() || before["proven"] == after["proven"]);
        expect(kept, "what was proven is proven as before", &after)?;
        self.screen.tell(&format!(
            "nothing lost: {} access codes as replied, and proven {} of {} as before",
            booking.codes.len(),
            after["proven"],
            after["members"],
        ))?;
        let expected = "every door within reach proven, the other one still queued";
        self.watch(booking, expected, |receipt| {
            items(&receipt["receipts"])
                .all(|member| (member["device_id"] == AWAY.id) == member["proven"].is_null())
        })
        .await?;
        self.show_queue().await
    }

    async fn heard_again(&mut self, booking: &Booking) -> Result<(), Failure> {
        self.screen.act(&format!("{} is heard again", AWAY.name))?;
        let connect = json!({"device_id": AWAY.id});
        self.stage.post("/devices/simulate/connect", connect).await?;
        self.watch(booking, "all doors proven", |receipt| {
            receipt["all_proven"] == true
        })
        .await?;
        for door in &DOORS {
            let table = self.table(door).await?;
            expect(
                table.len() == 1 && table[0]["code"] == *booking.pin(),
                "one code in the lock's own table, with the PIN of the reply",
                &table.into(),
            )?;
        }
        self.tell_tables().await?;
        self.try_code(booking, true).await
    }

    async fn late_checkout(&mut self, booking: &Booking) -> Result<(), Failure> {
        self.screen.act("A late check-out is moved on all doors")?;
        self.screen.tell("POST /access_codes/update_multiple")?;
        let ends_at = time::show(booking.later);
        let request = json!({"common_code_key": booking.key, "ends_at": ends_at});
        self.stage.post("/access_codes/update_multiple", request).await?;
        let expected = "all doors proven with the new end";
        let receipt = self
            .watch(booking, expected, |receipt| {
                let moved = items(&receipt["receipts"]).all(|member| member["ends_at"] == ends_at);
                moved && receipt["all_proven"] == true
            })
            .await?;
        for member in items(&receipt["receipts"]) {
            let (name, end) = (text(&member["device_name"]), date(&member["ends_at"]));
            self.screen.tell(&format!("{name:12} the receipt: until {end}"))?;
        }
        for door in &DOORS {
            let table = self.table(door).await?;
            let own = &table[0]["ends_at"];
            // A lock without a schedule knows no end: the gateway takes its code off.
            expect(
                table.len() == 1 && (own.is_null() || *own == ends_at),
                "the new end in the table of a lock that keeps one",
                &table.into(),
            )?;
        }
        self.tell_tables().await
    }

    async fn time_passes(&mut self, booking: &Booking) -> Result<(), Failure> {
        self.screen
            .act("Simulated time: past the first check-out, the guest still gets in")?;
        self.advance_to(booking.ends_at + SOON_AFTER).await?;
        self.try_code(booking, true).await?;

        self.screen
            .act("Past the late one, every door is asked, and is empty")?;
        self.advance_to(booking.later + SOON_AFTER).await?;
        self.try_code(booking, false).await?;
        for (door, code) in DOORS.iter().zip(&booking.codes) {
            let path = format!(
                "/access_codes/get?access_code_id={}",
                text(&code["access_code_id"])
            );
            let told = self.stage.get(&path).await?;
            let (status, waits) = (
                &told["access_code"]["status"],
                &told["access_code"]["pending_mutations"],
            );
            // `unset` after the end: the lock was asked, and the code is gone.
            let gone = status == "unset" && items(waits).next().is_none();
            expect(gone, "status `unset`, and nothing to be done", &told)?;
            self.screen
                .tell(&format!("{:12} the access code: {}", door.name, text(status)))?;
            let table = self.table(door).await?;
            expect(
                table.is_empty(),
                "nothing left in the lock's own table",
                &table.into(),
            )?;
        }
        self.tell_tables().await?;
        let ready = self.stage.get("/readyz").await?;
        expect(ready["commands_waiting"] == 0, "no command waits", &ready)?;
        Ok(self.screen.tell(&format!(
            "the gateway: {} doors online, {} commands waiting",
            ready["devices"]["online"], ready["commands_waiting"]
        ))?)
    }

    async fn advance_to(&mut self, goal: Timestamp) -> Result<(), Failure> {
        const CLOCK: &str = "/lockbridge/v1/sim/clock";
        let told = self.stage.get(CLOCK).await?;
        let now = told["now"].as_str().and_then(|now| time::parse(now).ok());
        let now = now.ok_or_else(|| unmet("the gateway's time", &told))?;
        let told = self
            .stage
            .post(CLOCK, json!({"advance_s": goal.since(now).as_secs()}))
            .await?;
        Ok(self
            .screen
            .tell(&format!("the gateway's clock: {}", date(&told["now"])))?)
    }

    /// Types the guest's PIN at every door.
    async fn try_code(&mut self, booking: &Booking, opens: bool) -> Result<(), Failure> {
        for door in &DOORS {
            let path = format!("/lockbridge/v1/sim/devices/{}/keypad", door.id);
            let told = self.stage.post(&path, json!({"code": booking.pin()})).await?;
            let expected = format!("{} opens to the guest's code: {opens}", door.name);
            expect(told["opened"] == opens, &expected, &told)?;
            let what = if opens { "opens" } else { "stays shut" };
            self.screen
                .tell(&format!("{:12} {what} to the guest's code", door.name))?;
        }
        Ok(())
    }

    async fn table(&self, door: &Door) -> Result<Vec<Value>, Failure> {
        let path = format!("/lockbridge/v1/sim/devices/{}/table", door.id);
        let told = self.stage.get(&path).await?;
        Ok(items(&told["codes"]).cloned().collect())
    }

    async fn tell_tables(&mut self) -> Result<(), Failure> {
        for door in &DOORS {
            let table = self.table(door).await?;
            let held = table.iter().map(|row| {
                let until = match &row["ends_at"] {
                    Value::Null => String::new(),
                    end => format!(" until {}", date(end)),
                };
                format!("slot {} holds a code{until}", row["slot"])
            });
            let held = held.collect::<Vec<_>>().join(", ");
            let held = if held.is_empty() { "empty" } else { &held };
            self.screen
                .tell(&format!("{:12} its own table: {held}", door.name))?;
        }
        Ok(())
    }

    /// Shows how the doors get on until the receipt is as expected.
    async fn watch(
        &mut self,
        booking: &Booking,
        expected: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let deadline = self.clock.now().mono + PATIENCE;
        loop {
            let receipt = self.stage.get(&booking.receipt()).await?;
            self.show_progress(&receipt)?;
            if holds(&receipt) {
                return Ok(receipt);
            }
            if self.clock.now().mono > deadline {
                return Err(unmet(expected, &receipt));
            }
            self.clock.sleep(PAUSE).await;
        }
    }

    fn show_progress(&mut self, receipt: &Value) -> io::Result<()> {
        let now = self.clock.now().wall;
        self.screen.live(items(&receipt["receipts"]).map(|member| {
            let (reached, how_far) = progress(member, now);
            let name = text(&member["device_name"]);
            let status = text(&member["status"]);
            (reached, format!("{name:12} {status:8} {how_far}"))
        }))
    }
}
