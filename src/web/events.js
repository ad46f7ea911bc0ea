// The event trail, the newest first.

import { called, get, post } from './api.js'
import { load as loadDoors } from './doors.js'
import { badge, h, happened, now, p } from './kit.js'
import { alarming, event } from './words.js'

const SPANS = { 1: 'the last hour', 24: 'the last day', 168: 'the last week' }
// What one answer brings at most, and what is shown at once.
const MOST = 500
const SHOWN = 100

let hours = 24
let door = ''
let shown = SHOWN
// What was heard and is not in the trail yet.
const news = []

const all = async () => {
  const since = new Date(now() - hours * 3600000).toISOString()
  const events = []
  for (;;) {
    const page = await get(`/events/list?since=${since}&limit=${MOST}&unstable_offset=${events.length}`)
    events.push(...page.events)
    if (page.events.length < MOST) return events.reverse()
  }
}

// Learns the names of access codes that the trail tells of, as far as they are on record.
const learn = async ({ trail, names }) => {
  const wanted = trail.slice(0, shown).map(({ access_code_id: id }) => id).filter((id) => id && !names.has(id))
  const ids = [...new Set(wanted)].slice(0, 100)
  if (!ids.length) return
  const { access_codes: codes } = await post('/access_codes/list', { access_code_ids: ids })
  for (const id of ids) names.set(id, null)
  for (const { access_code_id: id, name } of codes) names.set(id, name)
}

const line = (names) => (one) =>
  h(
    'li',
    { 'data-key': one.event_id ?? `lost ${one.to}` },
    h('time', { datetime: one.occurred_at }, one.occurred_at ? happened(one.occurred_at) : ''),
    h('span', {},
      one.device_id && h('a', { href: `#/doors/${one.device_id}` }, called(one.device_id)),
      one.device_id && ': ',
      alarming(one) ? badge('bad', event(one)) : event(one),
      names.get(one.access_code_id) && ` (${names.get(one.access_code_id)})`,
    ),
  )

const select = (id, label, options, value, pick) =>
  h('div', { class: 'field', 'data-still': id },
    h('label', { for: id }, label),
    h(
      'select',
      { id, onchange: ({ target }) => pick(target.value) },
      Object.entries(options).map(([key, text]) => h('option', { value: key, selected: key === String(value) }, text)),
    ),
  )

export const events = {
  // Loaded once for a span and a line that is whole: what happens meanwhile is heard.
  load: async (_, old) => {
    let told = old
    if (!old || old.stale || old.span !== hours) {
      const span = hours
      news.length = 0
      const [{ doors }, trail] = await Promise.all([loadDoors(), all()])
      told = { span, doors, trail, names: new Map() }
    }
    const known = new Set(told.trail.map(({ event_id: id }) => id))
    told.trail.unshift(...news.splice(0).filter(({ event_id: id }) => !id || !known.has(id)))
    await learn(told).catch(() => {})
    return told
  },
  title: () => 'Events',
  heard: (one) => news.unshift(one),
  draw: ({ doors, trail, names }, again, redraw) => {
    const options = Object.fromEntries([['', 'All doors'], ...doors.map(({ device_id: id, name }) => [id, name])])
    const fitting = trail.filter((one) => !door || one.device_id === door)
    return [
      h('div', { class: 'filters' },
        select('span', 'Time', SPANS, hours, (value) => ((hours = Number(value)), again())),
        select('of-door', 'Door', options, door, (value) => ((door = value), redraw())),
      ),
      fitting.length ? h('ol', { class: 'trail' }, fitting.slice(0, shown).map(line(names))) : p('Nothing happened.'),
      fitting.length > shown &&
        h('button', { type: 'button', onclick: () => ((shown += SHOWN), again()) }, 'Show more'),
    ]
  },
}
