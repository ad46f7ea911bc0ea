//! Over a link that does what a test wants.

use std::sync::Mutex;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::api::answer::Site;
use crate::clock::Clock;
use crate::config::Discovery;
use crate::model::{Settings, Timestamp, Voucher};
use crate::mqtt::link::{Delivery, NotTaken, Receipt};
use crate::mqtt::topic::Tree;
use crate::shell;

const PATIENCE: Duration = Duration::from_secs(20);
const WINDOW: usize = 8;

/// What the link does not take: every message that has these words in it.
type Objection = Arc<Mutex<Option<(&'static str, NotTaken)>>>;

struct Scripted {
    happens: UnboundedReceiver<Happening>,
    tried: UnboundedSender<Tried>,
    objection: Objection,
    numbers: Number,
}

/// A message that was to be handed over.
struct Tried {
    topic: String,
    taken: Result<Number, NotTaken>,
    told: Value,
}

impl Link for Scripted {
    fn subscribe(&mut self, _: &str, _: Wanted) -> Result<(), NotTaken> {
        Ok(())
    }

    fn unsubscribe(&mut self, _: &str) -> Result<(), NotTaken> {
        Ok(())
    }

    fn publish(&mut self, message: Message) -> Result<Number, NotTaken> {
        let text = String::from_utf8(message.payload).unwrap();
        let objection = *self.objection.lock().unwrap();
        let taken = match objection {
            Some((words, why)) if text.contains(words) => Err(why),
            _ => {
                self.numbers += 1;
                Ok(self.numbers)
            }
        };
        let told = serde_json::from_str(&text).unwrap_or_default();
        let topic = message.topic.into_string();
        self.tried.send(Tried { topic, taken, told }).unwrap();
        taken
    }

    fn acknowledge(&mut self, _: Receipt) {}

    fn leave(&mut self) {}

    async fn next(&mut self) -> Happening {
        self.happens.recv().await.unwrap_or(Happening::Over)
    }
}

/// The other end of the link, and the core behind the session.
struct Scene {
    say: UnboundedSender<Happening>,
    tried: UnboundedReceiver<Tried>,
    objection: Objection,
    core: Core,
    clock: Clock,
}

impl Scene {
    fn up(&self) {
        self.say(Happening::Up { window: WINDOW });
    }

    fn say(&self, happening: Happening) {
        self.say.send(happening).ok().unwrap();
    }

    fn object(&self, objection: Option<(&'static str, NotTaken)>) {
        *self.objection.lock().unwrap() = objection;
    }

    /// So many more events.
    async fn happen(&self, events: usize) {
        for _ in 0..events {
            let trusted = self.clock.reading().trusted;
            self.clock.set_trusted(!trusted);
            self.core.tell(Event::Timer).await.unwrap();
            // Not before it is done.
            self.core.look(|_, _| ()).await.unwrap();
        }
    }

    /// Lets the session take in what was said.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    /// Confirms everything until the gateway says that it is there.
    async fn birth(&mut self) {
        loop {
            let tried = timeout(PATIENCE, self.tried.recv()).await;
            let tried = tried.expect("more").expect("the session goes on");
            self.say(Happening::Taken(tried.taken.unwrap()));
            if tried.topic.ends_with("gw1/status") {
                break;
            }
        }
        self.settle().await;
    }

    /// A word to a door that the broker keeps, and sends as if there were no end to it.
    fn keeps(&self, door: usize) {
        self.say(Happening::Came(Delivery {
            receipt: Receipt { epoch: 1, packet: 0 },
            topic: format!("lockbridge/villa-7/gw1/device/00000000-0000-0000-0000-{door:012}/set"),
            payload: b"UNLOCK".to_vec(),
            retained: true,
            now: true,
            response_topic: None,
            correlation: None,
            expiry: None,
        }));
    }

    /// What was handed over by now.
    fn handed(&mut self) -> Vec<Tried> {
        std::iter::from_fn(|| self.tried.try_recv().ok()).collect()
    }

    /// Confirms everything until an event is to be handed over, or that some are lost.
    async fn event(&mut self) -> Tried {
        loop {
            let tried = timeout(PATIENCE, self.tried.recv()).await;
            let tried = tried.expect("an event").expect("the session goes on");
            if tried.told["event_type"].is_string() {
                return tried;
            }
            self.say(Happening::Taken(tried.taken.unwrap()));
        }
    }

    /// The number of the next event, which is confirmed.
    async fn seq(&mut self) -> u64 {
        let tried = self.event().await;
        self.say(Happening::Taken(tried.taken.unwrap()));
        tried.told["seq"].as_u64().unwrap()
    }
}

/// Lets a test tell its story while a session runs whose core keeps so many events.
async fn tell<F: Future<Output = ()>>(events: usize, story: impl FnOnce(Scene) -> F) {
    let clock = Clock::real(Voucher::System);
    let mut settings = Settings::default();
    settings.limits.events = events;
    let core = shell::bare(&clock, settings);
    let (say, happens) = unbounded_channel();
    let (tell, tried) = unbounded_channel();
    let objection = Objection::default();
    let link = Scripted {
        happens,
        tried: tell,
        objection: objection.clone(),
        numbers: 0,
    };
    let frame = Frame {
        tree: Tree::new("villa-7", "gw1", "lockbridge/villa-7/reply/", "homeassistant"),
        site: Site::new("villa-7", "gw1"),
        show_names: false,
        started_at: Timestamp(0),
        clock: "system",
        discovery: Discovery::Device,
        instance: "1".into(),
        connection: 0,
    };
    let session = Session::new(link, core.clone(), frame, watch::channel(false).0, 1);
    let scene = Scene {
        say,
        tried,
        objection,
        core,
        clock,
    };
    let (_go_on, stop) = watch::channel(false);
    tokio::select! {
        biased;
        _ = session.run(stop) => panic!("the session ended"),
        () = story(scene) => {}
    }
}

#[tokio::test]
async fn an_event_that_met_a_lost_connection_is_sent_over_the_next() {
    tell(100, |mut scene| async move {
        scene.up();
        scene.happen(1).await;
        assert_eq!(scene.seq().await, 1);
        // Else the first, which is not confirmed yet, comes twice.
        scene.settle().await;
        scene.object(Some(("seq", NotTaken::Down)));
        scene.happen(1).await;
        assert_eq!(scene.event().await.taken, Err(NotTaken::Down));
        scene.say(Happening::Down);
        scene.settle().await;
        scene.object(None);
        scene.up();
        assert_eq!(scene.seq().await, 2);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_the_broker_will_never_take_is_told_to_be_lost_and_holds_up_no_other() {
    tell(100, |mut scene| async move {
        let most = 1;
        scene.object(Some(("\"seq\":2", NotTaken::TooLarge { bytes: 2, most })));
        scene.happen(3).await;
        scene.up();
        assert_eq!(scene.seq().await, 1);
        assert!(scene.event().await.taken.is_err());
        let lost = scene.event().await;
        assert_eq!((&lost.told["from"], &lost.told["to"]), (&2.into(), &2.into()));
        assert_eq!(scene.seq().await, 3);
    })
    .await;
}

#[tokio::test]
async fn that_events_are_lost_is_told_of_all_of_them_until_the_broker_has_it() {
    tell(2, |mut scene| async move {
        scene.happen(5).await;
        scene.up();
        let lost = |told: &Value| (told["from"].as_u64(), told["to"].as_u64());
        let first = scene.event().await;
        assert_eq!(lost(&first.told), (Some(1), Some(3)));
        scene.say(Happening::Refused(first.taken.unwrap(), "QuotaExceeded".into()));
        // Those after it were under way.
        assert_eq!((scene.seq().await, scene.seq().await), (4, 5));
        scene.settle().await;
        scene
            .clock
            .jump_to(scene.clock.now().mono + Duration::from_secs(60));
        assert_eq!(lost(&scene.event().await.told), (Some(1), Some(3)));

        // Confirmed are those after it, and the connection is cut.
        assert_eq!((scene.seq().await, scene.seq().await), (4, 5));
        scene.settle().await;
        scene.say(Happening::Down);
        scene.up();
        assert_eq!(lost(&scene.event().await.told), (Some(1), Some(3)));
    })
    .await;
}

#[tokio::test]
async fn kept_words_are_cleared_once_each_and_as_the_broker_confirms_it() {
    tell(100, |mut scene| async move {
        scene.up();
        scene.birth().await;
        for _ in 0..50 {
            scene.keeps(0);
        }
        scene.settle().await;
        let first = scene.handed();
        assert_eq!(first.len(), 1);

        for door in 0..50 {
            scene.keeps(door);
        }
        scene.settle().await;
        let mut under_way = scene.handed();
        assert_eq!(first.len() + under_way.len(), WINDOW);
        under_way.extend(first);
        let mut cleared = BTreeSet::new();
        while !under_way.is_empty() {
            for tried in under_way {
                assert!(cleared.insert(tried.topic));
                scene.say(Happening::Taken(tried.taken.unwrap()));
            }
            scene.settle().await;
            under_way = scene.handed();
        }
        assert_eq!(cleared.len(), 50);
    })
    .await;
}
