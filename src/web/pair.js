// Bluetooth: who is heard, and the pairing or test of a lock, step by step. A pairing begins on the gateway's machine:
// the lock's security PIN, which opens all its codes, goes over no network.

import { OURS, get, post } from './api.js'
import { badge, count, form, h, happened, near } from './kit.js'
import { battery, signal } from './words.js'

const BLUETOOTH = `${OURS}/bluetooth`

const none = (error) => {
  if (error.type === 'not_found') return null
  throw error
}

export const pair = {
  every: 2000,
  load: async () => {
    const scan = await get(BLUETOOTH).catch((error) => {
      // A gateway without Bluetooth says so.
      if (error.type === 'not_found') return { missing: error.message }
      throw error
    })
    const errand = scan.missing ? null : await get(`${BLUETOOTH}/errand`).catch(none)
    return { ...scan, errand: errand?.errand }
  },
  title: () => 'Pair a lock',
  draw: ({ missing, bluetooth, errand }, again) => {
    if (missing) return [h('p', { class: 'notice' }, 'This gateway uses no Bluetooth. Add a [ble] section to its configuration to pair Nuki locks.')]
    const nukis = bluetooth.heard.filter(({ kind }) => kind !== 'other')
    const others = bluetooth.heard.length - nukis.length
    return [
      bluetooth.outage && h('p', { class: 'notice bad' }, `Bluetooth does not work: ${bluetooth.outage}.`),
      errand && steps(errand),
      h('h2', {}, 'Nuki locks nearby'),
      nukis.length
        ? h('ul', { class: 'cards' }, nukis.map((one) => card(one, errand, again)))
        : h('p', {}, 'None is heard. Go nearer with the gateway, and see that Bluetooth is allowed in the lock’s settings.'),
      others > 0 && h('p', { class: 'hint' }, `${count(others, 'other thing')} nearby ${others === 1 ? 'speaks' : 'speak'} Bluetooth.`),
    ]
  },
  facts: ({ errand, bluetooth }) => [
    ['steps', errand ? (errand.problem ?? errand.steps.at(-1)?.sentence ?? '') : ''],
    ['heard', bluetooth ? `${count(bluetooth.heard.filter(({ kind }) => kind !== 'other').length, 'Nuki lock')} nearby` : ''],
  ],
}

const card = (one, errand, again) => {
  const [kind, word] = one.device_id
    ? ['good', 'Paired']
    : one.kind === 'nuki_pairable'
      ? ['wait', 'Ready to be paired']
      : ['later', 'Not paired']
  return h(
    'li',
    { class: 'card', 'data-key': one.address },
    h('h3', {}, one.name ?? one.address, ' ', badge(kind, word)),
    h('p', { class: 'facts' }, [one.address, signal(one.rssi), battery(one.battery_level == null ? null : Math.round(one.battery_level * 100)), `heard ${near(one.last_heard)}`]
      .filter(Boolean).map((fact) => h('span', {}, fact))),
    one.device_id
      ? errand?.state !== 'running' && h('div', { 'data-key': 'test', 'data-still': one.address }, test(one, again))
      : h('p', {}, 'To pair it, say on the gateway’s machine: ', h('code', {}, `sudo lockbridge pair nuki ${one.address}`)),
  )
}

const test = ({ device_id }, again) => {
  const begin = async () => {
    await post(`${BLUETOOTH}/test`, { device_id })
    again()
  }
  return form({}, begin, h('button', {}, 'Test it: a code is added and taken off again'))
}

const STATES = { running: ['wait', 'Under way'], done: ['good', 'Done'], failed: ['bad', 'Failed'] }
const KINDS = { pair: 'Pairing', test: 'Test', unpair: 'Unpairing' }

const steps = (errand) => {
  const [kind, word] = STATES[errand.state]
  return h(
    'section',
    { class: 'card', 'data-key': 'errand', 'aria-label': 'Steps' },
    h('h2', {}, `${KINDS[errand.kind]} of ${errand.address} `, badge(kind, word)),
    h('ol', {}, errand.steps.map(({ sentence, at }) => h('li', {}, sentence, ' ', h('span', { class: 'hint' }, happened(at))))),
    errand.problem && h('p', {}, h('strong', {}, errand.problem)),
    errand.hint && h('p', {}, errand.hint),
  )
}
