// Bluetooth: who is heard, and the pairing or test of a lock, step by step. A pairing begins on the gateway's machine:
// the lock's security PIN, which opens all its codes, goes over no network.

import { OURS, get, post } from './api.js'
import { badge, cards, count, entry, form, h, happened, hinted, near, notice, p, spread } from './kit.js'
import { battery, signal } from './words.js'

const BLUETOOTH = `${OURS}/bluetooth`

// What is not there the gateway says; Bluetooth too, where it uses none.
const none = (error) => {
  if (error.type !== 'not_found') throw error
}
const isNuki = ({ kind }) => kind !== 'other'

export const pair = {
  every: 2000,
  load: async () => {
    const scan = await get(BLUETOOTH).catch(none)
    return { ...scan, ...(scan && (await get(`${BLUETOOTH}/errand`).catch(none))) }
  },
  title: () => 'Pair a lock',
  draw: ({ bluetooth, errand }, again) => {
    if (!bluetooth) return [notice('This gateway uses no Bluetooth. Add a [ble] section to its configuration to pair Nuki locks.')]
    const nukis = bluetooth.heard.filter(isNuki)
    const others = bluetooth.heard.length - nukis.length
    return [
      bluetooth.outage && h('p', { class: 'notice bad' }, `Bluetooth does not work: ${bluetooth.outage}.`),
      errand && steps(errand),
      h('h2', {}, 'Nuki locks nearby'),
      nukis.length
        ? cards(nukis, (one) => card(one, errand, again))
        : p('None is heard. Go nearer with the gateway, and see that Bluetooth is allowed in the lock’s settings.'),
      others > 0 && hinted(`${count(others, 'other thing')} nearby ${others === 1 ? 'speaks' : 'speak'} Bluetooth.`),
    ]
  },
  facts: ({ errand, bluetooth }) => [
    ['steps', errand ? (errand.problem ?? errand.steps.at(-1)?.sentence ?? '') : ''],
    ['heard', bluetooth ? `${count(bluetooth.heard.filter(isNuki).length, 'Nuki lock')} nearby` : ''],
  ],
}

const card = (one, errand, again) => {
  const [kind, word] = one.device_id
    ? ['good', 'Paired']
    : one.kind === 'nuki_pairable'
      ? ['wait', 'Ready to be paired']
      : ['later', 'Not paired']
  return entry(
    one.address,
    h('h3', {}, one.name ?? one.address, ' ', badge(kind, word)),
    spread([one.address, signal(one.rssi), battery(one.battery_level && Math.round(one.battery_level * 100)), `heard ${near(one.last_heard)}`]),
    one.device_id
      ? errand?.state !== 'running' && h('div', { 'data-key': 'test', 'data-still': one.address }, test(one, again))
      : p('To pair it, say on the gateway’s machine: ', h('code', {}, `sudo lockbridge pair nuki ${one.address}`)),
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
  return h('section', { class: 'card', 'data-key': 'errand', 'aria-label': 'Steps' },
    h('h2', {}, `${KINDS[errand.kind]} of ${errand.address} `, badge(kind, word)),
    h('ol', {}, errand.steps.map(({ sentence, at }) => h('li', {}, sentence, ' ', h('span', { class: 'hint' }, happened(at))))),
    errand.problem && p(h('strong', {}, errand.problem)),
    errand.hint && p(errand.hint),
  )
}
