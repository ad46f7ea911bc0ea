"""A Home Assistant in a Debian of its own, over its API. And a browser that looks at it."""

import base64
import json
import os
import pathlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import websocket

PATIENCE = 90
CONFIGURATION = """\
homeassistant:
  name: Villa 7
  country: NL
  language: en
  currency: EUR
  unit_system: metric
  time_zone: UTC
  latitude: 0
  longitude: 0
  elevation: 0
http: {{server_host: 127.0.0.1, server_port: {port}}}
api:
config:
logger: {{default: warning}}
lovelace:
  dashboards:
    lockbridge-doors: {{mode: yaml, title: Doors, filename: doors.yaml}}
"""


def until(what, look, patience=PATIENCE):
    """Looks again and again until there is something to see; it is returned."""
    end = time.monotonic() + patience
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.1)


def ask(url, body=None, token=None, form=False):
    """The JSON that is answered; `None` while nobody answers, and where there is nothing."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        body = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
    try:
        request = urllib.request.Request(url, body, headers)
        return json.load(urllib.request.urlopen(request, timeout=30))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise AssertionError(f"{url}: {error.code} {error.read().decode()}") from error
    except (urllib.error.URLError, ConnectionError):
        return None


class Home:
    """See the front of this file."""

    def __init__(self, root, work, port):
        self.root, self.port, self.process = root, port, None
        self.folder = pathlib.Path(work) / "home"
        (self.folder / ".storage").mkdir(parents=True)
        (self.folder / "configuration.yaml").write_text(CONFIGURATION.format(port=port))
        # Its other steps would ask services out there.
        done = {"done": ["core_config", "analytics", "integration"]}
        onboarding = {"version": 4, "minor_version": 1, "key": "onboarding", "data": done}
        (self.folder / ".storage/onboarding").write_text(json.dumps(onboarding))
        self.url = f"http://127.0.0.1:{port}"
        self.token, self.socket, self.asked, self.logs = None, None, 0, ""

    def start(self):
        self.process = subprocess.Popen(
            ["chroot", self.root, "/opt/ha/bin/hass", "-c", "/work/home", "--skip-pip"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if self.token is None:
            self.token = self.onboard()
        until("it runs", lambda: (self.get("config") or {}).get("state") == "RUNNING")
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{self.port}/api/websocket", timeout=PATIENCE)
        self.socket.recv()
        self.socket.send(json.dumps({"type": "auth", "access_token": self.token}))
        assert json.loads(self.socket.recv())["type"] == "auth_ok"
        self.asked = 0

    def onboard(self):
        until("it answers", lambda: ask(f"{self.url}/api/onboarding"))
        me = {"client_id": f"{self.url}/", "name": "Owner", "username": "owner", "password": "owner", "language": "en"}
        code = ask(f"{self.url}/api/onboarding/users", me)["auth_code"]
        grant = {"grant_type": "authorization_code", "code": code, "client_id": me["client_id"]}
        short = ask(f"{self.url}/auth/token", grant, form=True)["access_token"]
        socket = websocket.create_connection(f"ws://127.0.0.1:{self.port}/api/websocket", timeout=PATIENCE)
        socket.recv()
        socket.send(json.dumps({"type": "auth", "access_token": short}))
        socket.recv()
        wish = {"id": 1, "type": "auth/long_lived_access_token", "client_name": "scene", "lifespan": 30}
        socket.send(json.dumps(wish))
        return json.loads(socket.recv())["result"]

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            # It writes another one at each start.
            log = self.folder / "home-assistant.log"
            self.logs += log.read_text() if log.exists() else ""
            self.process = None

    def get(self, path):
        return ask(f"{self.url}/api/{path}", token=self.token)

    def tell(self, kind, **more):
        """One command over the WebSocket; its result."""
        self.asked += 1
        self.socket.send(json.dumps({"id": self.asked, "type": kind, **more}))
        while True:
            told = json.loads(self.socket.recv())
            if told.get("id") == self.asked and told["type"] == "result":
                assert told["success"], told
                return told["result"]

    def connect(self, broker):
        """Adds the broker as a person does: every form with its own defaults."""
        path = "config/config_entries/flow"
        form = ask(f"{self.url}/api/{path}", {"handler": "mqtt"}, self.token)
        known = {"broker": "127.0.0.1", "port": broker}
        told = ask(f"{self.url}/api/{path}/{form['flow_id']}", filled(form["data_schema"], known), self.token)
        assert told["type"] == "create_entry", told

    def mqtt(self):
        return self.get("config/config_entries/entry?domain=mqtt")[0]

    def state(self, entity):
        """The state of an entity; `None` if there is none."""
        return (self.get(f"states/{entity}") or {}).get("state")

    def attributes(self, entity):
        return self.get(f"states/{entity}")["attributes"]

    def becomes(self, entity, state):
        until(f"{entity} is {state}, not {self.state(entity)}", lambda: self.state(entity) == state)

    def call(self, service, entity):
        domain, name = service.split(".")
        self.tell("call_service", domain=domain, service=name, target={"entity_id": entity})

    def devices(self):
        """What belongs to MQTT, by name."""
        listed = self.tell("config/device_registry/list")
        ours = [device for device in listed if any(pair[0] == "mqtt" for pair in device["identifiers"])]
        return {device["name"]: device for device in ours}

    def entities(self):
        listed = self.tell("config/entity_registry/list")
        return {entity["entity_id"]: entity for entity in listed if entity["platform"] == "mqtt"}


def filled(schema, known):
    """The answers to a form, from what it says of itself."""
    answers = {}
    for field in schema:
        name = field["name"]
        if name in known:
            answers[name] = known[name]
        elif field.get("type") == "expandable":
            answers[name] = filled(field["schema"], known)
        elif "default" in field:
            answers[name] = field["default"]
        elif field.get("required") and "select" in field.get("selector", {}):
            answers[name] = "off" if "off" in json.dumps(field["selector"]) else "tcp"
        elif field.get("required"):
            answers[name] = False
    return answers


class Browser:
    """A chromium without a screen, logged in."""

    def __init__(self, work, home, width, height):
        self.profile = pathlib.Path(work) / "browser"
        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--hide-scrollbars",
             "--remote-allow-origins=*", f"--user-data-dir={self.profile}", f"--window-size={width},{height}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = self.profile / "DevToolsActivePort"
        self.port = until("the browser runs", lambda: port_file.exists() and port_file.read_text().split()[0])
        pages = until("it has a page", lambda: ask(f"http://127.0.0.1:{self.port}/json/list"))
        page = next(page for page in pages if page["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=PATIENCE)
        self.asked = 0
        self.tell("Page.enable")
        if home:
            tokens = {"access_token": home.token, "token_type": "Bearer", "expires_in": 1800, "hassUrl": home.url,
                      "clientId": f"{home.url}/", "expires": (time.time() + 86400) * 1000, "refresh_token": ""}
            script = f"localStorage.hassTokens = JSON.stringify({json.dumps(tokens)})"
            self.tell("Page.addScriptToEvaluateOnNewDocument", source=script)

    def tell(self, method, **more):
        self.asked += 1
        self.socket.send(json.dumps({"id": self.asked, "method": method, "params": more}))
        while True:
            told = json.loads(self.socket.recv())
            if told.get("id") == self.asked:
                assert "result" in told, told
                return told["result"]

    def run(self, script):
        return self.tell("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def text(self):
        """All that stands on the page, in nested shadow roots too."""
        return self.run("""(() => { const all = []; const walk = node => { for (const one of node.childNodes) {
            if (one.nodeType === 3) all.push(one.textContent.trim());
            if (one.shadowRoot) walk(one.shadowRoot); walk(one); } };
            walk(document.body); return all.filter(x => x).join(' ') })()""") or ""

    def picture(self, url, words, path):
        self.tell("Page.navigate", url=url)
        until(f"{words} on {url}", lambda: all(word in self.text() for word in words))
        time.sleep(1.5)  # Until icons and transitions have come to rest: a picture proves nothing.
        data = self.tell("Page.captureScreenshot", format="png")["data"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(path).write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait(30)
