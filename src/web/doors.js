// The doors, and one of them.

import { OURS, get, remember } from './api.js'
import {
  back, badge, big, cards, count, entry, h, happened, hinted, inOurTime, near, notice, p, row, setNow, spread,
} from './kit.js'
import { pin } from './pin.js'
import { battery, clock, signal, status, times, waiting, waits } from './words.js'

export const load = async () => {
  const told = await get(`${OURS}/doors`)
  setNow(told.now)
  remember(told.doors)
  return told
}

export const uncertain = (told) => {
  const words = told.clock && clock(told.clock)
  return words && notice(words)
}

const link = (id) => `#/doors/${id}`

// How a door is, in a word.
const reach = (door) => {
  if (door.removed) return badge('later', 'Left this gateway')
  if (door.online) return badge('good', 'Answers')
  return badge('bad', 'Does not answer')
}

const facts = (door) =>
  [
    door.last_seen ? `Answered ${near(door.last_seen)}` : 'Not asked since the gateway started',
    battery(door.battery),
    signal(door.rssi),
    door.locked == null ? null : door.locked ? 'Locked' : 'Unlocked',
  ]

const queue = (door) =>
  h('div', { class: door.overdue ? 'waits bad' : door.pending ? 'waits' : 'rests' },
    p(waits(door)),
    door.pending > 0 && door.hint && hinted(door.hint),
    door.drift && p('A code that was proven was found changed or gone.'),
  )

const card = (door) =>
  entry(
    door.device_id,
    h('h2', {}, h('a', { href: link(door.device_id) }, door.name), ' ', reach(door)),
    spread(facts(door)),
    queue(door),
  )

// All doors in a line: what a glance from afar is for.
const summary = (doors) => {
  const silent = doors.filter(({ online }) => !online).length
  const pending = doors.reduce((sum, one) => sum + one.pending, 0)
  const reach = silent ? `${silent} of ${count(doors.length, 'door')} ${silent === 1 ? 'does' : 'do'} not answer` : 'All doors answer'
  return `${reach}. ${waiting(pending)}.`
}

export const doors = {
  load,
  title: () => 'Doors',
  draw: (told) => [
    uncertain(told),
    told.doors.length > 0 && p(summary(told.doors.filter(({ removed }) => !removed))),
    told.doors.length
      ? cards(told.doors, card)
      : p('This gateway knows no lock yet. Add one to its configuration, or pair one.'),
  ],
  // What is said aloud when it changes.
  facts: (told) =>
    told.doors.map((door) => [
      door.device_id,
      `${door.name}: ${reach(door).textContent.toLowerCase()}, ${waiting(door.pending).toLowerCase()}`,
    ]),
}

export const door = {
  load: async (id) => {
    const [told, why, codes] = await Promise.all([
      load(),
      get(`${OURS}/devices/${id}/why`),
      get(`/access_codes/list?device_id=${id}&limit=500`),
    ])
    return { ...told, door: told.doors.find((one) => one.device_id === id), why: why.why, codes: codes.access_codes }
  },
  title: ({ door }) => door?.name ?? 'Door',
  draw: ({ door, why, codes, ...told }) => [
    uncertain(told),
    back('#/doors', 'All doors'),
    door && [
      big(reach(door)),
      spread(facts(door)),
      spread(room(door)),
    ],
    notice(inOurTime(why.sentence)),
    h('h2', {}, count(codes.length, 'access code')),
    codes.length > 0 && cards(codes, code),
  ],
  facts: ({ why }) => [[why.device_id, inOurTime(why.sentence)]],
}

// In how many hours of the last day a door was heard.
export const heard = ({ heard_hours: heard, watched_hours: watched }) =>
  watched
    ? `Heard in ${heard} of ${watched === 24 ? 'the last 24 hours' : `${count(watched, 'hour')} so far`}`
    : 'Not listened for long enough to say how well it is heard'

const room = (door) =>
  [
    door.slots_used == null ? null : `${count(door.slots_used, 'place')} used, ${door.slots_free} free`,
    door.last_heard && `Heard at ${happened(door.last_heard)}`,
    heard(door),
    `Driver ${door.driver}`,
  ]

const code = (one) => {
  const [kind, word] = status(one.status)
  const group = one.common_code_key
  const name = one.name ?? 'Without a name'
  return entry(
    one.access_code_id,
    h('h3', {}, group ? h('a', { href: `#/groups/${encodeURIComponent(group)}` }, name) : name, ' ', badge(kind, word)),
    p(times(one)),
    one.errors.concat(one.warnings).map(({ message }) => hinted(inOurTime(message))),
    row(pin(one.access_code_id, `of ${name}`)),
  )
}
