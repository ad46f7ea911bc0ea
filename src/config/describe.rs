//! What was understood, for `check-config`. Secrets are blanked.

use std::fmt::{self, Display, Formatter};

use super::{Config, Discovery, Driver, span};
use crate::model::{NativeWindow, ReadBack, Untrusted};

impl Config {
    /// What was understood, for people: one line each, no secret among them.
    #[must_use]
    pub fn describe(&self) -> String {
        Description(self).to_string()
    }
}

struct Description<'a>(&'a Config);

impl Display for Description<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let config = self.0;
        writeln!(f, "gateway      {} of site {}", config.gateway, config.site)?;
        writeln!(f, "data         {}", config.data_dir.display())?;
        match &config.key_file {
            Some(file) => writeln!(f, "store key    {}", file.display())?,
            None => writeln!(f, "store key    at its default place")?,
        }
        writeln!(f, "reserve      {} MB", config.reserve >> 20)?;
        match &config.export_dir {
            Some(dir) => writeln!(f, "exports      {}", dir.display())?,
            None => writeln!(f, "exports      in the data directory")?,
        }
        writeln!(f, "log          {}", config.log.as_str().to_lowercase())?;
        let http = &config.http;
        let timeout = span::print(http.timeout);
        match &http.identity {
            Some(identity) => writeln!(
                f,
                "https        {}, time-out {timeout}, as {}",
                http.listen,
                identity.cert.display()
            )?,
            None => writeln!(f, "http         {}, time-out {timeout}", http.listen)?,
        }
        self.mqtt(f)?;
        self.zwave(f)?;
        match &config.ble {
            Some(ble) => writeln!(f, "bluetooth    {}, {} links", ble.adapter, ble.links)?,
            None => writeln!(f, "bluetooth    none")?,
        }
        self.settings(f)?;
        writeln!(f, "clock        vouched for by: {}", config.clock.word())?;
        let untrusted = match config.settings.untrusted {
            Untrusted::Hold => "hold to what is proven",
            Untrusted::Proceed => "go by the system's clock",
        };
        writeln!(f, "untrusted    {untrusted}")?;
        writeln!(
            f,
            "unlock       {}",
            if config.settings.remote_unlock {
                "from afar too"
            } else {
                "not from afar"
            }
        )?;
        writeln!(f, "sim radio    {} links", config.sim_links)?;
        for device in &config.devices {
            let Driver::Sim(setup) = &device.driver;
            let lock = &setup.capabilities;
            let lengths: Vec<String> = lock.lengths.iter().map(u8::to_string).collect();
            writeln!(
                f,
                "device       {} \"{}\": sim on radio {}; {} codes of {} digits, read_back {}, window {}, latency {}",
                device.id,
                device.name,
                device.radio.0,
                lock.capacity,
                lengths.join("/"),
                read_back(lock.read_back),
                window(lock.window),
                span::print(setup.latency),
            )?;
        }
        for file in config.withheld() {
            let problem = format!("only the service can look at {}", file.path.display());
            writeln!(f, "not checked  {}", file.wrong(&problem))?;
        }
        Ok(())
    }
}

/// As it is written.
fn read_back(read_back: ReadBack) -> &'static str {
    match read_back {
        ReadBack::Full => "full",
        ReadBack::Masked => "masked",
        ReadBack::None => "none",
    }
}

/// As it is written.
fn window(window: NativeWindow) -> &'static str {
    match window {
        NativeWindow::None => "none",
        NativeWindow::Minutes => "minutes",
        NativeWindow::Seconds => "seconds",
    }
}

impl Description<'_> {
    fn mqtt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(mqtt) = &self.0.mqtt else {
            return writeln!(f, "mqtt         none");
        };
        let user = mqtt.username.as_deref();
        let user = user.map_or("without a user".to_owned(), |user| format!("as {user}"));
        let password = if mqtt.password.is_some() {
            ", password (hidden)"
        } else {
            ""
        };
        let names = if mqtt.show_names { "show" } else { "hide" };
        let how = match &mqtt.tls {
            Some(tls) => format!("mqtts, vouched for by {}", tls.ca.display()),
            None => "mqtt".to_owned(),
        };
        writeln!(
            f,
            "mqtt         {}:{} {user}{password}; {how}",
            mqtt.host, mqtt.port
        )?;
        if let Some(identity) = mqtt.tls.as_ref().and_then(|tls| tls.identity.as_ref()) {
            writeln!(f, "mqtt as      {}", identity.cert.display())?;
        }
        let (alive, most) = (span::print(mqtt.keep_alive), span::print(mqtt.backoff_max));
        writeln!(
            f,
            "mqtt link    a sign of life every {alive}, pauses up to {most}"
        )?;
        writeln!(f, "mqtt replies below {}; names: {names}", mqtt.reply_prefix)?;
        let form = match mqtt.discovery {
            Discovery::Off => "off",
            Discovery::Device => "one message for each device",
            Discovery::Component => "one message for each entity",
        };
        writeln!(f, "discovery    below {}: {form}", mqtt.discovery_prefix)
    }

    fn zwave(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(zwave) = &self.0.zwave else {
            return writeln!(f, "zwave        none");
        };
        let how = match &zwave.tls {
            Some(tls) => format!("wss, vouched for by {}", tls.ca.display()),
            None => "ws".to_owned(),
        };
        let most = span::print(zwave.backoff_max);
        writeln!(
            f,
            "zwave        {}:{}; {how}; pauses up to {most}",
            zwave.host, zwave.port
        )?;
        for rules in &zwave.locks {
            write!(f, "zwave lock   {}:", rules.which)?;
            let list = |numbers: Vec<String>| numbers.join("/");
            if let Some(name) = &rules.name {
                write!(f, " \"{name}\";")?;
            }
            if let Some(lengths) = &rules.lengths {
                write!(
                    f,
                    " codes of {} digits;",
                    list(lengths.iter().map(u8::to_string).collect())
                )?;
            }
            if let Some(alphabet) = rules.alphabet {
                write!(f, " of {};", String::from_utf8_lossy(&alphabet.digits()))?;
            }
            if let Some(slots) = rules.slots {
                write!(f, " slots up to {slots};")?;
            }
            if !rules.reserved.is_empty() {
                let slots = rules.reserved.iter().map(|slot| slot.0.to_string()).collect();
                write!(f, " not {};", list(slots))?;
            }
            if let Some(read_back) = rules.read_back {
                write!(f, " read_back {};", self::read_back(read_back))?;
            }
            writeln!(
                f,
                " {}",
                match rules.allow_unsecured {
                    true => "PINs even without encryption",
                    false => "PINs only with encryption",
                }
            )?;
        }
        Ok(())
    }

    fn settings(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let settings = &self.0.settings;
        let spans = [
            ("lead", settings.lead),
            ("preload", settings.preload),
            ("second look", settings.second_look),
            ("keep ended", settings.keep_ended),
            ("check every", settings.check_every),
        ];
        for (name, value) in spans {
            writeln!(f, "{name:12} {}", span::print(value))?;
        }
        let limits = &settings.limits;
        writeln!(
            f,
            "limits       {} codes, {} jobs, {} members, {} events, {} replies, {} refusals, {} streams",
            limits.codes,
            limits.jobs,
            limits.members,
            limits.events,
            limits.replies,
            limits.refusals,
            limits.streams
        )
    }
}
